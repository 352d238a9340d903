"""A connected account through the whole server: it counts as real, and only the gate reaches it."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from api.exchanges import EXCHANGES, ExchangeId
from api.outputs import table_rows
from engine.access import LOCAL_AGENT
from engine.venues.exchange import session
from safety.human.in_force import POLICY_FILE, order_words, sign
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.policy.evaluation import LIVE, Policy
from safety.policy.text import write_policy
from server import channels as account_keys
from server.app import open_server
from server.backend import open_engine
from server.channels import ConnectedAccount, ConnectedAccounts
from server.settings import Settings
from tests.calls import refusal, result

from .fake_binance import FakeBinance
from .fake_gate import FakeGate
from .fake_venue import FakeVenue, Fault, serving
from .test_own_accounts import CREDENTIALS, SECRETS, VENUES, at_once

pytest.importorskip("ccxt")

LIMITS: dict[str, Any] = {
    "trading": True,
    "accounts": ["main"],
    "symbols": ["BTC/USDT"],
    "max_amount": {"BTC/USDT": Decimal(1)},
    "seconds_between": 0,
}


@pytest.fixture
def fake() -> FakeBinance:
    """Binance, with an account that holds only dollars."""
    made = FakeBinance()
    made.cash = {"USDT": Decimal(1_000)}
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a connected account."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    account = ConnectedAccount(account_id="main", exchange="binance", labels_echoed=True, client_ids=True)
    account_keys.keep(folder, account, ("the-key-of-main-0123", "the-secret-of-main-0123"), in_file=True)
    ConnectedAccounts(folder).put(account)
    return folder


@pytest.fixture
def settings(home: Path, fake: FakeBinance) -> Generator[Settings]:
    """Real prices from the fake."""
    with serving(fake) as url:
        yield Settings(home=home, data="exchange", venue_urls={"binance": url})


def signed(home: Path, **more: Any) -> SigningKey:
    """Sign the limits, and `more` of them, as the human."""
    key = enrol(home, "correct horse battery staple", cost=2**4)
    policy = Policy.model_validate({"live": LIVE.model_dump() | LIMITS | more})
    with closing(Ledger.open(home)) as ledger:
        ledger.pin_approver(key.approver.public_key)
        ledger.store_policy(sign(policy, 0, key, time.time()))
    path = home / POLICY_FILE
    path.write_text(write_policy(policy), encoding="utf-8")
    path.chmod(0o600)
    return key


def approve(home: Path, key: SigningKey, intent_id: str) -> None:
    """Does what `heytraders-mcp approve` does once the passphrase has opened the key."""
    with closing(Ledger.open(home)) as ledger:
        intent = ledger.intent(intent_id)
        assert intent is not None
        ledger.approve(intent_id, signature=key.sign(order_words(intent)), key_id=key.key_id)


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncGenerator[Client]:
    """An MCP client of a server with these settings."""
    async with open_server(settings) as server, Client(server, mode="auto", cache=None) as client:
        yield client


def order(fake: FakeBinance) -> dict[str, Any]:
    """About 30 dollars, a little below the market."""
    price = (fake.price("BTCUSDT") * Decimal("0.995")).quantize(Decimal("0.01"))
    terms = {"account_id": "main", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "order_type": "limit"}
    return {**terms, "amount": "0.001", "price": str(price)}


def placements(fake: FakeVenue) -> int:
    """The number of requests that tried to place an order."""
    return sum(1 for request in fake.requests if fake.places(request))


async def placed_with_approval(client: Client, home: Path, key: SigningKey, terms: dict[str, Any]) -> str:
    """The answer about an order that the human approves, as text."""
    asked = await client.call_tool("orders_place", terms)
    assert asked.structured_content is not None, asked.content
    approve(home, key, asked.structured_content["intent_id"])
    (block,) = (await client.call_tool("orders_place", terms)).content
    assert isinstance(block, TextContent)
    return block.text


async def test_without_a_signed_policy_no_order_leaves(settings: Settings, fake: FakeBinance) -> None:
    """The account appears beside the paper ones, as real money."""
    async with client_of(settings) as client:
        listed = (await result(client, "accounts_list"))["accounts"]
        balances = await result(client, "accounts_balances", account_id="main")
        refused = await client.call_tool("orders_place", order(fake))

        unknown = await refusal(client, "accounts_balances", account_id="elsewhere")
        absent = await refusal(client, "orders_list", account_id="elsewhere")

    assert "Accounts: main, paper-binance" in unknown
    assert "Accounts: main, paper-binance" in absent
    own = next(one for one in listed if one["account_id"] == "main")
    assert (own["paper"], own["exchange"]) == (False, "binance")
    assert all(one["paper"] for one in listed if one["account_id"] != "main")
    assert balances["paper"] is False
    shown: dict[str, Any] = refused.structured_content or {}
    assert shown.get("outcome") != "placed"
    assert placements(fake) == 0


async def test_an_approved_order_is_sent_once_and_shown(settings: Settings, fake: FakeBinance, home: Path) -> None:
    """The gate judges it by the live price, the human approves it, and the exchange receives it once."""
    key = signed(home)
    terms = order(fake)
    async with client_of(settings) as client:
        asked = await client.call_tool("orders_place", terms)
        assert asked.structured_content is not None, asked.content
        assert asked.structured_content["outcome"] == "approval_required", asked.structured_content
        assert placements(fake) == 0
        approve(home, key, asked.structured_content["intent_id"])
        again = await client.call_tool("orders_place", terms)
        assert again.structured_content is not None, again.content
        assert again.structured_content["outcome"] == "placed", again.structured_content
        listed = await result(client, "orders_list", account_id="main")

    assert placements(fake) == 1
    (resting,) = fake.orders.values()
    assert (resting.amount, resting.price) == (Decimal("0.001"), Decimal(terms["price"]))
    assert [one["status"] for one in table_rows(listed["orders"])] == ["OPEN"]


async def test_a_signature_counts_for_its_own_terms_and_under_the_limits_of_the_moment_alone(
    settings: Settings, fake: FakeBinance, home: Path
) -> None:
    key = signed(home)
    first, second, third = ({**order(fake), "amount": amount} for amount in ("0.0008", "0.0009", "0.001"))
    async with client_of(settings) as client:
        ids = [(await result(client, "orders_place", **terms))["intent_id"] for terms in (first, second, third)]
        with closing(Ledger.open(home)) as ledger:
            other = ledger.intent(ids[1])
            assert other is not None
            ledger.approve(ids[0], signature=key.sign(order_words(other)), key_id=key.key_id)
        swapped = await refusal(client, "orders_place", **first)
        approve(home, key, ids[1])
        sent = await result(client, "orders_place", **second)
        tighter = {**LIMITS, "max_amount": {"BTC/USDT": Decimal("0.0005")}}
        draft = Policy.model_validate({"live": LIVE.model_dump() | tighter})
        (home / POLICY_FILE).write_text(write_policy(draft), encoding="utf-8")
        approve(home, key, ids[2])
        tightened = await refusal(client, "orders_place", **third)

    assert "R28_APPROVAL" in swapped
    assert sent["outcome"] == "placed"
    assert "R07_MAX_AMOUNT" in tightened
    assert placements(fake) == 1


async def test_exits_of_an_approved_order_rest_at_the_exchange_and_are_in_the_journal(
    settings: Settings, fake: FakeBinance, home: Path
) -> None:
    """The human approves entry and exits in one question. Once the entry fills, the exits go out through the gate."""
    key = signed(home)
    terms = {**order(fake), "stop_loss": "20000", "take_profit": "45000"}
    async with client_of(settings) as client:
        asked = await client.call_tool("orders_place", terms)
        assert asked.structured_content is not None, asked.content
        summary = asked.structured_content["approval"]["summary"]
        approve(home, key, asked.structured_content["intent_id"])
        await client.call_tool("orders_place", terms)
        (entry,) = fake.orders.values()
        fake.cash["BTC"] = Decimal("0.001")
        entry.status, entry.filled = "filled", entry.amount
        with anyio.fail_after(30):
            while len(fake.orders) < 3:  # noqa: ASYNC110 - a thread of the engine sends them
                await anyio.sleep(0.1)
        shown = table_rows((await result(client, "accounts_open_orders", account_id="main"))["orders"])
        with closing(Ledger.open(home)) as ledger:
            event = ledger.latest("exit_sent", asked.structured_content["intent_id"])

    assert "then stop at 20000 or target at 45000" in summary
    assert {(one["role"], one["side"], one["amount"]) for one in shown} == {
        ("stop_loss", "sell", 0.001), ("take_profit", "sell", 0.001),
    }  # fmt: skip
    assert event is not None
    assert fake.count("orderList/oco") == 1


@pytest.mark.parametrize("exchange", ["binance", "gate", "gatefutures", "hyperliquid"])
async def test_an_old_copy_of_the_home_halts_before_its_first_order(
    exchange: ExchangeId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange shows an order of this home that the copy does not know. A release by its human accepts it."""
    monkeypatch.setattr(session, "take_turn", at_once)
    make, _, symbol, _ = VENUES[exchange]
    fake, home = make(), tmp_path / "home"
    fake.last = Decimal(30_000)
    home.mkdir(mode=0o700)
    account = ConnectedAccount(account_id="main", exchange=exchange, labels_echoed=True, client_ids=True)
    account_keys.keep(home, account, CREDENTIALS.get(exchange, SECRETS), in_file=True)
    ConnectedAccounts(home).put(account)
    limits = {
        "market_types": [EXCHANGES[exchange].market_type],
        "symbols": [symbol],
        "max_amount": {symbol: Decimal(1)},
    }
    key = signed(home, **limits, position_usd=Decimal(100_000), position_share=Decimal(1), exposure_share=Decimal(1))
    terms = {"account_id": "main", "exchange": exchange, "symbol": symbol, "side": "buy", "order_type": "limit"}
    terms |= {"amount": "0.001", "price": "29850"}
    if exchange in {"gatefutures", "hyperliquid"}:
        terms["leverage"] = "1"
    with serving(fake) as url:
        settings = Settings(home=home, data="exchange", venue_urls={exchange: url})
        await _copied_and_traded(settings, fake, key, terms, tmp_path, monkeypatch)


