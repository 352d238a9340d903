"""A live strategy on an own account, through the whole server: each order and each exit passes the gate.

Every bar is flat at 30,000, except for one that falls to 28,000. Nothing is deducted as a fee.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from mcp import Client

from api.client import Client as ApiClient
from engine.store.database import Store, default_url
from engine.store.live import subscriptions_table
from engine.venues.exchange import markets, session
from safety.ledger import Ledger
from server import backend
from server.channels import ConnectedAccount, ConnectedAccounts, keep
from server.gate import build_gate_context
from server.settings import Settings
from tests.calls import result
from tests.venues.test_gate_and_accounts import approve, client_of, signed
from tests.venues.test_own_accounts import at_once

from .fake_binance import FakeBinance
from .fake_venue import Answer, FakeOrder, Request, Row, serving

pytest.importorskip("ccxt")

HOUR = 3_600
FLAT: Row = ("30000.00", "30000.00", "30000.00", "30000.00", "1000.00000")
SCRIPT = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(60), stop_loss=0.05))\n'


class Flat(FakeBinance):
    """Binance at 30,000, with 1,000 dollars and the coins that the strategy is about to buy."""

    falls_at = rises_at = 0
    closes_at = FLAT[3]
    fills_stop_at = ""

    def bars(self, symbol: str, seconds: int, since: int, until: int, limit: int) -> list[tuple[int, Row]]:
        found = super().bars(symbol, seconds, since, until, limit)
        fall: Row = (FLAT[0], FLAT[1], "28000.00", self.closes_at, FLAT[4])
        rise: Row = (FLAT[0], "31000.00", FLAT[2], FLAT[3], FLAT[4])
        shown = {self.falls_at // seconds * seconds: fall, self.rises_at // seconds * seconds: rise}
        return [(at, shown.get(at, FLAT)) for at, _ in found]

    def answer(self, request: Request) -> Answer:
        """Fill the resting stop at its moment, next to a request that moves it."""
        moment, stops = self.fills_stop_at, self.stops()
        cancels = request.method == "DELETE" and "order" in request.path
        if stops and moment.startswith("before") and cancels:
            self.fills_stop_at = ""
            self.sell(stops[0])
        answer = super().answer(request)
        if stops and moment.startswith("while") and cancels:
            self.fills_stop_at = ""
            self.sell(stops[0])
        return answer

    def sell(self, stop: FakeOrder) -> None:
        """Fill a stop, and take what it sells out of the balance."""
        self.fill(stop)
        self.cash["BTC"] -= stop.amount

    def stops(self) -> list[FakeOrder]:
        """The stop orders on the book."""
        return [order for order in self.orders.values() if order.side == "SELL" and order.status == "open"]


class Machine:
    """The machine's clock: ten minutes past an hour, and moved by the test."""

    def __init__(self) -> None:
        self._real: Callable[[], float] = time.time
        self._ahead = 600.0 - self._real() % HOUR

    def now(self) -> float:
        """Unix seconds."""
        return self._real() + self._ahead

    def hour(self) -> None:
        """One hour passes."""
        self._ahead += HOUR


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A clock that all parts of the server read, and threads that look often."""
    clock = Machine()
    monkeypatch.setattr(time, "time", clock.now)
    monkeypatch.setattr(build_gate_context, "__defaults__", (clock.now,))
    for defaults in (ApiClient.__init__.__kwdefaults__, Ledger.open.__func__.__kwdefaults__):
        monkeypatch.setitem(defaults or {}, "now", clock.now)
    monkeypatch.setattr(session, "take_turn", at_once)
    monkeypatch.setattr(backend, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(markets, "PRICE_SECONDS", 0.0)
    return clock


@pytest.fixture
def venue(tmp_path: Path, machine: Machine) -> Generator[tuple[Flat, Settings, Path]]:
    """The exchange, and a home with an account on it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    account = ConnectedAccount(account_id="main", exchange="binance", labels_echoed=True, client_ids=True)
    keep(home, account, ("the-key-of-main-0123", "the-secret-of-main-0123"), in_file=True)
    ConnectedAccounts(home).put(account)
    fake = Flat(machine.now)
    fake.last = Decimal(30_000)
    fake.cash = {"USDT": Decimal(1_000), "BTC": Decimal("0.002")}
    with serving(fake) as url:
        yield fake, Settings(home=home, data="exchange", venue_urls={"binance": url}), home


