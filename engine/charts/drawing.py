"""Turns stored results into charts, and into a self-contained report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import HeyTradersError, InvalidInput
from api.symbols import Instrument, resolve
from api.times import iso8601
from engine.feeds.feed import Feed
from engine.feeds.market import load_frame
from engine.frame import Bars, Bools, Floats, Frame
from engine.language.compile import CompiledScript, compile_script
from engine.language.script import ScriptContext
from engine.program import Entry, ParameterValue, StaticProgram
from engine.research.comparison import Stored
from engine.research.report import months_of
from engine.results.packing import TRADE_COLUMNS, Table
from engine.simulation.schedule import at

from . import Chart, Theme, svg
from .specifications import (
    ChartRow,
    Point,
    allocation_chart,
    bars_chart,
    comparison_chart,
    equity_chart,
    heatmap_chart,
    months_chart,
    trades_chart,
    walk_forward_chart,
)

POINTS: Final = 400
AREA_POINTS: Final = 160
CANDLES: Final = 100
"""Candles of a picture: each has 7 of its 700 points. A trade that took more bars is drawn with longer candles."""
FEWEST_CANDLES: Final = 80
SHOWN_TRADES: Final = 8
_BEFORE: Final = 6
"""Candles before the first entry."""
_KEY: Final = (
    "total_return_pct",
    "annual_return",
    "sharpe_ratio",
    "max_drawdown",
    "num_trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "total_fees",
)


def result_chart(feed: Feed, result: Stored, kind: str) -> Chart:
    """A picture of one result. Blocking.

    Raises:
        InvalidInput: The kind is for sweeps only, or there is nothing to draw.
    """
    title, span = _title(result), f"{result.summary['start_date']} to {result.summary['end_date']}"
    total = result.metrics["total_return_pct"]
    match kind:
        case "equity" | "report":
            hold = _hold(feed, result)
            held = f" against {100.0 * (hold[-1][1] / hold[0][1] - 1.0):+.1f} % for holding" if hold else ""
            return equity_chart(title, _points(result.times, result.equity), hold, f"{total:+.1f} %{held}, {span}")
        case "months":
            return months_chart("Return of each month, percent", months_of(result), f"{title}, {span}")
        case "allocation" if len(result.books):
            return _allocation(result, f"{total:+.1f} %, {span}. {result.summary['portfolio']['rebalancing']}")
        case "allocation":
            pnl, ticker = result.column("pnl"), result.column("ticker")
            shares = {
                name: 100.0 * float(pnl[ticker == number].sum()) / result.cash
                for number, name in enumerate(result.labels.tickers)
            }
            ranked = dict(sorted(shares.items(), key=lambda item: -item[1]))
            return bars_chart("What each ticker contributed", ranked, "Percent of initial cash", f"{title}, {span}")
        case "trades":
            return _trades(feed, result)
        case _:
            raise InvalidInput(f"{kind} is a picture of a sweep", suggestion="Name a sweep_id, or kind equity")


def sweep_chart(found: dict[str, Any], kind: str) -> Chart:
    """A picture of a sweep's findings.

    Raises:
        InvalidInput: There is nothing to draw.
    """
    if kind == "walk_forward":
        if not found["equity"]:
            raise InvalidInput("the sweep has no walk-forward", suggestion="Sweep a longer range")
        outside = found["out_of_sample"]["total_return_pct"]
        summary = f"{outside:+.1f} % in {len(found['folds'])} tests; values chosen on what came before each"
        curve = [(t, v) for t, v in found.get("curve") or found["equity"]]
        return walk_forward_chart("Out of sample", curve, found["folds"], summary)
    names = list(found["grid"])
    if not found["scores"]:
        raise InvalidInput("the sweep has too many variants for a picture", suggestion="Use a grid of at most 2,500")
    across, up = names[0], names[1] if len(names) > 1 else names[0]
    best: dict[tuple[float, float], float] = {}
    for row in found["scores"]:
        score = row[-1]
        if score is not None:
            cell = (found["grid"][across][row[0]], found["grid"][up][row[1]] if len(names) > 1 else 0.0)
            best[cell] = max(best.get(cell, score), score)
    if not best:
        raise InvalidInput("no variant has a score", suggestion="Look at the sweep's rows and warnings")
    others = f"; the best over {', '.join(names[2:])}" if len(names) > 2 else ""
    return heatmap_chart(
        "Parameter sweep",
        (across, up if len(names) > 1 else ""),
        [(x, y, score) for (x, y), score in sorted(best.items())],
        found["objective"],
        f"{found['variants']:,} variants; the best is framed{others}",
    )


def compared_chart(results: Sequence[Stored]) -> Chart:
    """The equity of several results, each starting at 100."""
    curves = {
        f"{n}. {each.name or 'Strategy'}"[:34]: _points(each.times, each.equity) for n, each in enumerate(results, 1)
    }
    return comparison_chart(f"{len(results)} strategies", curves, "Equity, 100 at the start")


def report_html(feed: Feed, result: Stored) -> str:
    """Everything about a result on one page: pictures as SVG, figures, assumptions, warnings and the script.

    Each picture is there twice, in light and in dark colours; the page shows those that the reader's browser prefers.
    """
    pictures: list[str] = []
    for kind in ("equity", "months", "trades", "allocation"):
        try:
            chart = result_chart(feed, result, kind)
        except HeyTradersError:
            continue
        drawn = "".join(
            f'<div class="{theme}">{_own_ids(svg(chart, theme), f"{kind}-{theme}")}</div>' for theme in _BOTH
        )
        pictures.append(f'<figure role="img" aria-label="{escape(chart.alt)}">{drawn}</figure>')
    figures = "".join(
        f"<tr><th>{escape(n.replace('_', ' '))}</th><td>{_shown(result.metrics.get(n))}</td></tr>" for n in _KEY
    )
    assumed = "".join(
        f"<tr><th>{escape(n.replace('_', ' '))}</th><td>{escape(str(v))}</td></tr>"
        for n, v in result.summary["assumptions"].items()
        if v is not None
    )
    doubts = "".join(f"<li>{escape(each)}</li>" for each in result.summary["warnings"])
    return _PAGE.format(
        title=escape(_title(result)),
        pictures="".join(pictures),
        figures=figures,
        assumed=assumed,
        doubts=f"<h2>Reasons for doubt</h2><ul>{doubts}</ul>" if doubts else "",
        script=escape(result.summary["script"]),
    )


def _own_ids(drawn: str, name: str) -> str:
    """The SVG with ids that no other picture of the page has: each refers to its own clip paths and gradients."""
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)


def _allocation(result: Stored, summary: str) -> Chart:
    """The money of each book of a portfolio, over time."""
    kept = np.unique(np.linspace(0, len(result.equity) - 1, min(AREA_POINTS, len(result.equity))).astype(np.int64))
    times = [iso8601(float(at)) for at in result.times[kept]]
    names = result.labels.books
    return allocation_chart(
        "The account, book by book", times, dict(zip(names, result.books[:, kept].tolist(), strict=True)), summary
    )


def _title(result: Stored) -> str:
    universe = result.summary["universe"]
    where = universe[0] if len(universe) == 1 else f"{len(universe)} tickers"
    return f"{result.name or 'Strategy'} on {where}, {result.summary['timeframe']}"


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else escape(str(value))


def _points(times: NDArray[np.int64], values: Floats) -> list[Point]:
    """At most `POINTS` of a curve, the first, the last, the highest and the lowest among them."""
    even = np.linspace(0, len(values) - 1, min(POINTS, len(values))).astype(np.int64)
    kept = np.unique(np.concatenate((even, [int(np.argmax(values)), int(np.argmin(values))])))
    return [(iso8601(float(times[i])), round(float(values[i]), 4)) for i in kept.tolist()]


def _hold(feed: Feed, result: Stored) -> list[Point]:
    """The initial cash in equal parts in every ticker, without costs; None if candles are missing."""
    instruments = tuple(resolve(ticker) for ticker in result.labels.tickers)
    start, end = int(result.times[0]) - result.labels.step, int(result.times[-1])
    try:
        frame = load_frame(feed, instruments, result.summary["timeframe"], start, end)
    except HeyTradersError:
        return []
    curves: list[Floats] = []
    for bars in frame.bars.values():
        known = np.flatnonzero(np.isfinite(bars.close))
        close = bars.close[known[np.maximum(np.searchsorted(known, np.arange(len(bars.close)), side="right") - 1, 0)]]
        curves.append(close / close[0])
    held: Floats = np.mean(curves, axis=0) * result.cash
    return _points(frame.time + frame.seconds, held)


def _trades(feed: Feed, result: Stored) -> Chart:
    """The candles up to the last trade of the first ticker that traded."""
    if not len(result.trades):
        raise InvalidInput("the result has no trade to draw", suggestion="Draw kind equity")
    number = int(result.column("ticker")[-1])
    ticker, step = result.labels.tickers[number], result.labels.step
    own = result.trades[result.column("ticker") == number]
    columns = {
        name: own[:, i]
        for i, name in enumerate(("ticker", "side", "amount", "entry_time", "exit_time", "entry_price", "exit_price"))
    }
    end = int(columns["exit_time"].max()) + 4 * step
    entries = np.sort(columns["entry_time"])[::-1][:SHOWN_TRADES]
    wanted = [int(at) for at in entries.tolist() if end - at <= (CANDLES - _BEFORE) * step]
    begin = min(*(wanted or [int(entries[0])]), end - FEWEST_CANDLES * step) - _BEFORE * step
    together = math.ceil((end - begin) / (CANDLES * step))
    script = _compiled(result)
    instruments = dict.fromkeys((resolve(ticker), *(() if script is None else script.instruments)))
    warmup = 0 if script is None else script.warmup_bars
    loaded = load_frame(feed, tuple(instruments), result.summary["timeframe"], begin, end, warmup)
    first = int(np.searchsorted(loaded.time, begin))
    frame, bars = loaded, loaded.bars[resolve(ticker)]
    candles = _candles(frame, bars, first, together)
    reasons = result.column("exit_reason")[result.column("ticker") == number]
    shown = np.flatnonzero(columns["entry_time"] >= frame.time[first]).tolist()
    trades = [
        {
            "entry_time": iso8601(columns["entry_time"][i]),
            "exit_time": iso8601(columns["exit_time"][i]),
            "entry_price": float(columns["entry_price"][i]),
            "exit_price": float(columns["exit_price"][i]),
            "exit_reason": result.labels.reasons[int(reasons[i])],
        }
        for i in shown
    ]
    levels = [] if script is None else _levels(script, loaded, resolve(ticker), own[shown])
    longer = f"; each candle is {together} bars" if together > 1 else ""
    last = "the last trade" if len(trades) == 1 else f"the last {len(trades)} trades"
    told = f"{ticker}; {last}{longer}"
    return trades_chart(_title(result), candles, trades, levels, told)


def _candles(frame: Frame, bars: Bars, first: int, together: int) -> list[ChartRow]:
    """The bars from `first` on, `together` of them in a candle, which is placed at their middle."""
    known = np.flatnonzero(np.isfinite(bars.close))
    found: list[ChartRow] = []
    for start in range(first, len(frame), together):
        own = known[(known >= start) & (known < start + together)]
        if len(own):
            found.append(
                {
                    "time": iso8601(float(frame.time[start]) + 0.5 * (together - 1) * frame.seconds),
                    "open": float(bars.open[own[0]]),
                    "high": float(bars.high[own].max()),
                    "low": float(bars.low[own].min()),
                    "close": float(bars.close[own[-1]]),
                }
            )
    return found


def _compiled(result: Stored) -> CompiledScript | None:
    """The result's script; None if it no longer compiles or several strategies share the account."""
    summary = result.summary
    if len(result.books):
        return None
    assumed = summary["assumptions"]
    universe = tuple(resolve(ticker) for ticker in result.labels.tickers)
    context = ScriptContext(universe, summary["timeframe"], assumed["mode"], assumed["exchange"])
    try:
        return compile_script(summary["script"], context)
    except HeyTradersError:
        return None


