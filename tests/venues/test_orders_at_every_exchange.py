"""An order at each of the eight exchanges, from the tool to the exchange: judged, approved, shown and cancelled.

uv run --group dev pytest -n 0 -m "long or not slow" tests/venues/test_orders_at_every_exchange.py
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from mcp import Client

from api.exchanges import EXCHANGES, ExchangeId
from api.outputs import table_rows
from engine.venues.exchange import session
from safety.human.in_force import POLICY_FILE, order_words, sign
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.policy.evaluation import LIVE, Policy
from safety.policy.text import write_policy
from server import channels
from server.app import open_server
from server.channels import ConnectedAccount, ConnectedAccounts
from server.settings import Settings
from tests.calls import result
from tests.conftest import Era

from .fake_venue import FakeVenue, serving
from .test_own_accounts import CREDENTIALS, SECRETS, VENUES, at_once

LAST: dict[str, str] = {"upbit": "42000000", "polymarket": "0.42"}
"""The prices that are not 30,000. Upbit's is the same in won."""

PRICES: dict[str, tuple[str, str, str, str]] = {
    "upbit": ("41900000", "40000000", "43000000", "0.0006"),
    "polymarket": ("0.4", "0.3", "0.5", "12.5"),
}
"""The limit, the stop, the target and the amount, where they differ from the usual ones."""

USUAL = ("29900", "29000", "31000", "0.0006")
HELD = Decimal("0.002")


@dataclass(frozen=True)
class House:
    """A home with an account at each exchange, a signed policy, and the fakes."""

    settings: Settings
    fakes: dict[ExchangeId, FakeVenue]
    key: SigningKey
    era: Era

    def approve(self, intent_id: str) -> None:
        """Do what `heytraders-mcp approve` does once the passphrase has opened the key."""
        with closing(Ledger.open(self.settings.home)) as ledger:
            intent = ledger.intent(intent_id)
            assert intent is not None
            ledger.approve(intent_id, signature=self.key.sign(order_words(intent)), key_id=self.key.key_id)


GROUPS: dict[str, tuple[ExchangeId, ...]] = {
    "binance": ("binance", "binancefuturesusd", "gate"),
    "upbit": ("gatefutures", "hyperliquid", "upbit"),
    "polymarket": ("lighter", "polymarket"),
}
"""A human is asked at most ten times an hour, so one home cannot have them all."""


@pytest.fixture(
    params=[
        pytest.param(
            (name, era), marks=() if (name, era) == ("upbit", "auto") else pytest.mark.long, id=f"{name}-{era}"
        )
        for name in GROUPS
        for era in get_args(Era)
    ]
)
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[House]:
    """Accounts at some exchanges, each with money and, for perpetuals, a position."""
    name, era = request.param
    group = GROUPS[name]
    monkeypatch.setattr(session, "take_turn", at_once)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    fakes: dict[ExchangeId, FakeVenue] = {}
    urls: dict[ExchangeId, str] = {}
    with ExitStack() as running:
        for make, exchange, _, _ in VENUES.values():
            fake = make()
            fake.last = Decimal(LAST.get(exchange, "30000"))
            fake.position = HELD if EXCHANGES[exchange].market_type == "perpetual" else Decimal(0)
            fake.profit = Decimal(0)
            fake.cash |= {"BTC": Decimal("0.001")} if "BTC" in fake.cash else {}
            urls[exchange] = running.enter_context(serving(fake))
            if exchange not in group:
                continue
            fakes[exchange] = fake
            account = ConnectedAccount(account_id=f"my-{exchange}", exchange=exchange, client_ids=True)
            channels.keep(home, account, CREDENTIALS.get(exchange, SECRETS), in_file=True)
            ConnectedAccounts(home).put(account)
        yield House(Settings(home=home, data="exchange", venue_urls=urls), fakes, signed(home), era)


def signed(home: Path) -> SigningKey:
    """Sign limits for all accounts and symbols."""
    symbols = {symbol for _, _, symbol, _ in VENUES.values()}
    given: dict[str, Any] = {
        "trading": True,
        "accounts": [f"my-{exchange}" for exchange in EXCHANGES],
        "market_types": ["spot", "perpetual", "prediction"],
        "symbols": symbols,
        "max_amount": dict.fromkeys(symbols, Decimal(100)),
        "daily_notional": Decimal(2_000),
        "daily_count": 100,
        "per_minute": 100,
        "seconds_between": 0,
        "rearm_after": 100,
    }
    key = enrol(home, "correct horse battery staple", cost=2**4)
    policy = Policy.model_validate({"live": LIVE.model_dump() | given})
    with closing(Ledger.open(home)) as ledger:
        ledger.pin_approver(key.approver.public_key)
        ledger.store_policy(sign(policy, 0, key, time.time()))
    path = home / POLICY_FILE
    path.write_text(write_policy(policy), encoding="utf-8")
    path.chmod(0o600)
    return key


async def test_an_order_at_each_exchange_is_judged_approved_shown_and_cancelled(house: House) -> None:
    """Alone, with a stop and a target, and for perpetuals one that only reduces."""
    done: dict[str, list[str]] = {}
    async with open_server(house.settings) as server, Client(server, mode=house.era, cache=None) as client:
        for exchange in house.fakes:
            limit, stop, target, amount = PRICES.get(exchange, USUAL)
            terms: dict[str, Any] = {
                "account_id": f"my-{exchange}",
                "exchange": exchange,
                "symbol": VENUES[exchange][2].partition(":")[0],
                "side": "buy",
                "order_type": "GTC" if exchange == "polymarket" else "limit",
                "amount": amount,
                "price": limit,
            }
            if house.fakes[exchange].position:
                terms["leverage"] = 1
            done[exchange] = [await walk(client, house, terms)]
            done[exchange] += [await walk(client, house, {**terms, "stop_loss": stop, "take_profit": target})]
            if house.fakes[exchange].position:
                closing_terms = {**terms, "side": "sell", "price": "30200", "reduce_only": True}
                done[exchange] += [await walk(client, house, closing_terms)]

    for exchange in house.fakes:
        kinds = 3 if EXCHANGES[exchange].market_type == "perpetual" else 2
        assert done[exchange] == ["OPEN, then CANCELLED"] * kinds, (exchange, done)


async def walk(client: Client, house: House, terms: dict[str, Any]) -> str:
    """Place, approve, see and cancel one order; what its state was, or why it was not placed."""
    answer = await client.call_tool("orders_place", terms)
    asked = answer.structured_content
    if asked is None or asked["outcome"] != "approval_required":
        return f"not asked for: {asked} {answer.content}"
    if terms["exchange"] == "polymarket" and '"Will it rain? (Yes)"' not in asked["approval"]["summary"]:
        return f"asked without its question: {asked}"
    house.approve(asked["intent_id"])
    answer = await client.call_tool("orders_place", terms)
    placed = answer.structured_content
    if placed is None or placed["outcome"] != "placed":
        return f"not placed: {placed} {answer.content}"
    account = terms["account_id"]
    asked_for = {"account_id": account, "symbol": terms["symbol"]}
    (resting,) = table_rows((await result(client, "accounts_open_orders", **asked_for))["orders"])
    if Decimal(str(resting["price"])) != Decimal(terms["price"]):
        return f"another order: {resting}"
    await result(client, "orders_cancel", order_id=resting["order_id"], account_id=account)
    listed = table_rows((await result(client, "orders_list", account_id=account))["orders"])
    ended = next(one for one in listed if one["order_id"] == resting["order_id"])
    return f"{resting['status']}, then {ended['status']}"