async def until(holds: Callable[[], bool]) -> None:
    """Wait for the server's threads."""
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - a thread of the engine changes it
            await anyio.sleep(0.05)


async def report_of(client: Client, subscription_id: str, count: int) -> dict[str, Any]:
    """The subscription's report, once it has that many fills."""
    with anyio.fail_after(30):
        while True:
            shown = await result(client, "live_subscription_get", subscription_id=subscription_id)
            if shown["report"]["outcomes"].get("filled", 0) >= count:
                return dict(shown["report"])
            await anyio.sleep(0.05)


async def subscribe(client: Client) -> dict[str, Any]:
    """The answer to a request to trade on the account. One that the watcher is sending just then is asked for again."""
    terms = {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": "main"}
    with anyio.fail_after(30):
        while True:
            answer = await client.call_tool("live_subscribe", terms)
            assert answer.structured_content is not None, answer.content
            if answer.structured_content.get("outcome") != "unknown":
                return dict(answer.structured_content)
            await anyio.sleep(0.05)


def run_script(home: Path, subscription_id: str, script: str = SCRIPT, **terms: Any) -> None:
    """Put the script of this test into the deployment."""
    with_script = {"script": script, "tickers": ["BINANCE:BTC/USDT"], "slippage": 0.0, **terms}

    def work(connection: sa.Connection) -> None:
        mine = subscriptions_table.c.id == subscription_id
        column = subscriptions_table.c.deployment
        deployment = json.loads(connection.execute(sa.select(column).where(mine)).scalar_one()) | with_script
        connection.execute(sa.update(subscriptions_table).where(mine).values(deployment=json.dumps(deployment)))

    store = Store.open(default_url(home))
    store.write_now(work)
    store.close()


async def test_a_strategy_on_an_own_account_is_approved_once_and_its_stop_rests_at_the_exchange(
    venue: tuple[Flat, Settings, Path], machine: Machine
) -> None:
    """60 dollars buy 0.002 at 30,000; the stop 5 % below is at 28,500 and fills there."""
    fake, settings, home = venue
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1))
    async with client_of(settings) as client:
        asked = await subscribe(client)
        nothing_yet = (await result(client, "live_subscriptions_list"))["subscriptions"]
        approve(home, key, asked["approval"]["intent_id"])
        made = await subscribe(client)
        run_script(home, made["subscription_id"])

        machine.hour()
        await until(lambda: len(fake.stops()) == 1)
        bought, stop = fake.orders.values()
        entered = await report_of(client, made["subscription_id"], 1)

        fake.falls_at = int(machine.now())
        fake.fill(stop)
        machine.hour()
        left = await report_of(client, made["subscription_id"], 2)

    assert (asked["outcome"], nothing_yet, made["paper"]) == ("approval_required", [], False)
    assert (bought.side, bought.kind, bought.amount) == ("BUY", "market", Decimal("0.002"))
    assert (stop.side, stop.kind, stop.amount, stop.price) == ("SELL", "stop_loss", Decimal("0.002"), Decimal(28_500))
    assert [(o["reason"], o["price"], o["amount"], o["where"]) for o in entered["orders"]] == [
        ("stop_loss", 28_500.0, 0.002, "venue")
    ]
    assert entered["positions"] == [{"symbol": "BTC/USDT", "backtest": 0.002, "held": 0.002}]
    fills = [
        (f["side"], f["reason"], f["expected_price"], f["actual_price"], f["filled_amount"]) for f in left["fills"]
    ]
    assert fills == [("sell", "stop_loss", 28_500.0, 28_500.0, 0.002), ("buy", "entry", 30_000.0, 30_000.0, 0.002)]
    assert (left["orders"], left["positions"], len(fake.orders)) == ([], [], 2)