async def _copied_and_traded(
    settings: Settings,
    fake: FakeVenue,
    key: SigningKey,
    terms: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = settings.home
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    async with client_of(settings) as client:
        await placed_with_approval(client, home, key, terms)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of the other machine"))
    elsewhere = replace(settings, home=copy)
    async with client_of(elsewhere) as client:
        refused = await placed_with_approval(client, copy, key, {**terms, "amount": "0.0011"})
        with closing(Ledger.open(copy)) as ledger:
            halted = ledger.switch()
            ledger.release(signature="00", key_id=key.key_id, over="")
        sent_before = placements(fake)
        released = await placed_with_approval(client, copy, key, {**terms, "amount": "0.0012"})

    assert refused.startswith("DENIED: halted: an order is placed under the label of intent")
    assert "which this ledger does not know: this home is an old copy, or a copy of it trades too" in refused
    assert "`heytraders-mcp release`" in refused
    assert (halted.state, sent_before) == ("HALTED", 1)
    assert ("placed" in released, placements(fake)) == (True, 2)


@pytest.mark.parametrize(
    ("fault", "state"),
    [("truncated after", "ACKED"), ("reset before", "UNKNOWN"), ("rejected", "REJECTED")],
)
async def test_the_gate_books_what_a_fault_proves(
    settings: Settings, fake: FakeBinance, home: Path, fault: Fault, state: str
) -> None:
    """A lost answer is not a refusal, and no order is sent again."""
    key = signed(home)
    terms = order(fake)
    async with client_of(settings) as client:
        asked = await client.call_tool("orders_place", terms)
        assert asked.structured_content is not None, asked.content
        approve(home, key, asked.structured_content["intent_id"])
        fake.faults.append(fault)
        await client.call_tool("orders_place", terms)
        await client.call_tool("orders_place", terms)
        told = str(await result(client, "order_intent", intent_id=asked.structured_content["intent_id"]))
        with closing(Ledger.open(home)) as ledger:
            intent = ledger.intent(asked.structured_content["intent_id"])

    assert intent is not None
    assert intent.state == state
    assert ("it is not known whether it was placed (the connection broke)" in told) == (state == "UNKNOWN")
    assert "Try again" not in told
    assert placements(fake) == 1


PERPETUAL: dict[str, Any] = {
    "accounts": ["perp"],
    "market_types": ["perpetual"],
    "symbols": ["BTC/USDT:USDT"],
    "max_amount": {"BTC/USDT:USDT": Decimal(1)},
}


@pytest.mark.parametrize(
    "answer",
    [(400, {"code": -4028, "msg": "Leverage 1 is not valid"}), (503, {"code": -1001, "msg": "Internal error"})],
    ids=["refused", "unknown"],
)
async def test_an_order_whose_leverage_was_not_set_is_not_sent_and_the_gate_knows(
    settings: Settings, fake: FakeBinance, home: Path, answer: tuple[int, Any]
) -> None:
    """No order was sent, so its outcome is certain, even if that of the leverage is not."""
    account = ConnectedAccount(account_id="perp", exchange="binancefuturesusd", labels_echoed=True, client_ids=True)
    account_keys.keep(home, account, ("the-key-of-perp-0123", "the-secret-of-perp-0123"), in_file=True)
    ConnectedAccounts(home).put(account)
    key = signed(home, **PERPETUAL)
    perpetual = replace(settings, venue_urls={"binancefuturesusd": settings.venue_urls["binance"]})
    fake.no_leverage = answer
    terms = {**order(fake), "account_id": "perp", "exchange": "binancefuturesusd", "leverage": 1}
    async with client_of(perpetual) as client:
        asked = await client.call_tool("orders_place", terms)
        assert asked.structured_content is not None, asked.content
        approve(home, key, asked.structured_content["intent_id"])
        said = await refusal(client, "orders_place", **terms)
        with closing(Ledger.open(home)) as ledger:
            intent = ledger.intent(asked.structured_content["intent_id"])

    assert "Binance USD-M did not confirm leverage 1" in said
    assert intent is not None
    assert intent.state == "REJECTED"
    assert (fake.count("/leverage") - fake.count("/leverageBracket"), placements(fake)) == (1, 0)


async def test_an_engine_without_the_gate_has_no_connected_account(settings: Settings) -> None:
    """The API that `heytraders-mcp engine` serves to others cannot reach real money."""
    async with open_engine(settings) as engine:
        shown = [one for venue in engine.venues.all(LOCAL_AGENT) for one in venue.accounts()]
    assert [one.account_id for one in shown if not one.paper] == []


async def test_on_simulated_prices_nothing_is_sent_to_a_real_account(
    settings: Settings, fake: FakeBinance, home: Path
) -> None:
    """Simulated prices cannot judge an order with real money."""
    key = signed(home)
    terms = {**order(fake), "price": "30000.00"}
    async with client_of(replace(settings, data="simulated")) as client:
        asked = await client.call_tool("orders_place", terms)
        shown: dict[str, Any] = asked.structured_content or {}
        if shown.get("outcome") == "approval_required":
            approve(home, key, shown["intent_id"])
            await client.call_tool("orders_place", terms)
    assert placements(fake) == 0


async def test_a_preview_says_what_it_cannot_know(settings: Settings) -> None:
    """Gate cannot be reached, so there is no price."""
    terms = {"account_id": "paper-gate", "exchange": "gate", "symbol": "BTC/USDT", "side": "buy"}
    unreachable = replace(settings, venue_urls={**settings.venue_urls, "gate": "http://127.0.0.1:9"})
    async with client_of(unreachable) as client:
        shown = await result(client, "order_preview", **terms, order_type="market", amount="0.001")

    assert shown.get("quote") is None
    assert "there is no price of BTC/USDT now, so quote is missing" in str(shown["doubts"])


async def test_tickers_are_live_and_dated(settings: Settings) -> None:
    """The last trade at the exchange, not the close of an older bar."""
    async with client_of(settings) as client:
        (ticker,) = table_rows((await result(client, "market_tickers", exchange="binance", search="BTC"))["tickers"])
        health = await result(client, "meta_health")
        unlisted = await refusal(client, "market_ohlcv", symbol="NOPE/USDT", exchange="binance")

    assert (ticker["source"], ticker["tick_size"], ticker["lot_size"]) == ("exchange", 0.01, 1e-05)
    assert ticker["as_of"] is not None
    assert health["data"] == "exchange"
    assert "lists no" in unlisted or "not listed" in unlisted


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"price": "29850.001"}, "Use 29850.00 or 29850.01"),
        ({"amount": "0.0010000001"}, 'amount "0.0010000001" is not a multiple of 0.00001'),
        ({"amount": "0.00016"}, "below the smallest order of Binance, 5. Use an amount of at least 0.00017"),
        ({"stop_loss": "20000.001"}, 'stop_loss "20000.001" is not a multiple of 0.01'),
    ],
)
async def test_no_human_is_asked_about_an_order_that_the_exchange_would_not_take(
    settings: Settings, fake: FakeBinance, home: Path, wrong: dict[str, str], said: str
) -> None:
    """The preview and both ways to place it say what is wrong and what would be right."""
    signed(home)
    fake.last = Decimal(30_000)
    terms = {**order(fake), **wrong}
    async with client_of(settings) as client:
        told = [
            await refusal(client, tool, **terms)
            for tool in ("order_preview", "orders_place", "place_with_confirmation")
        ]
        waiting = (await result(client, "safety_status")).get("pending", [])

    assert all(said in each for each in told), told
    assert waiting == []
    assert placements(fake) == 0


