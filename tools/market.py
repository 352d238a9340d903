"""Market data and screening."""

from __future__ import annotations

from typing import Final

from .declaration import LOOK, EndpointTool

MARKET: Final = (
    EndpointTool(
        name="market_tickers",
        title="List tradable symbols",
        description="List the symbols that the other market tools take, largest first, by category or sector.",
        hints=LOOK,
    ),
    EndpointTool(
        name="market_ohlcv",
        title="Get candles",
        description="Closed OHLCV candles of one symbol. To compute something from them use market_evaluate.",
        hints=LOOK,
    ),
    EndpointTool(
        name="market_evaluate",
        title="Evaluate expressions",
        description="Evaluate one Signal DSL expression or several on one symbol, now or as_of a moment. "
        "For many symbols use market_scan (true or false) or market_rank (a number).",
        hints=LOOK,
    ),
    EndpointTool(
        name="market_scan",
        title="Scan symbols by a condition",
        description="Find the symbols of a universe for which a condition holds on the last closed bar. "
        "To order symbols by a number use market_rank.",
        hints=LOOK,
    ),
    EndpointTool(
        name="market_rank",
        title="Rank symbols by a number",
        description="Order the symbols of a universe by a numeric expression on the last closed bar. "
        "To filter by a condition use market_scan.",
        hints=LOOK,
    ),
    EndpointTool(
        name="market_correlation",
        title="Correlate symbols",
        description="Correlation matrix of returns and cointegration of each pair of symbols.",
        hints=LOOK,
    ),
)