def _levels(script: CompiledScript, frame: Frame, instrument: Instrument, trades: Table) -> list[ChartRow]:
    """The levels of each trade's stop and target, bar by bar, as set by its entry.

    Only for scripts that do not read the account: the decisions of others cannot be derived from the candles.
    """
    program = None if script.stateful else script.program(frame)
    if not isinstance(program, tuple):
        return []
    column = {name: trades[:, i] for i, name in enumerate(TRADE_COLUMNS)}
    bars, found = frame.bars[instrument], list[ChartRow]()
    for row in range(len(trades)):
        entered = int(np.searchsorted(frame.time, float(column["entry_time"][row])))
        left = int(np.searchsorted(frame.time, float(column["exit_time"][row]), side="right"))
        side, price, decided = float(column["side"][row]), float(column["entry_price"][row]), entered - 1
        entry = next((e for e in _entries(program, instrument, side) if decided >= 0 and e[0][decided]), None)
        if entry is None:
            continue
        stop, target, trail = (_fraction(value, decided) for value in entry[1:])
        best = bars.high[entered:left] if side > 0 else bars.low[entered:left]
        for kind, path in (
            ("stop level", stop_path(side, price, stop, trail, best)),
            ("target", [] if target is None else [price * (1.0 + side * target)] * len(best)),
        ):
            found += [
                {"time": iso8601(float(frame.time[entered + i])), "price": level, "kind": kind, "trade": row}
                for i, level in enumerate(path)
            ]
    return found


