"""Results side by side and as one portfolio, and how results and symbols move together.

Figures are daily: a day's return runs from the last bar closed on the previous day to the last bar closed on that day,
UTC.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from api.errors import InvalidInput
from api.research import CompareRequest, CompareResponse, CorrelationRequest, CorrelationResponse
from api.symbols import resolve
from engine.feeds.feed import Feed
from engine.feeds.market import recent_frame
from engine.frame import Floats
from engine.results.metrics import measure_curve, returns_of
from engine.results.packing import TRADE_COLUMNS, Labels, Table, closing_times, read_books, read_curve, read_trades
from engine.results.reading import result_row

DAY: Final = 86_400
MEASURES: Final = (
    "total_return_pct",
    "annual_return",
    "sharpe_ratio",
    "max_drawdown",
    "num_trades",
    "win_rate",
    "profit_factor",
    "exposure",
)
_LED: Final = ("total_return_pct", "sharpe_ratio", "max_drawdown", "win_rate", "profit_factor")
_COLUMNS: Final = ("summary", "metrics", "equity", "trades", "trade_labels")
_CRITICAL: Final = (-3.33613, -6.1101, -6.823)
"""MacKinnon (2010), "Critical Values for Cointegration Tests": two series, a constant, 5 %: in powers of 1/bars."""
MIN_BARS: Final = 30
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored result: the curve with its closing times, the trades, the assumptions, and any books."""

    result_id: str
    summary: dict[str, Any]
    metrics: dict[str, Any]
    times: NDArray[np.int64]
    equity: Floats
    trades: Table
    labels: Labels
    books: Table

    @classmethod
    def read(cls, connection: sa.Connection, result_id: str, agent_id: str) -> Stored:
        """Read a result of this agent.

        Raises:
            NotFound: A result does not exist.
        """
        row = result_row(connection, result_id, agent_id, _COLUMNS)
        labels = Labels.from_json(row.trade_labels)
        return cls(
            result_id,
            json.loads(row.summary),
            json.loads(row.metrics),
            closing_times(labels),
            read_curve(row.equity, labels),
            read_trades(row.trades),
            labels,
            read_books(row.equity, labels),
        )

    @property
    def cash(self) -> float:
        """Money at the start."""
        return float(self.summary["assumptions"]["initial_cash"])

    @property
    def name(self) -> str:
        """Its name, given by the user."""
        return str(self.summary.get("description") or self.summary.get("strategy_type") or "")[:40]

    def column(self, name: str) -> Floats:
        """A column of the trades."""
        return self.trades[:, TRADE_COLUMNS.index(name)]

    def daily(self) -> tuple[NDArray[np.int64], Floats]:
        """Days since 1970, and the return of each."""
        days = (self.times - 1) // DAY
        last = np.flatnonzero(np.append(np.diff(days) != 0, True))
        return days[last], returns_of(self.equity[last], self.cash)


def compare(results: Sequence[Stored], request: CompareRequest) -> CompareResponse:
    """One table, the leaders, the correlation of daily returns, and, if weights are given, the portfolio.

    Raises:
        InvalidInput: The results of a portfolio have no day in common.
    """
    daily = [result.daily() for result in results]
    common = daily[0][0]
    for days, _ in daily[1:]:
        common = np.intersect1d(common, days)
    table = np.stack([returns[np.isin(days, common)] for days, returns in daily])
    rows = [[r.result_id, r.name, *(short(r.metrics.get(name)) for name in MEASURES)] for r in results]
    warnings: list[str] = []
    if any(len(days) != len(common) for days, _ in daily):
        warnings.append("The results cover different days: their own figures are not of the same market.")
    if len(common) < 2:
        warnings.append("The results have no two days in common, so their returns have no correlation.")
    currencies = sorted({str(result.summary["assumptions"]["quote_currency"]) for result in results})
    if len(currencies) > 1:
        warnings.append(f"The results are in {' and '.join(currencies)}: each return is in its own currency.")
    if request.weights is not None:
        if len(common) < 2:
            raise InvalidInput("the results have no two days in common", suggestion="Compare results of one range")
        rows.append(_portfolio(table, request.weights))
    return CompareResponse(
        columns=["result_id", "name", *MEASURES],
        rows=rows,
        leaders=_leaders(results),
        correlation=correlation(table),
        overlap_days=float(len(common)),
        warnings=warnings,
    )


