"""Lists of orders, open orders, accounts and balances."""

from __future__ import annotations

from decimal import Decimal

from anyio.to_thread import run_sync

from api.accounts import OpenOrdersRequest
from api.errors import InvalidInput, NotFound
from api.exchanges import EXCHANGES
from api.orders import OrdersRequest

from .conftest import BTC, BTC_WON, ETH, TOKEN, Bench, Refused, flat


async def test_an_owner_has_one_account_for_each_exchange_in_its_currency(desk: Bench) -> None:
    accounts = desk.broker.accounts()

    assert [a.exchange for a in accounts] == list(EXCHANGES)
    assert {a.currency for a in accounts if a.exchange == "upbit"} == {"KRW"}
    assert {a.currency for a in accounts if a.market_type == "prediction"} == {"USDC"}
    assert {a.market_type for a in accounts} == {"spot", "perpetual", "prediction"}
    assert all(a.paper and a.status == "active" for a in accounts)
    assert [(await desk.balances(str(a.exchange))).total_equity_usd for a in accounts] == [
        Decimal(10_000) for _ in accounts
    ]


async def test_owners_see_their_own_accounts_only(desk: Bench, changes_nothing: Refused) -> None:
    await desk.place("binance", "BTC/USDT", "buy", "0.01")
    others = desk.accounts_of("agent_other").orders(OrdersRequest())

    assert others.orders == []
    assert len(desk.accounts_of("agent_other").accounts()) == len(EXCHANGES)
    error = await changes_nothing(lambda: run_sync(desk.broker.account, "paper-binnance"))
    assert isinstance(error, NotFound)
    assert "paper-binance" in error.suggestion


async def test_orders_are_listed_newest_first_by_every_filter(desk: Bench) -> None:
    rest = {"order_type": "limit", "price": 90_000}
    await desk.place("binance", "BTC/USDT", "buy", "0.01", label="a", **rest)
    await desk.place("binance", "ETH/USDT", "buy", "0.1", label="b")
    await desk.place("gate", "BTC/USDT", "buy", "0.01", label="c", **rest)
    await desk.place("lighter", "BTC/USDT", "buy", "0.01", label="d", **rest)
    await desk.place("polymarket", TOKEN, "buy", 10, label="e", order_type="FOK", price="0.1")

    async def labels(**filters: object) -> str:
        return "".join(str(order.label) for order in await desk.orders(**filters))

    assert await labels() == "edcba"
    assert await labels(account_id="paper-binance") == "ba"
    assert await labels(symbol="btcusdt") == "dca"
    assert await labels(symbol="BTC/USDT", exchange="gate") == "c"
    assert await labels(symbol=TOKEN) == "e"
    assert await labels(status="open") == "dca"
    assert await labels(status="FILLED") == "b"
    assert await labels(status="CANCELLED") == "e"
    assert await labels(status="INIT") == ""
    assert await labels(exchange="binance", status="OPEN") == "a"
    assert await labels(account_id="paper-gate", exchange="binance") == ""
    assert await labels(limit=2) == "ed"
    assert await labels(limit=2, offset=3) == "ba"
    assert await labels(offset=5) == ""
    page = desk.broker.orders(OrdersRequest(limit=2, offset=1, status="OPEN"))
    assert (page.total, page.limit, page.offset, len(page.orders)) == (3, 2, 1, 2)


async def test_filters_that_name_nothing_are_refused(desk: Bench, changes_nothing: Refused) -> None:
    assert isinstance(await changes_nothing(lambda: desk.orders(account_id="paper-kraken")), NotFound)
    error = await changes_nothing(lambda: desk.orders(symbol="///"))
    assert isinstance(error, InvalidInput)


async def test_open_orders_of_an_account_or_one_symbol_of_it(desk: Bench) -> None:
    rest = {"order_type": "limit"}
    await desk.place("binance", "BTC/USDT", "buy", "0.01", price=90_000, label="a", **rest)
    await desk.place("binance", "ETH/USDT", "buy", "0.1", price=1_900, label="b", **rest)
    await desk.place("binance", "ETH/USDT", "buy", "0.1")

    async def labels(symbol: str | None) -> list[str | None]:
        request = OpenOrdersRequest(account_id="paper-binance", symbol=symbol)
        return [order.label for order in desk.broker.open_orders(request).orders]

    assert await labels(None) == ["b", "a"]
    assert await labels("eth-usdt") == ["b"]
    desk.market.tick({ETH: (1_950, 1_950, 1_800, 1_900, 1_000)})
    assert await labels(None) == ["a"]


async def test_open_orders_on_lighter_need_a_symbol(desk: Bench, changes_nothing: Refused) -> None:
    order = await desk.place("lighter", "BTC/USDT", "buy", "0.01", order_type="limit", price=90_000)

    def ask(symbol: str | None) -> OpenOrdersRequest:
        return OpenOrdersRequest(account_id="paper-lighter", symbol=symbol)

    error = await changes_nothing(lambda: run_sync(desk.broker.open_orders, ask(None)))
    assert error.code == "VALIDATION_ERROR"
    assert "symbol is missing, and Lighter" in error.message
    found = desk.broker.open_orders(ask("BTC/USDT")).orders
    assert [o.exchange_order_id for o in found] == [order.exchange_order_id]


async def test_won_are_converted_through_the_prices_of_bitcoin(desk: Bench) -> None:
    await desk.place("upbit", "BTC/KRW", "buy", "0.01")
    desk.market.tick({BTC: flat(110_000), BTC_WON: flat(150_000_000)})

    # 12,598,599.65 won at 110,000 / 150,000,000, and 0.01 BTC at 150,000,000 won.
    expected = (Decimal("12598599.65") + 1_500_000) * 110_000 / 150_000_000
    total = (await desk.balances("upbit")).total_equity_usd
    assert total is not None
    assert abs(total - expected) < Decimal("0.00000002")


async def test_balances_show_spot_holdings_and_open_orders(desk: Bench) -> None:
    await desk.place("binance", "ETH/USDT", "buy", "1")
    order = await desk.place("binance", "ETH/USDT", "sell", "0.4", order_type="limit", price=2_500)
    shown = await desk.balances("binance")

    assert [(b.asset, str(b.free), str(b.used), str(b.total)) for b in shown.balances] == [
        ("USDT", "7996.999", "0", "7996.999"),
        ("ETH", "0.6", "0.4", "1"),
    ]
    assert [o.order_id for o in shown.open_orders] == [order.order_id]
    # One ETH at 2,000 again: the slippage of 1 and the fee of 2.001 are lost.
    assert shown.total_equity_usd == Decimal("9996.999")
    assert shown.updated_at == "2025-06-16T12:00:00Z"
    assert shown.positions == []
