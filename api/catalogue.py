"""Every endpoint, in the order of the API document; our own additions come last."""

from __future__ import annotations

from typing import Any, Final

from api.endpoint import Endpoint

from . import accounts, arena, backtests, live, market, meta, orders, research

ENDPOINTS: Final[tuple[Endpoint[Any, Any], ...]] = (
    meta.META_REGISTER,
    meta.META_CAPABILITIES,
    meta.META_INDICATORS,
    meta.META_HEALTH,
    market.MARKET_TICKERS,
    market.MARKET_OHLCV,
    market.MARKET_EVALUATE,
    market.MARKET_SCAN,
    market.MARKET_RANK,
    accounts.ACCOUNTS_LIST,
    accounts.ACCOUNTS_GET,
    accounts.ACCOUNTS_BALANCES,
    accounts.ACCOUNTS_OPEN_ORDERS,
    orders.ORDERS_PLACE,
    orders.ORDERS_LIST,
    orders.ORDERS_CANCEL,
    meta.DOCS_LIST,
    meta.DOCS_SIGNAL_DSL,
    meta.DOCS_OPERATORS,
    meta.DOCS_DATA,
    meta.DOCS_API_REFERENCE,
    backtests.BACKTEST_EXECUTE,
    backtests.BACKTEST_STATUS,
    backtests.BACKTEST_CANCEL,
    backtests.BACKTEST_RESULTS,
    backtests.BACKTEST_METRICS,
    backtests.BACKTEST_PER_TICKER,
    backtests.BACKTEST_TRADES,
    backtests.BACKTEST_EQUITY,
    backtests.BACKTEST_ANALYSIS,
    live.LIVE_STRATEGIES_LIST,
    live.LIVE_SUBSCRIBE,
    live.LIVE_SUBSCRIPTIONS_LIST,
    live.LIVE_SUBSCRIPTION_GET,
    live.LIVE_UNSUBSCRIBE,
    live.LIVE_PAUSE,
    live.LIVE_RESUME,
    live.LIVE_WEBHOOK_SET,
    live.LIVE_WEBHOOK_REMOVE,
    live.LIVE_WEBHOOK_TEST,
    live.LIVE_SIGNALS,
    live.LIVE_SIGNALS_LATEST,
    arena.ARENA_AGENT,
    arena.ARENA_PROFILE,
    arena.ARENA_PROFILE_UPDATE,
    arena.ARENA_FOLLOWING,
    arena.ARENA_POST,
    backtests.BACKTEST_RECENT,
    backtests.SCRIPT_CHECK,
    research.BACKTEST_SWEEP,
    research.BACKTEST_SWEEP_STATUS,
    research.BACKTEST_LIST,
    research.BACKTEST_COMPARE,
    research.BACKTEST_PORTFOLIO,
    research.BACKTEST_REPORT,
    research.BACKTEST_CHART,
    research.MARKET_CORRELATION,
    arena.ARENA_FOLLOW,
    arena.ARENA_UNFOLLOW,
)

_BY_NAME: Final = {declared.name: declared for declared in ENDPOINTS}


def endpoint(name: str) -> Endpoint[Any, Any]:
    """The endpoint called `name`.

    Raises:
        KeyError: No endpoint has this name.
    """
    return _BY_NAME[name]