def _portfolio(table: Floats, weights: Sequence[float]) -> list[Any]:
    """Each strategy trades its share of the account on a separate book; no money moves between books."""
    shares = np.array(weights) / sum(weights)
    curve: Floats = (shares[:, None] * np.cumprod(1.0 + table, axis=1)).sum(axis=0)
    measured = measure_curve(curve, 1.0, DAY)
    return ["portfolio", ", ".join(f"{s:.0%}" for s in shares), *(short(getattr(measured, m, None)) for m in MEASURES)]


def _leaders(results: Sequence[Stored]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LED:
        known = [(r.metrics[name], r.result_id) for r in results if r.metrics.get(name) is not None]
        if known:
            found[name] = max(known, key=lambda pair: pair[0])[1]
    return found


def correlation(table: Floats) -> list[list[float | None]]:
    """Pearson's correlation of the rows; None where a row does not vary."""
    if table.shape[1] < 2:
        return [[None] * len(table) for _ in table]
    with np.errstate(all="ignore"):
        return [[short(value, 3) for value in row] for row in np.atleast_2d(np.corrcoef(table)).tolist()]


def correlate(feed: Feed, request: CorrelationRequest) -> CorrelationResponse:
    """Correlation of returns over the common bars, and each pair's cointegration. Blocking.

    Raises:
        NotFound: A symbol is unknown or has no candles.
        InvalidInput: The symbols share too few bars.
    """
    instruments = tuple(dict.fromkeys(resolve(symbol) for symbol in request.symbols))
    if len(instruments) < 2:
        raise InvalidInput("symbols name one instrument", suggestion="Name two different ones")
    instruments = tuple(feed.listing(instrument).instrument for instrument in instruments)
    frame = recent_frame(feed, instruments, request.timeframe, request.bars)
    prices = np.stack([frame.bars[instrument].close for instrument in instruments])
    prices = prices[:, np.isfinite(prices).all(axis=0)]
    if prices.shape[1] < MIN_BARS:
        raise InvalidInput(
            f"the symbols have {prices.shape[1]} bars of {request.timeframe} in common; {MIN_BARS} are needed",
            suggestion="Use a shorter timeframe, or symbols with more history",
        )
    names = [instrument.ticker for instrument in instruments]
    logs = np.log(prices)
    pairs = [
        {"pair": [names[a], names[b]], **cointegration(logs[a], logs[b])} for a, b in combinations(range(len(names)), 2)
    ]
    known = sorted(pairs, key=lambda pair: pair["adf"] if pair["adf"] is not None else math.inf)
    return CorrelationResponse(
        symbols=names,
        matrix=correlation(np.diff(logs, axis=1)),
        pairs=known[:SHOWN],
        bars=prices.shape[1],
        source=frame.source,
    )


def cointegration(y: Floats, x: Floats) -> dict[str, Any]:
    """Engle and Granger's two steps: y on x with a constant, then a Dickey-Fuller test of the residuals with one lag.

    `cointegrated` is at 5 %; `half_life_bars` is how long a deviation takes to halve.
    """
    slope, constant = np.polyfit(x, y, 1).tolist()
    rest = y - slope * x - constant
    change, before = np.diff(rest), rest[:-1]
    columns = np.stack([before[1:], change[:-1]], axis=1)
    target = change[1:]
    squares = columns.T @ columns
    inverse: Floats = np.linalg.pinv(squares)
    solved: Floats = inverse @ (columns.T @ target)
    size = len(target)
    error: Floats = target - columns @ solved
    spread = math.sqrt(max(float(error @ error) / max(size - 2, 1) * float(inverse[0, 0]), 0.0))
    pull = float(solved[0])
    adf = pull / spread if spread > 0 else None
    critical = _CRITICAL[0] + _CRITICAL[1] / size + _CRITICAL[2] / size**2
    return {
        "hedge_ratio": round(slope, 4),
        "adf": None if adf is None else round(adf, 3),
        "critical_5pct": round(critical, 3),
        "cointegrated": adf is not None and adf < critical,
        "half_life_bars": round(-math.log(2.0) / math.log1p(pull), 1) if -1.0 < pull < 0.0 else None,
    }


def short(value: float | None, digits: int = 5) -> float | None:
    """The value with few significant digits; None where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