async def test_paper_accounts_trade_on_the_fees_and_smallest_orders_that_the_exchange_lists(tmp_path: Path) -> None:
    """A fee of 0.1 % and minimums of 0.01 BTC and 50 dollars; Gate's usual values differ."""
    gate = FakeGate()
    gate.fee, gate.least_amount, gate.least_value = "0.1", "0.01", "50"
    terms = {"account_id": "paper-gate", "exchange": "gate", "symbol": "BTC/USDT", "side": "buy"}
    with serving(gate) as url:
        async with client_of(Settings(home=tmp_path, data="exchange", venue_urls={"gate": url})) as client:
            small = await refusal(client, "orders_place", **terms, order_type="market", amount="0.005")
            cheap = await refusal(client, "orders_place", **terms, order_type="limit", amount="0.001", price="40000")
            await result(client, "orders_place", **terms, order_type="market", amount="0.02")
            (placed,) = table_rows((await result(client, "orders_list", account_id="paper-gate"))["orders"])

    assert "amount 0.005 is below the smallest of BTC/USDT on gate, 0.01" in small
    assert "worth 40 USDT, less than the smallest order of 50 USDT" in cheap
    bought = Decimal(str(placed["filled_amount"])) * Decimal(str(placed["average_price"]))
    assert (placed["status"], Decimal(str(placed["fee"]))) == ("FILLED", bought * Decimal("0.001"))