@pytest.mark.parametrize(
    ("intent", "hours", "placed"),
    [
        ("bar_index == 0, entry(TICKER, 'LONG', Notional(57), limit=28500)", 1, [("BUY", "limit", "0.002", "28500")]),
        (
            "bar_index == 0, grid(TICKER, lower=28500, upper=31500, levels=5, size=Notional(58.5))",
            1,
            [("BUY", "limit", "0.00205", "28500"), ("BUY", "limit", "0.002", "29250")],
        ),
        (
            "bar_index >= 0, entry(TICKER, 'LONG', Notional(60), pyramiding=100)",
            2,
            [("BUY", "market", "0.002", None), ("BUY", "market", "0.002", None)],
        ),
        (
            "bar_index == 0, entry(TICKER, 'LONG', Notional(60), trailing_stop=max(atr(14) / close, 0.05))",
            1,
            [("BUY", "market", "0.002", None), ("SELL", "stop_loss", "0.002", "28500")],
        ),
    ],
    ids=["limit entry", "grid", "dca", "trailing stop"],
)
async def test_the_orders_of_a_strategy_rest_at_the_exchange_where_its_backtest_has_them(
    venue: tuple[Flat, Settings, Path],
    machine: Machine,
    intent: str,
    hours: int,
    placed: list[tuple[str, str, str, str | None]],
) -> None:
    fake, settings, home = venue
    wide = {"collar": Decimal("0.1"), "collar_major": Decimal("0.1"), "position_usd": Decimal(1_000)}
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1), **wide)
    async with client_of(settings) as client:
        approve(home, key, (await subscribe(client))["approval"]["intent_id"])
        run_script(home, (await subscribe(client))["subscription_id"], f"emit_signal({intent})\n".replace("'", '"'))
        for _ in range(hours):
            already = len(fake.orders)
            machine.hour()
            await until(lambda already=already: len(fake.orders) > already)
        await until(lambda: len(fake.orders) >= len(placed))

    made = [(o.side, o.kind, o.amount, None if o.kind == "market" else o.price) for o in fake.orders.values()]
    wanted = [(side, kind, Decimal(a), None if price is None else Decimal(price)) for side, kind, a, price in placed]
    assert sorted(made, key=str) == sorted(wanted, key=str)


async def test_a_portfolio_stop_sells_at_the_exchange_and_ends_the_strategy(
    venue: tuple[Flat, Settings, Path], machine: Machine
) -> None:
    """0.002 at 30,000 lose 4 dollars of about 1,060 on a close at 28,000: more than 0.3 %."""
    fake, settings, home = venue
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1))
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(60)))\n'
    async with client_of(settings) as client:
        approve(home, key, (await subscribe(client))["approval"]["intent_id"])
        made = await subscribe(client)
        run_script(home, made["subscription_id"], script, stop_loss=0.003)
        machine.hour()
        await until(lambda: len(fake.orders) == 1)
        await report_of(client, made["subscription_id"], 1)
        fake.falls_at, fake.closes_at = int(machine.now()), "28000.00"
        machine.hour()
        await until(lambda: len(fake.orders) == 2)
        shown = await result(client, "live_subscription_get", subscription_id=made["subscription_id"])

    assert [(o.side, o.kind, o.amount) for o in fake.orders.values()] == [
        ("BUY", "market", Decimal("0.002")),
        ("SELL", "market", Decimal("0.002")),
    ]
    assert (shown["status"], "portfolio's stop loss" in shown["message"]) == ("stopped", True)


async def test_a_limit_that_the_exchange_fills_below_its_bars_is_bought_once_and_kept_until_the_script_drops_it(
    venue: tuple[Flat, Settings, Path], machine: Machine
) -> None:
    """The bars stay at 30,000. 57 dollars buy 0.00194 at 29,250; the stop 5 % below is at 27,787.50.

    The script drops its limit after four hours, so what was bought is sold.
    """
    fake, settings, home = venue
    wide = {"collar": Decimal("0.1"), "collar_major": Decimal("0.1")}
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1), **wide)
    script = (
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(57), limit=29250, stop_loss=0.05))\n'
        "emit_signal(bar_index == 4, exit(TICKER))\n"
    )
    async with client_of(settings) as client:
        approve(home, key, (await subscribe(client))["approval"]["intent_id"])
        made = await subscribe(client)
        run_script(home, made["subscription_id"], script)
        machine.hour()
        await until(lambda: len(fake.orders) == 1)
        (entry,) = fake.orders.values()
        fake.fill(entry)
        counts: list[tuple[int, int]] = []
        kept: dict[str, Any] = {}
        for _ in range(3):
            machine.hour()
            await until(lambda: len(fake.stops()) == 1)
            kept = await after(client, made["subscription_id"], machine, lambda report: len(report["orders"]) == 2)
            counts.append((len(fake.orders), len(fake.stops())))
        machine.hour()
        await until(lambda: len(fake.orders) == 3)
        left = await after(client, made["subscription_id"], machine, lambda report: not report["positions"])

    _, stop, sold = fake.orders.values()
    names = ("reason", "price", "amount", "where", "message")
    assert counts == [(2, 1)] * 3
    assert [tuple(order.get(name) for name in names) for order in list[dict[str, Any]](kept["orders"])] == [
        ("stop_loss", 27_787.5, 0.00194, "venue", None),
        ("entry", 29_250.0, 0.00194, "filled", "the market filled it before the backtest did, at 29250"),
    ]
    assert kept["positions"] == [{"symbol": "BTC/USDT", "backtest": 0.0, "held": 0.00194}]
    assert (stop.status, sold.side, sold.kind, sold.amount) == ("canceled", "SELL", "market", Decimal("0.00194"))
    assert (left["orders"], left["positions"]) == ([], [])


