"""Facts about the market and accounts: read only if a limit needs them, exact, with their age, or missing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest

from api.accounts import BalancesResponse
from api.client import Client, Retries
from api.errors import NotFound
from api.transport import hosted
from safety.gate.gathering import OTHER, Gathering, account_facts
from safety.policy.evaluation import Need
from safety.terms.facts import Quote
from safety.terms.proposal import Channel, OrderTerms, PublicationTerms
from tests.api.conftest import FakeService, service

from .conftest import Place

__all__ = ["service"]

REAL: Final = Channel("real", "https://venue.test/api/v1", exchange="binance")

NOW: Final = 1_800_000_030.0
MINUTE: Final = 1_800_000_000
BUY: Final = OrderTerms(
    account_id="acc-1", exchange="binance", market_type="spot", symbol="BTC/USDT", side="buy", order_type="limit",
    amount=Decimal("0.001"), price=Decimal(50_000),
)  # fmt: skip


def wanted(*needs: Need) -> frozenset[Need]:
    """A set of needs."""
    return frozenset(needs)


def candle(opened: int, close: float) -> list[Any]:
    """A minute as services write it."""
    return [opened * 1000, close, close, close, close, 1.0]


@pytest.fixture
async def gathering(service: FakeService) -> AsyncGenerator[Gathering]:
    client = Client(hosted(service.url), source="hosted", retries=Retries(attempts=1), now=lambda: NOW)
    yield Gathering(client, lambda: NOW)
    await client.aclose()


async def test_nothing_is_requested_that_is_not_needed(service: FakeService, gathering: Gathering) -> None:
    facts = await gathering.facts(BUY, wanted(), REAL)

    assert service.requests == []
    assert (facts.now, facts.quote, facts.account, facts.clock_skew) == (NOW, None, None, None)
    assert facts.upstream_healthy


@pytest.mark.parametrize(
    ("opened", "age"),
    [(MINUTE, 0.0), (MINUTE - 60, 30.0), (MINUTE - 120, 90.0), (MINUTE + 60, 30.0)],
    ids=["the minute is not over", "closed half a minute ago", "one is missing", "it has yet to begin"],
)
async def test_a_price_is_as_old_as_its_minute(
    service: FakeService, gathering: Gathering, opened: int, age: float
) -> None:
    service.succeeds({"candles": [candle(opened, 50_000.5)], "source": "exchange"})
    facts = await gathering.facts(BUY, wanted("quote", "usd_rate"), REAL)

    assert facts.quote == Quote(Decimal("50000.5"), age, "exchange")
    assert facts.usd_rate == Decimal(1)


@pytest.mark.parametrize(
    "data", [{"candles": []}, {"candles": [candle(MINUTE, 0)]}, {"candles": [["?", 1, 1, 1, 1, 1]]}]
)
async def test_an_invalid_price_counts_as_none(
    service: FakeService, gathering: Gathering, data: dict[str, Any]
) -> None:
    service.succeeds(data)

    assert (await gathering.facts(BUY, wanted("quote"), REAL)).quote is None


async def test_a_service_that_fails_leaves_facts_missing_and_is_not_called_healthy(
    service: FakeService, gathering: Gathering
) -> None:
    service.fails(503, "INTERNAL_ERROR")
    facts = await gathering.facts(BUY, wanted("quote", "usd_rate", "account", "clock"), REAL)

    assert (facts.quote, facts.account, facts.upstream_healthy) == (None, None, False)


async def test_a_refusal_that_a_person_can_fix_is_raised(service: FakeService, gathering: Gathering) -> None:
    service.fails(404, "DATA_UNAVAILABLE", "no such account")

    with pytest.raises(NotFound, match="no such account"):
        await gathering.facts(BUY, wanted("account"), REAL)


async def test_won_are_worth_what_bitcoin_costs_in_both_currencies(service: FakeService, gathering: Gathering) -> None:
    for close in (70_000_000, 50_000, 70_000_000):
        service.succeeds({"candles": [candle(MINUTE, close)]})
    upbit = BUY.model_copy(update={"exchange": "upbit", "symbol": "ETH/KRW"})
    facts = await gathering.facts(upbit, wanted("quote", "usd_rate"), REAL)

    assert facts.usd_rate == Decimal(50_000) / Decimal(70_000_000)


@pytest.mark.parametrize("old", [1, 2], ids=["dollars", "won"])
async def test_won_have_no_rate_while_one_of_the_prices_is_stale(
    service: FakeService, gathering: Gathering, old: int
) -> None:
    for place, close in enumerate((70_000_000, 50_000, 70_000_000)):
        service.succeeds({"candles": [candle(MINUTE - 420 * (place == old), close)]})
    upbit = BUY.model_copy(update={"exchange": "upbit", "symbol": "ETH/KRW"})
    facts = await gathering.facts(upbit, wanted("quote", "usd_rate"), REAL)

    assert facts.quote is not None
    assert facts.usd_rate is None


async def test_a_currency_without_a_known_value_has_no_rate(service: FakeService, gathering: Gathering) -> None:
    service.succeeds({"candles": [candle(MINUTE, 50_000)]})
    odd = BUY.model_copy(update={"symbol": "BTC/EUR"})

    assert (await gathering.facts(odd, wanted("quote", "usd_rate"), REAL)).usd_rate is None


@pytest.mark.parametrize(("behind", "skew"), [(0.0, 0.0), (7.0, 7.0), (-7.0, 7.0)])
async def test_the_clocks_are_compared_with_the_services_own_timestamp(
    service: FakeService, gathering: Gathering, behind: float, skew: float
) -> None:
    said = datetime.fromtimestamp(NOW - behind, UTC).isoformat()
    service.answers(200, {"success": True, "data": {"status": "ok"}, "error": None, "meta": {"timestamp": said}})

    assert (await gathering.facts(BUY, wanted("clock"), REAL)).clock_skew == pytest.approx(skew)


async def test_a_service_that_tells_no_time_leaves_the_difference_unknown(
    service: FakeService, gathering: Gathering
) -> None:
    service.answers(200, {"success": True, "data": {}, "error": None, "meta": {}})

    assert (await gathering.facts(BUY, wanted("clock"), REAL)).clock_skew is None


async def test_ids_and_balances_of_every_account_are_what_no_post_may_hold(live: Place) -> None:
    facts = await live.context.judge.gathering.facts(PublicationTerms(action="post", body="{}"), wanted("texts"), REAL)

    assert "paper-binance" in facts.known_texts
    assert "paper-upbit" in facts.known_texts
    assert any(text.startswith("10000") for text in facts.known_texts)
    assert "0" not in facts.known_texts


async def test_what_is_held_on_margin_is_what_no_post_may_hold_either(
    service: FakeService, gathering: Gathering
) -> None:
    position = {"symbol": "BTC/USDT:USDT", "side": "short", "size": -0.4321, "entry_price": 1, "leverage": 1}
    service.succeeds({"accounts": [{"account_id": "acc-1"}]})
    service.succeeds({"positions": [{**position, "unrealized_pnl": -321.5}]})
    facts = await gathering.facts(PublicationTerms(action="post", body="{}"), wanted("texts"), REAL)

    assert {"acc-1", "0.4321", "321.5"} == set(facts.known_texts)


def test_a_spot_account_is_valued_without_any_further_price() -> None:
    shown = BalancesResponse.model_validate(
        {
            "total_equity_usd": 1_000,
            "balances": [
                {"asset": "USDT", "free": 300, "used": 100, "total": 400},
                {"asset": "BTC", "free": 0.002, "used": 0, "total": 0.002},
                {"asset": "ETH", "free": 0.2, "used": 0, "total": 0.2},
            ],
            "open_orders": [
                {"order_id": "1", "symbol": "BTC/USDT", "side": "buy", "price": 50_000, "amount": 0.002,
                 "remaining_amount": 0.001, "status": "PART_FILLED"},
            ],
        }
    )  # fmt: skip
    facts = account_facts(BUY, shown, 2.0, Quote(Decimal(50_000), 0.0), Decimal(1))

    assert (facts.equity_usd, facts.age) == (Decimal(1_000), 2.0)
    assert facts.free["USDT"] == Decimal(300)
    assert facts.positions == {"BTC/USDT": Decimal("0.002")}
    assert facts.position_usd == {"BTC/USDT": Decimal(100), OTHER: Decimal(500)}
    assert facts.open_orders[0].remaining == Decimal("0.001")


def test_positions_have_a_sign_and_a_value_only_where_there_is_a_price() -> None:
    perpetual = BUY.model_copy(
        update={"exchange": "binancefuturesusd", "market_type": "perpetual", "symbol": "BTC/USDT:USDT"}
    )
    position = {"entry_price": 0, "unrealized_pnl": 0, "leverage": 2}
    shown = BalancesResponse.model_validate(
        {
            "total_equity_usd": 1_000,
            "balances": [],
            "positions": [
                {**position, "symbol": "BTC/USDT:USDT", "side": "short", "size": 0.01},
                {**position, "symbol": "ETH/USDT:USDT", "side": "long", "size": 1, "mark_price": 3_000},
                {**position, "symbol": "SOL/USDT:USDT", "side": "long", "size": 5},
            ],
        }
    )
    facts = account_facts(perpetual, shown, 0.0, Quote(Decimal(50_000), 0.0), Decimal(1))

    assert facts.positions["BTC/USDT:USDT"] == Decimal("-0.01")
    assert facts.position_usd == {"BTC/USDT:USDT": Decimal(500), "ETH/USDT:USDT": Decimal(3_000)}
    assert facts.positions["SOL/USDT:USDT"] == Decimal(5)


def test_a_token_with_its_currency_is_the_token() -> None:
    bet = BUY.model_copy(update={"exchange": "polymarket", "market_type": "prediction", "symbol": "1234567890"})
    shown = BalancesResponse.model_validate(
        {
            "positions": [
                {"symbol": "1234567890/USDC", "side": "long", "size": 10, "entry_price": 0, "unrealized_pnl": 0,
                 "leverage": 1},
            ]
        }
    )  # fmt: skip
    facts = account_facts(bet, shown, 0.0, Quote(Decimal("0.6"), 0.0), Decimal(1))

    assert facts.positions == {"1234567890": Decimal(10)}
    assert facts.position_usd == {"1234567890": Decimal(6)}


def perpetuals(*positions: dict[str, Any]) -> BalancesResponse:
    """An account with these positions, in the API document's fields and without a mark price."""
    common = {"unrealized_pnl": 0, "leverage": 2, "entry_price": 0}
    return BalancesResponse.model_validate({"positions": [{**common, **each} for each in positions]})