_Entry = tuple[Bools, ParameterValue | None, ParameterValue | None, ParameterValue | None]


def _entries(program: StaticProgram, instrument: Instrument, side: float) -> Iterator[_Entry]:
    """The condition of each entry on that side, with its stop, target and trailing stop."""
    for emission in program:
        for intent in emission.intents:
            if isinstance(intent, Entry) and intent.instrument == instrument and intent.side == side:
                yield emission.condition, intent.stop_loss, intent.take_profit, intent.trailing_stop


def _fraction(value: ParameterValue | None, bar: int) -> float | None:
    found = None if value is None else at(value, bar)
    return None if found is None or not np.isfinite(found) else found


def stop_path(side: float, entry: float, stop: float | None, trail: float | None, best: Floats) -> list[float]:
    """The stop in force in each bar: the fixed one, or the trailing one when that is nearer.

    Args:
        side: 1 long, -1 short.
        stop: A fraction of the entry price.
        trail: A fraction of the best price of the bars before.
        best: Each bar's best price for the position.
    """
    if stop is None and trail is None:
        return []
    path: list[float] = []
    peak = entry
    for price in best.tolist():
        levels = [entry * (1.0 - side * stop)] if stop is not None else []
        levels += [peak * (1.0 - side * trail)] if trail is not None else []
        path.append(max(levels) if side > 0 else min(levels))
        peak = (max if side > 0 else min)(peak, price) if price == price else peak
    return path


_BOTH: Final[tuple[Theme, ...]] = ("light", "dark")
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#1f2328;
background:#fff}}
figure{{margin:1.5em 0}}svg{{max-width:100%;height:auto}}table{{border-collapse:collapse;margin:1em 0}}
th{{text-align:left;font-weight:normal;padding:.15em 1.5em .15em 0;color:#57606a}}
td{{font-variant-numeric:tabular-nums}}
pre{{background:#f4f5f7;padding:1em;overflow:auto}}.dark{{display:none}}
@media (prefers-color-scheme:dark){{.light{{display:none}}.dark{{display:block}}
body{{color:#e6e8eb;background:#14171c}}th{{color:#9aa2ac}}pre{{background:#22262d}}}}</style></head>
<body><h1>{title}</h1>{pictures}<h2>Figures</h2><table>{figures}</table>{doubts}
<h2>Assumptions</h2><table>{assumed}</table><h2>Script</h2><pre>{script}</pre></body></html>
"""