async def after(
    client: Client, subscription_id: str, machine: Machine, holds: Callable[[dict[str, Any]], bool] = bool
) -> dict[str, Any]:
    """The report once the strategy has seen the last hour, and the report is as a test waits for it."""
    seen = f"{time.strftime('%Y-%m-%dT%H', time.gmtime(machine.now()))}:00:00Z"
    with anyio.fail_after(30):
        while True:
            shown = await result(client, "live_subscription_get", subscription_id=subscription_id)
            if shown["last_bar_at"] == seen and holds(shown["report"]):
                return dict(shown["report"])
            await anyio.sleep(0.05)


@pytest.mark.parametrize("moment", ["before its cancellation", "while it is cancelled"])
async def test_a_stop_that_the_exchange_fills_while_it_is_moved_sells_once(
    venue: tuple[Flat, Settings, Path], machine: Machine, moment: str
) -> None:
    """0.002 bought at 30,000, with a trail of 5 %: 28,500. A high of 31,000 moves it to 29,450.

    The account holds another 0.002, which a second sale would take.
    """
    fake, settings, home = venue
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1))
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(60), trailing_stop=0.05))\n'
    async with client_of(settings) as client:
        approve(home, key, (await subscribe(client))["approval"]["intent_id"])
        made = await subscribe(client)
        run_script(home, made["subscription_id"], script)
        machine.hour()
        await until(lambda: len(fake.stops()) == 1)
        (stop,) = fake.stops()
        fake.cash["BTC"] = Decimal("0.004")
        fake.rises_at = int(machine.now())
        fake.fills_stop_at = moment
        machine.hour()
        await until(lambda: stop.status == "filled")
        left: dict[str, Any] = {}
        for _ in range(3):
            left = await after(client, made["subscription_id"], machine)
            machine.hour()
    sold = [(o.status, o.amount) for o in fake.orders.values() if o.side == "SELL" and o.status != "canceled"]
    assert sold == [("filled", Decimal("0.002"))]
    assert left["positions"] == [{"symbol": "BTC/USDT", "backtest": 0.002, "held": 0.0}]


async def test_a_part_that_fills_before_the_backtest_is_kept_when_the_script_moves_its_limit(
    venue: tuple[Flat, Settings, Path], machine: Machine
) -> None:
    """0.0007 of 0.00194 fill at 29,250; the script then moves its limit to 29,000 and drops it after the third hour."""
    fake, settings, home = venue
    wide = {"collar": Decimal("0.1"), "collar_major": Decimal("0.1")}
    key = signed(home, order_types=("market", "limit"), max_notional=Decimal(100), position_share=Decimal(1), **wide)
    script = (
        'emit_signal(bar_index < 2, entry(TICKER, "LONG", Notional(57), limit=29250 - 250 * bar_index))\n'
        "emit_signal(bar_index == 3, exit(TICKER))\n"
    )
    counts: list[list[tuple[str, str]]] = []
    async with client_of(settings) as client:
        approve(home, key, (await subscribe(client))["approval"]["intent_id"])
        made = await subscribe(client)
        run_script(home, made["subscription_id"], script)
        machine.hour()
        await until(lambda: len(fake.orders) == 1)
        (entry,) = fake.orders.values()
        entry.filled = Decimal("0.0007")
        machine.hour()
        await until(lambda: entry.status == "canceled")
        for _ in range(2):
            await after(client, made["subscription_id"], machine, lambda report: bool(report["positions"]))
            counts.append([(order.side, order.status) for order in fake.orders.values()])
            machine.hour()
        await until(lambda: len(fake.orders) == 2)
        left = await after(client, made["subscription_id"], machine, lambda report: not report["positions"])

    assert counts == [[("BUY", "canceled")]] * 2
    _, sold = fake.orders.values()
    assert (sold.side, sold.kind, sold.amount, left["orders"]) == ("SELL", "market", Decimal("0.0007"), [])
