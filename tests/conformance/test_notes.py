"""Every sentence of the document that defines behaviour outside its tables: ticker formats and exchange notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest

from .document import MARKET_OF, NOTES, SYMBOL_OF
from .world import World

Test = TypeVar("Test", bound=Callable[..., Any])
PROVEN: Final[list[str]] = []
POLYMARKET: Final = {"account_id": "paper-polymarket", "exchange": "polymarket", "side": "buy", "amount": 20}


def note(sentence: str) -> Callable[[Test], Test]:
    """Names the sentence that a test proves."""
    PROVEN.append(sentence)
    return lambda test: test


@pytest.mark.parametrize(("exchange", "market"), MARKET_OF.items())
@note("the market type follows from the exchange's name")
@note("spot is BASE/QUOTE and futures are BASE/QUOTE:SETTLE")
@note("hyperliquid: symbols are written BTC/USDT")
@note("lighter: symbols are written BTC/USDT")
async def test_an_order_says_its_market_and_its_symbol_as_documented(world: World, exchange: str, market: str) -> None:
    order = await world.data("orders_place", world.order_on(exchange))

    assert (order["market_type"], order["symbol"]) == (market, SYMBOL_OF.get(exchange, world.token))


@note("a universe takes EXCHANGE:TICKER")
async def test_a_universe_takes_full_tickers(world: World) -> None:
    futures = "BINANCEFUTURESUSD:BTC/USDT:USDT"
    body = {**world.call("backtest_execute"), "universe": [futures], "exchange": "binancefuturesusd"}

    assert (await world.data("backtest_execute", body))["universe"] == [futures]
    ranked = await world.data("market_rank", {"universe": [futures], "expression": "close"})
    assert ranked["ranked"][0]["symbol"] == "BTC/USDT:USDT"


@pytest.mark.parametrize("symbol", ["will-it-rain-tomorrow", "https://polymarket.com/event/rain", "BTC/USDT"])
@note("polymarket: the symbol is the token id, no slug and no address")
async def test_a_prediction_market_is_named_by_its_token(world: World, symbol: str) -> None:
    order = {**POLYMARKET, "symbol": symbol, "order_type": "GTC", "price": 0.5}
    code, message = await world.refusal("orders_place", order)

    assert code == "VALIDATION_ERROR"
    assert "token id" in message
    assert (await world.data("orders_place", {**order, "symbol": world.token}))["symbol"] == world.token


@pytest.mark.parametrize("price", [0, 1, 1.5, 65])
@note("polymarket: the price is a probability")
async def test_a_prediction_price_is_between_0_and_1(world: World, price: float) -> None:
    order = {**POLYMARKET, "symbol": world.token, "order_type": "GTC", "price": price}
    code, message = await world.refusal("orders_place", order)

    assert code == "VALIDATION_ERROR"
    assert "price" in message


@note("polymarket: GTC and FOK only, and no market orders")
async def test_a_prediction_market_takes_gtc_and_fok_only(world: World) -> None:
    order = {**POLYMARKET, "symbol": world.token}

    for kind in ("GTC", "FOK"):
        await world.data("orders_place", {**order, "order_type": kind, "price": 0.05})
    for wrong in ({"order_type": "market"}, {}, {"order_type": "limit", "price": 0.05}):
        code, message = await world.refusal("orders_place", {**order, **wrong})
        assert code == "VALIDATION_ERROR"
        assert "GTC or FOK" in message


@note("polymarket: FOK at an aggressive price fills at once")
@note("polymarket: the market type is prediction by default")
async def test_fok_at_an_aggressive_price_fills(world: World) -> None:
    order = await world.data("orders_place", {**POLYMARKET, "symbol": world.token, "order_type": "FOK", "price": 0.95})

    assert (order["status"], order["market_type"]) == ("FILLED", "prediction")


@note("polymarket: a query for one market returns the size alone")
async def test_a_query_for_one_market_has_zeros_besides_the_size(world: World) -> None:
    account = {"account_id": "paper-polymarket"}
    whole = (await world.data("accounts_balances", account))["positions"][0]
    alone = (await world.data("accounts_balances", {**account, "symbol": world.token}))["positions"]

    assert whole["entry_price"] > 0
    assert [(p["symbol"], p["size"], p["entry_price"], p["unrealized_pnl"]) for p in alone] == [
        (f"{world.token}/USDC", whole["size"], 0, 0)
    ]


@note("polymarket: orders are cancelled by the exchange order id")
async def test_a_prediction_order_is_cancelled_by_the_exchanges_id(world: World) -> None:
    placed = await world.data("orders_place", world.resting_order_on("polymarket"))

    cancelled = await world.data("orders_cancel", {"order_id": placed["exchange_order_id"]})
    assert cancelled["status"] == "CANCELLED"


@note("lighter: open orders need a symbol")
async def test_open_orders_on_lighter_need_a_symbol(world: World) -> None:
    placed = await world.data("orders_place", world.resting_order_on("lighter"))
    account = {"account_id": "paper-lighter"}

    assert (await world.refusal("accounts_open_orders", account))[0] == "VALIDATION_ERROR"
    listed = (await world.data("accounts_open_orders", {**account, "symbol": "BTC/USDT"}))["orders"]
    assert placed["order_id"] in {order["order_id"] for order in listed}


@pytest.mark.parametrize("exchange", [exchange for exchange in MARKET_OF if exchange != "lighter"])
@note("open orders elsewhere need no symbol")
async def test_open_orders_elsewhere_need_no_symbol(world: World, exchange: str) -> None:
    assert "orders" in await world.data("accounts_open_orders", {"account_id": f"paper-{exchange}"})


@note("lighter: orders are cancelled by the numeric id, and api- ids do not work")
async def test_orders_on_lighter_are_cancelled_by_their_number(world: World) -> None:
    placed = await world.data("orders_place", world.resting_order_on("lighter"))
    where = {"account_id": "paper-lighter", "exchange": "lighter", "symbol": "BTC/USDT"}

    for more in ({}, where):
        code, _ = await world.refusal("orders_cancel", {"order_id": placed["order_id"], **more})
        assert code == "VALIDATION_ERROR"
    assert placed["exchange_order_id"].isdecimal()
    cancelled = await world.data("orders_cancel", {"order_id": placed["exchange_order_id"], **where})
    assert cancelled["status"] == "CANCELLED"


@note("hyperliquid: everything is perpetual")
async def test_hyperliquid_has_no_spot_market(world: World) -> None:
    order = {**world.order_on("hyperliquid"), "market_type": "spot"}

    assert (await world.refusal("orders_place", order))[0] == "VALIDATION_ERROR"
    assert (await world.refusal("market_tickers", {"exchange": "hyperliquid", "market_type": "spot"}))[0] == (
        "VALIDATION_ERROR"
    )


@note("only INIT, OPEN and PART_FILLED can be cancelled")
async def test_an_order_that_has_ended_cannot_be_cancelled(world: World) -> None:
    filled = await world.data("orders_place", world.order_on("binance"))
    resting = await world.data("orders_place", world.resting_order_on("binance"))
    await world.data("orders_cancel", {"order_id": resting["order_id"]})

    for order, state in ((filled, "FILLED"), (resting, "CANCELLED")):
        code, message = await world.refusal("orders_cancel", {"order_id": order["order_id"]})
        assert code == "VALIDATION_ERROR"
        assert state in message


@pytest.mark.parametrize("slug", ["signal-dsl", "operators", "data", "api-reference"])
@note("documents are markdown for those who accept it, and JSON otherwise")
async def test_documents_are_markdown_for_those_who_accept_it(world: World, slug: str) -> None:
    raw = await world.http("GET", f"/docs/{slug}", headers={"Accept": "text/markdown"})
    wrapped = await world.http("GET", f"/docs/{slug}", headers={})

    assert raw.headers["content-type"].startswith("text/markdown")
    assert wrapped.json()["data"]["content"] == raw.text


@note("results go by the result id, not by the id of the job")
async def test_the_id_of_a_job_is_no_id_of_a_result(world: World) -> None:
    assert (await world.refusal("backtest_results", {"result_id": world.ids["backtest_id"]}))[0] == "BACKTEST_NOT_FOUND"


@note("a key that registered itself researches and does not trade")
async def test_a_provisional_key_researches_only(world: World) -> None:
    made = await world.data("meta_register", {"display_name": "Probe"})
    key = made["api_key"]

    await world.data("market_rank", world.call("market_rank"), key=key)
    await world.data("backtest_execute", world.call("backtest_execute"), key=key)
    for name in ("accounts_list", "orders_list", "orders_place"):
        assert (await world.refusal(name, world.call(name), key=key))[0] == "INSUFFICIENT_PERMISSIONS"


def test_every_note_is_proven() -> None:
    assert sorted(PROVEN) == sorted(NOTES)