PERPETUAL: Final = BUY.model_copy(
    update={"exchange": "binancefuturesusd", "market_type": "perpetual", "symbol": "BTC/USDT:USDT"}
)


@pytest.mark.parametrize("written", ["BTC/USDT:USDT", "BTC/USDT", "BTCUSDT", "BTC-PERP"])
def test_a_position_is_known_in_whatever_dialect_the_service_writes_its_symbol(written: str) -> None:
    shown = perpetuals({"symbol": written, "side": "long", "size": 0.01})
    facts = account_facts(PERPETUAL, shown, 0.0, Quote(Decimal(50_000), 0.0), Decimal(1))

    assert facts.positions == {"BTC/USDT:USDT": Decimal("0.01")}
    assert facts.position_usd == {"BTC/USDT:USDT": Decimal(500)}


def test_a_short_is_negative_whether_or_not_its_size_has_a_sign() -> None:
    shown = perpetuals({"symbol": "BTC/USDT:USDT", "side": "short", "size": -0.01})
    facts = account_facts(PERPETUAL, shown, 0.0, Quote(Decimal(50_000), 0.0), Decimal(1))

    assert facts.positions == {"BTC/USDT:USDT": Decimal("-0.01")}
    assert facts.position_usd == {"BTC/USDT:USDT": Decimal(500)}


