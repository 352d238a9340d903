"""The market section: symbols, candles, and expressions over one symbol or many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio.to_thread

from api.market import (
    MARKET_EVALUATE,
    MARKET_OHLCV,
    MARKET_RANK,
    MARKET_SCAN,
    MARKET_TICKERS,
    EvaluateRequest,
    EvaluateResponse,
    OhlcvRequest,
    OhlcvResponse,
    RankRequest,
    RankResponse,
    ScanRequest,
    ScanResponse,
    TickersRequest,
    TickersResponse,
)
from engine.access import ApiCaller
from engine.engine import Engine
from engine.market import candles, listings, research

from .binding import Route, route

T = TypeVar("T")


async def tickers(engine: Engine, _caller: ApiCaller, request: TickersRequest) -> TickersResponse:
    """An exchange's listings, largest first, with last-day figures."""

    def work() -> TickersResponse:
        found = listings.filtered(engine.feed, request)
        shown = candles.tickers(engine.feed, found[: request.limit])
        return TickersResponse(exchange=request.exchange, tickers=shown, total=len(found))

    return await _in_thread(work)


async def ohlcv(engine: Engine, _caller: ApiCaller, request: OhlcvRequest) -> OhlcvResponse:
    """Closed candles of one symbol."""
    return await _in_thread(lambda: candles.page(engine.feed, engine.clock, request))


async def evaluate(engine: Engine, _caller: ApiCaller, request: EvaluateRequest) -> EvaluateResponse:
    """Expressions on one symbol."""
    now = engine.clock.now()
    return await _in_thread(lambda: research.evaluate_symbol(engine.feed, now, request))


async def scan(engine: Engine, _caller: ApiCaller, request: ScanRequest) -> ScanResponse:
    """The symbols on which a condition holds."""
    return await _in_thread(lambda: research.scan(engine.feed, request))


async def rank(engine: Engine, _caller: ApiCaller, request: RankRequest) -> RankResponse:
    """The symbols ranked by an expression."""
    return await _in_thread(lambda: research.rank(engine.feed, request))


async def _in_thread(work: Callable[[], T]) -> T:
    """Reading candles changes nothing, so a cancelled request need not wait for the thread."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


ROUTES: Final[tuple[Route, ...]] = (
    route(MARKET_TICKERS, tickers),
    route(MARKET_OHLCV, ohlcv),
    route(MARKET_EVALUATE, evaluate),
    route(MARKET_SCAN, scan),
    route(MARKET_RANK, rank),
)
