"""For each parameter: allowed values, values just outside the limits, and a call that fits the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .document import ENDPOINTS, MARKET_OF, Parameter
from .world import DEAF, SCRIPT, Arguments, World

VENUES: Final = tuple(MARKET_OF)
IN_BODY: Final = {row.name for row in ENDPOINTS if row.method in {"POST", "PUT", "PATCH"}}
SAMPLES: Final[dict[str, tuple[Any, ...]]] = {
    "meta_register.strategy_type": ("momentum", "mean_reversion"),
    "market_tickers.category": ("top_market_cap", "trending"),
    "market_tickers.sector": ("DeFi", "L1", "AI"),
    "market_ohlcv.symbol": ("BTC/USDT", "ETH/USDT"),
    "market_evaluate.expression": ("rsi(close, 14)[-1]",),
    "market_scan.universe": (["BTC/USDT", "ETH/USDT", "SOL/USDT"],),
    "market_scan.condition": ("rsi(close, 14) < 30 and volume > sma(volume, 20)",),
    "market_rank.universe": (["BTC/USDT"],),
    "market_rank.expression": ("roc(close, 7)",),
    "market_rank.limit": (1, 5),
    "accounts_open_orders.symbol": ("BTC/USDT",),
    "orders_place.account_id": ("paper-binance",),
    "orders_cancel.symbol": ("BTC/USDT",),
    "orders_cancel.account_id": ("paper-binance",),
    "orders_place.symbol": ("BTC/USDT", "ETH/USDT"),
    "orders_place.amount": (0.001, 0.01),
    "orders_place.price": (20_000,),
    "orders_list.account_id": ("paper-binance",),
    "orders_list.symbol": ("BTC/USDT",),
    "orders_list.offset": (0, 1, 1_000),
    "backtest_execute.script": (SCRIPT,),
    "backtest_execute.universe": (["BINANCE:BTC/USDT"], ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"]),
    "backtest_execute.start_date": ("2024-01-02",),
    "backtest_execute.end_date": ("2024-01-13",),
    "backtest_execute.initial_cash": (250.5, 1_000_000),
    "backtest_execute.trading_fee": (0, 0.001),
    "backtest_execute.slippage": (0, 0.001),
    "backtest_execute.stop_loss": (5, 20.5),
    "backtest_execute.take_profit": (5, 150),
    "backtest_trades.limit": (1, 50),
    "live_subscribe.account_id": ("paper-binance",),
    "live_subscribe.webhook": ({"url": DEAF, "secret": "a long secret", "events": ["signal", "error"]}, {"url": DEAF}),
    "live_webhook_set.url": (DEAF, "https://example.com/hook"),
    "live_webhook_set.secret": ("a long secret",),
    "live_webhook_test.url": (DEAF,),
    "live_signals.symbol": ("BTC/USDT",),
    "live_signals.side": ("buy", "sell"),
    "live_signals.start_date": ("2025-01-01",),
    "live_signals.end_date": ("2025-12-31",),
    "live_signals_latest.since": ("2025-06-16T11:00:00Z", "2025-06-16"),
    "live_signals_latest.limit": (1, 50),
    "arena_profile_update.strategy_type": ("momentum",),
    "arena_profile_update.avatar_url": ("https://img.example/a.png",),
    "arena_post.category": ("strategy_ideas",),
    "arena_post.title": ("Strategy Analysis: RSI Oversold",),
    "arena_post.content": ("Analysis of RSI-based strategy...",),
    "arena_post.tags": (["BTC", "RSI"],),
}
"""Values of parameters without a closed set or bounds, after the document's examples."""

BELOW_ZERO: Final = {"amount", "price", "initial_cash", "trading_fee", "slippage", "stop_loss", "take_profit", "offset"}


def accepted(parameter: Parameter) -> list[Any]:
    """Allowed values: every word of a closed set, both bounds, the longest and shortest text."""
    if parameter.kind == "string[]" and parameter.choices:
        return [[choice] for choice in parameter.choices] + [list(parameter.choices)]
    if parameter.choices:
        return list(parameter.choices)
    if parameter.bounds is not None:
        return [int(bound) if parameter.kind == "int" else bound for bound in parameter.bounds]
    if parameter.lengths is not None:
        return ["x" * max(1, parameter.lengths[0]), "x" * parameter.lengths[1]]
    return list(SAMPLES.get(parameter.id, ()))