async def test_with_a_dead_exchange_nothing_is_placed_or_started_and_the_answer_says_so(tmp_path: Path) -> None:
    """Port 9 of this machine answers nobody."""
    order = {
        "account_id": "paper-binance",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "side": "buy",
        "amount": "0.01",
    }
    job = {
        "script": "emit_signal(rsi(close, param('n', 14, 5, 30)) < 30, entry(TICKER, 'LONG', Weight(0.5)))".replace(
            "'", '"'
        ),
        "universe": ["BINANCE:BTC/USDT"],
        "timeframe": "1h",
        "start_date": "2025-01-01",
        "end_date": "2025-02-01",
    }
    settings = Settings(home=tmp_path, data="exchange", venue_urls={"binance": "http://127.0.0.1:9"})
    async with client_of(settings) as client:
        told = [
            await refusal(client, "orders_place", **order),
            await refusal(client, "backtest_execute", strategy_type="signal", **job),
            await refusal(client, "backtest_sweep", **job, grid={"n": [10, 14]}),
            await refusal(
                client, "live_subscribe", strategy_id="rsi-reversion", mode="trade", account_id="paper-binance"
            ),
        ]
        status = await result(client, "safety_status")
        jobs = await result(client, "backtest_list")

    assert [text.partition(":")[0] for text in told] == ["VALIDATION_ERROR"] * 4
    said = ("not placed", "not started", "not started", "not deployed")
    assert [text for text, end in zip(told, said, strict=True) if end not in text] == []
    assert all("Binance" in text and "cannot be reached" in text for text in told)
    assert status.get("unresolved", []) == []
    assert jobs["total"] == 0
