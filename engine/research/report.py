"""A report on one result in parts: figures from its stored equity curve and trades beyond the key figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import HeyTradersError, InvalidInput
from api.research import DEFAULT_PARTS, Part, ReportRequest, ReportResponse
from api.symbols import Instrument, resolve
from api.times import iso8601
from engine.executor import Array, Executor, executor_for, seed_of
from engine.feeds.feed import Feed
from engine.feeds.market import load_frame
from engine.frame import Floats, Frame
from engine.results.metrics import YEAR, measure_curve, returns_of

from .comparison import DAY, Stored, short
from .statistics import BootstrapIntervals, ConfidenceInterval, bootstrap_rows, trade_reshuffle

RUNS: Final = 1_000
PART_RUNS: Final = 100
"""Histories of one task: at 3,650 days it takes about 50 ms and 12 MB."""
DRAWS_PER_BAR: Final = 20
"""Numbers drawn in the time in which a backtest trades a bar."""
WORST: Final = 5
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def report(feed: Feed, setting: str, result: Stored, request: ReportRequest) -> ReportResponse:
    """The requested parts; Monte Carlo runs on the executor of `setting`. Blocking.

    Raises:
        InvalidInput: The result has fewer than two days.
        NotFound: `DATA_UNAVAILABLE`: the benchmark ticker has no candles in the range.
    """
    if len(result.daily()[0]) < 2:
        raise InvalidInput("the result has fewer than two days", suggestion="Report on a longer backtest")
    made = {
        part: _part(feed, setting, result, part, request.ticker)
        for part in dict.fromkeys(request.parts or DEFAULT_PARTS)
    }
    return ReportResponse.model_validate({"result_id": result.result_id, **made})


def _part(feed: Feed, setting: str, result: Stored, part: Part, ticker: str | None) -> Any:
    days, returns = result.daily()
    match part:
        case "months":
            return months_of(result)
        case "weekdays":
            return _weekdays(result)
        case "rolling":
            return _rolling(days, returns)
        case "drawdowns":
            return drawdowns(result.times, result.equity, result.cash)
        case "monte_carlo":
            return _monte_carlo(result, returns, setting)
        case "excursions":
            return _excursions(feed, result)
        case "regimes":
            return _regimes(returns, _held(feed, result, days, ticker))
        case "benchmark":
            return _benchmark(returns, _held(feed, result, days, ticker), ticker or _first(result))


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * DAY, UTC)


def months_of(result: Stored) -> dict[str, list[float | None]]:
    """By year: the return of each month and of the year, percent; null before the start and after the end."""
    days, returns = result.daily()
    found: dict[str, list[float | None]] = {}
    months: dict[tuple[int, int], float] = {}
    for day, value in zip(days.tolist(), returns.tolist(), strict=True):
        at = _date(day)
        months[at.year, at.month] = months.get((at.year, at.month), 1.0) * (1.0 + value)
    for year in sorted({y for y, _ in months}):
        row = [months.get((year, month)) for month in range(1, 13)]
        whole = math.prod(value for value in row if value is not None)
        found[str(year)] = [None if v is None else round(100.0 * (v - 1.0), 2) for v in (*row, whole)]
    return found


def _weekdays(result: Stored) -> dict[str, Any]:
    """The mean return of the bars that closed on each weekday, and in each hour of the day; percent."""
    returns = returns_of(result.equity, result.cash)
    opened = result.times - 1
    weekday, hour = (opened // DAY + 3) % 7, opened // 3_600 % 24
    by_hour = {int(h): _mean(returns[hour == h]) for h in np.unique(hour)} if result.labels.step < DAY else {}
    return {
        "weekday": {_WEEKDAYS[int(w)]: _mean(returns[weekday == w]) for w in np.unique(weekday)},
        **({"hour": {f"{h:02d}": value for h, value in by_hour.items()}} if by_hour else {}),
    }


def _mean(returns: Floats) -> float | None:
    return short(100.0 * float(returns.mean()), 4) if len(returns) else None


def _rolling(days: NDArray[np.int64], returns: Floats) -> dict[str, Any]:
    """Annualised Sharpe ratio over a moving window of 90 days, or a quarter of a shorter range."""
    window = min(90, max(2, len(returns) // 4))
    views = np.lib.stride_tricks.sliding_window_view(returns, window)
    deviation = views.std(axis=1, ddof=1)
    ratios = np.divide(views.mean(axis=1), deviation, out=np.full(len(views), np.nan), where=deviation > 1e-15)
    kept = np.unique(np.linspace(0, len(ratios) - 1, min(24, len(ratios))).astype(np.int64))
    yearly = ratios * math.sqrt(YEAR / DAY)
    return {
        "window_days": window,
        "lowest": short(float(np.nanmin(yearly)), 4) if np.isfinite(yearly).any() else None,
        "highest": short(float(np.nanmax(yearly)), 4) if np.isfinite(yearly).any() else None,
        "sharpe_ratio": [
            [_date(int(days[i + window - 1])).strftime("%Y-%m-%d"), short(float(yearly[i]), 3)] for i in kept.tolist()
        ],
    }


def drawdowns(times: NDArray[np.int64], equity: Floats, cash: float) -> list[dict[str, Any]]:
    """The deepest drawdowns: peak, lowest point, and recovery of the peak."""
    curve = np.concatenate(([cash], equity))
    at = np.concatenate((times[:1], times))
    peak = np.maximum.accumulate(curve)
    under = curve < peak
    edges = np.flatnonzero(np.diff(np.concatenate(([False], under, [False])).astype(np.int8)))
    found: list[tuple[float, int, int, int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        low = start + int(np.argmin(curve[start:end] / peak[start:end]))
        found.append((float(curve[low] / peak[low] - 1.0), start - 1, low, end))
    return [
        {
            "depth": short(depth),
            "peak": iso8601(float(at[start])),
            "lowest": iso8601(float(at[low])),
            "recovered": iso8601(float(at[end])) if end < len(at) else None,
            "days": round(float(at[min(end, len(at) - 1)] - at[start]) / DAY, 1),
        }
        for depth, start, low, end in sorted(found)[:WORST]
    ]


@dataclass(frozen=True, slots=True)
class Draw:
    """Some of the histories of a Monte Carlo; the seed comes from the work's name and the part's number."""

    work: str
    part: int
    cash: float


def draw(shared: Mapping[str, Array], task: Draw) -> tuple[Floats, Floats]:
    """Resampled blocks of days, see `bootstrap_rows`; the drawdowns of the trades in another order."""
    rng = np.random.default_rng(seed_of(task.work, task.part))
    drawn = bootstrap_rows(shared["returns"], YEAR / DAY, rng, PART_RUNS)
    profits = shared["profits"]
    return drawn, trade_reshuffle(profits, task.cash, rng, PART_RUNS) if len(profits) > 1 else np.empty(0)


def monte_carlo(executor: Executor, work: str, returns: Floats, profits: Floats, cash: float) -> dict[str, Any]:
    """95 % intervals of `RUNS` simulated histories; the same on every executor.

    Args:
        work: Names the work, and so sets the random seed.
        returns: Of each day.
        profits: Of each trade, money.
        cash: At the start.
    """
    executor.share("returns", returns)
    executor.share("profits", profits)
    parts = dict(executor.map(draw, [Draw(work, part, cash) for part in range(RUNS // PART_RUNS)]))
    drawn = BootstrapIntervals.of(np.concatenate([parts[part][0] for part in sorted(parts)], axis=1))
    order = np.concatenate([parts[part][1] for part in sorted(parts)])
    return {
        "runs": RUNS,
        "block_bootstrap": {
            "total_return_pct": _interval(drawn.return_pct),
            "max_drawdown": _interval(drawn.max_drawdown),
            "sharpe_ratio": _interval(drawn.sharpe_ratio),
        },
        "trade_reshuffle": {"max_drawdown": _interval(ConfidenceInterval.of(order) if len(order) else None)},
    }


def _monte_carlo(result: Stored, returns: Floats, setting: str) -> dict[str, Any]:
    profits = result.column("pnl")
    executor = executor_for(RUNS * (len(returns) + len(profits)) // DRAWS_PER_BAR, setting)
    try:
        return monte_carlo(executor, result.result_id, returns, profits, result.cash)
    finally:
        executor.close()


def _interval(found: ConfidenceInterval | None) -> dict[str, float | None] | None:
    return None if found is None else {name: short(value, 4) for name, value in asdict(found).items()}


def _first(result: Stored) -> str:
    return str(result.summary["universe"][0])


def _held(feed: Feed, result: Stored, days: NDArray[np.int64], ticker: str | None) -> Floats:
    """The ticker's return on each of the days; NaN where it has none."""
    instrument = resolve(ticker or _first(result))
    start = int(days[0] - 60) * DAY
    try:
        frame = load_frame(feed, (instrument,), "1d", start, int(days[-1] + 1) * DAY)
    except HeyTradersError:
        frame = load_frame(feed, (instrument,), "1d", int(days[0]) * DAY, int(days[-1] + 1) * DAY)
    close = frame.bars[instrument].close
    held = np.full(int(days[-1]) + 1, np.nan)
    held[frame.time[1:] // DAY] = close[1:] / close[:-1] - 1.0
    return held[days]


def _benchmark(returns: Floats, held: Floats, ticker: str) -> dict[str, Any]:
    """Least squares of daily returns on the ticker's: annual alpha, beta, correlation."""
    known = np.isfinite(held)
    mine, theirs = returns[known], held[known]
    variance = float(theirs.var()) if len(theirs) > 2 else 0.0
    if variance <= 0.0:
        return {"ticker": ticker, "days": len(theirs), "alpha": None, "beta": None, "correlation": None}
    beta = float(((mine - mine.mean()) * (theirs - theirs.mean())).mean()) / variance
    spread = float(mine.std()) * math.sqrt(variance)
    return {
        "ticker": ticker,
        "days": len(theirs),
        "alpha": short((float(mine.mean()) - beta * float(theirs.mean())) * YEAR / DAY),
        "beta": short(beta),
        "correlation": short(beta * variance / spread) if spread > 0 else None,
    }


def _regimes(returns: Floats, held: Floats) -> dict[str, Any]:
    """Days grouped by a rising or falling market over the previous 30 days, and by higher or lower volatility than
    usual."""
    filled = np.nan_to_num(held)
    size = len(filled)
    if size < 60:
        raise InvalidInput(f"regimes need 60 days, and there are {size}", suggestion="Report on a longer backtest")
    views = np.lib.stride_tricks.sliding_window_view(filled, 30)[:-1]
    rising, wild = views.sum(axis=1) > 0.0, views.std(axis=1)
    loud = wild > np.median(wild)
    mine = returns[30:]
    found: dict[str, Any] = {}
    for name, where in (("rising", rising), ("falling", ~rising), ("volatile", loud), ("calm", ~loud)):
        part = mine[where]
        curve: Floats = np.cumprod(1.0 + part).astype(np.float64)
        measured = measure_curve(curve, 1.0, DAY) if len(part) > 1 else None
        found[name] = {
            "days": len(part),
            "total_return_pct": measured and short(measured.total_return_pct),
            "sharpe_ratio": measured and short(measured.sharpe_ratio),
        }
    return found


def _excursions(feed: Feed, result: Stored) -> dict[str, Any]:
    """How far the price went against (MAE) and for (MFE) trades while they were open, percent of the entry price.

    The bars before that of the exit count in full. In the bar of the exit only the exit price is known to have come
    before the end.
    """
    if not len(result.trades):
        return {"trades": 0}
    start, end = int(result.times[0]) - result.labels.step, int(result.times[-1])
    against, favour = np.zeros(len(result.trades)), np.zeros(len(result.trades))
    for number, ticker in enumerate(result.labels.tickers):
        instrument = resolve(ticker)
        frame = load_frame(feed, (instrument,), result.summary["timeframe"], start, end)
        _reach(frame, instrument, result, result.column("ticker") == number, against, favour)
    won = result.column("pnl") > 0
    return {
        "trades": len(result.trades),
        **{
            f"{name}_{who}": {"median": _quantile(values[which], 0.5), "90 %": _quantile(values[which], 0.9)}
            for name, values in (("mae_pct", against), ("mfe_pct", favour))
            for who, which in (("winners", won), ("losers", ~won))
        },
    }


def _reach(
    frame: Frame, instrument: Instrument, result: Stored, own: NDArray[np.bool_], against: Floats, favour: Floats
) -> None:
    bars = frame.bars[instrument]
    entered, left = result.column("entry_time"), result.column("exit_time")
    rows: list[int] = np.flatnonzero(own).tolist()
    for row in rows:
        first = int(np.searchsorted(frame.time, float(entered[row])))
        last = int(np.searchsorted(frame.time, float(left[row])))
        entry, ended = float(result.column("entry_price")[row]), float(result.column("exit_price")[row])
        high, low = bars.high[first:last].tolist(), bars.low[first:last].tolist()
        up = max(entry, ended, *(each for each in high if each == each)) / entry - 1.0
        down = 1.0 - min(entry, ended, *(each for each in low if each == each)) / entry
        long = result.column("side")[row] > 0
        against[row], favour[row] = (100.0 * down, 100.0 * up) if long else (100.0 * up, 100.0 * down)


def _quantile(values: Floats, share: float) -> float | None:
    return short(float(np.quantile(values, share)), 4) if len(values) else None