def refused(parameter: Parameter) -> list[Any]:
    """Values just outside the documented limits, and values of other types."""
    values = list(_WRONG_TYPES[parameter.kind]) if parameter.endpoint in IN_BODY else []
    values += _WRONG_TEXTS.get(parameter.kind, ())
    if parameter.choices:
        values.append(["nonsense"] if parameter.kind == "string[]" else "nonsense")
    if parameter.bounds is not None:
        values += [parameter.bounds[0] - 1, parameter.bounds[1] + 1]
    if parameter.lengths is not None:
        values += ["x" * (parameter.lengths[1] + 1)] + (
            ["x" * (parameter.lengths[0] - 1)] if parameter.lengths[0] else []
        )
    return values + ([-1] if parameter.name in BELOW_ZERO else [])


_WRONG_TYPES: Final[dict[str, tuple[Any, ...]]] = {
    "string": ({"a": 1}, [["b"]], True),
    "date": (20_240_101, True),
    "time": (True,),
    "int": (1.5, True, [1]),
    "float": (True, [1], {"a": 1}),
    "string[]": (7, {"a": 1}, [[1]], []),
    "object": (7, "text", []),
}
_WRONG_TEXTS: Final[dict[str, tuple[Any, ...]]] = {
    "date": ("2024-13-01", "2024-02-30", "yesterday", "01/02/2024"),
    "time": ("2024-13-01T00:00:00Z", "noon"),
    "int": ("five", "1.5", "1e3", "0x10", ""),
    "float": ("much", "NaN", "Infinity", ""),
}


async def fitting(world: World, parameter: Parameter, value: Any) -> Arguments:
    """A valid call with the parameter at `value`, plus the other arguments that the value needs."""
    call = await world.ready(parameter.endpoint)
    around = _AROUND.get(parameter.id)
    if parameter.id in {"orders_cancel.exchange", "orders_cancel.symbol", "orders_cancel.account_id"}:
        venue = value if value in VENUES else "binance"
        placed = await world.data("orders_place", world.resting_order_on(venue))
        call["order_id"] = placed["exchange_order_id"]
        call |= {"exchange": venue, "symbol": placed["symbol"], "account_id": placed["account_id"]}
        return call if venue == value else {**call, parameter.name: value}
    changes = around(world, value) if around else {}
    return {name: v for name, v in {**call, parameter.name: value, **changes}.items() if v is not LEFT_OUT}


LEFT_OUT: Final = "<left out>"


def _market(world: World, value: Any) -> Arguments:
    venue = next((venue for venue, market in MARKET_OF.items() if market == value), None)
    return {} if venue is None else world.order_on(venue)


def _strategy(_world: World, value: Any) -> Arguments:
    parameters: dict[str, Arguments] = {
        "signal": {},
        "dca": {"script": LEFT_OUT, "fixed_amount": 100, "interval": "daily"},
        "grid": {"script": LEFT_OUT},
        "pair_trading": {"script": LEFT_OUT, "universe": ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"]},
    }
    return parameters.get(value, {}) if isinstance(value, str) else {}


def _perpetual(world: World, _value: Any) -> Arguments:
    order = world.order_on("binancefuturesusd")
    return {**order, "symbol": "ETH/USDT:USDT", "order_type": "FOK", "amount": 0.1, "price": 1_000}


def _tickers_of(_world: World, value: Any) -> Arguments:
    return {"exchange": {"perpetual": "hyperliquid", "prediction": "polymarket"}.get(str(value), "binance")}


def _universe_on(world: World, value: Any) -> Arguments:
    return {"universe": [world.symbol(value)]} if value in VENUES else {}


def _order_on(world: World, value: Any) -> Arguments:
    return world.order_on(value) if value in VENUES else {}


def _backtest_on(world: World, value: Any) -> Arguments:
    if value not in VENUES:
        return {}
    universe = [f"{value.upper()}:{world.symbol(value)}"]
    return {"exchange": value, "universe": universe, "start_date": "2025-06-01", "end_date": "2025-06-10"}


def _with_price(_world: World, value: Any) -> Arguments:
    return {} if value == "market" else {"price": 20_000}


def _with_account(_world: World, value: Any) -> Arguments:
    return {"account_id": "paper-binance"} if value == "trade" else {}


_AROUND: Final[dict[str, Callable[[World, Any], Arguments]]] = {
    "market_tickers.market_type": _tickers_of,
    "market_scan.exchange": _universe_on,
    "market_rank.exchange": _universe_on,
    "orders_place.exchange": _order_on,
    "orders_place.symbol": lambda _world, _value: {"amount": 0.01},
    "orders_place.order_type": _with_price,
    "orders_place.price": lambda _world, _value: {"order_type": "limit"},
    "orders_place.market_type": _market,
    "orders_place.leverage": _perpetual,
    "backtest_execute.exchange": _backtest_on,
    "backtest_execute.strategy_type": _strategy,
    "backtest_execute.leverage": lambda world, _value: _backtest_on(world, "binancefuturesusd"),
    "live_subscribe.mode": _with_account,
    "live_subscribe.account_id": lambda _world, _value: {"mode": "trade"},
}