@pytest.mark.parametrize(
    ("side", "entry", "profit", "value"),
    [
        ("long", 3_000, 200, 6_200),
        ("short", 3_000, 200, 5_800),
        ("long", 3_000, 0, 6_000),
        ("long", 0, 0, None),
        ("long", 3_000, -6_000, None),
    ],
)
def test_other_positions_without_a_mark_price_are_worth_their_entry_and_profit(
    side: str, entry: float, profit: float, value: float | None
) -> None:
    shown = perpetuals(
        {"symbol": "ETH/USDT:USDT", "side": side, "size": 2, "entry_price": entry, "unrealized_pnl": profit}
    )
    facts = account_facts(PERPETUAL, shown, 0.0, Quote(Decimal(50_000), 0.0), Decimal(1))

    assert facts.position_usd == ({} if value is None else {"ETH/USDT:USDT": Decimal(str(value))})


def test_bitcoin_is_an_exposure_and_no_cash_where_an_order_is_paid_in_it() -> None:
    bought_with_bitcoin = BUY.model_copy(update={"symbol": "ETH/BTC"})
    shown = BalancesResponse.model_validate(
        {
            "total_equity_usd": 1_000,
            "balances": [
                {"asset": "USDT", "free": 400, "used": 0, "total": 400},
                {"asset": "BTC", "free": 0.01, "used": 0, "total": 0.01},
            ],
        }
    )
    facts = account_facts(bought_with_bitcoin, shown, 0.0, Quote(Decimal("0.05"), 0.0), Decimal(60_000))

    assert facts.position_usd == {"ETH/BTC": Decimal(0), OTHER: Decimal(600)}
