"""A sweep from spec to findings: run every variant, judge the search, walk forward, recommend one variant or none.

Runs in a job's worker process, which hands blocks of variants to the executor. Each variant counts as tried.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.times import iso8601
from engine.executor import Executor, executor_for
from engine.frame import Floats, Frame
from engine.jobs.preparation import context_of
from engine.jobs.run import ReportRun, loaded_frame, open_feed_at, settings_of, unfunded
from engine.jobs.spec import CandleOrigin, SweepOutcome
from engine.results.metrics import YEAR, measure_curve

from .plan import DAY, Periods, SweepSpec, block_size, reach, variant_names
from .statistics import Luck, Table, WalkForward, WalkForwardWindows, luck_of, walk_forward
from .variants import METRICS, TOGETHER, Measured, SweepTerms, blocks, run_block, share_of

SHOWN: Final = ("total_return_pct", "sharpe_ratio", "max_drawdown", "num_trades", "win_rate", "profit_factor")
CERTAIN: Final = 0.95
OVERFITTED: Final = 0.4
FEW_TRADES: Final = 30
PLATEAU: Final = 0.6
CURVE_POINTS: Final = 24
DRAWN_POINTS: Final = 300
_FOLDS: Final = 6

_LOADING, _RUNNING, _JUDGING = 1, 6, 7


@dataclass(frozen=True, slots=True)
class Ran:
    """Every variant's figures: `metrics` by `METRICS`, `returns` by period."""

    metrics: NDArray[np.float64]
    returns: Table
    refused: dict[int, str]

    def column(self, name: str) -> Floats:
        """One figure of all variants; NaN: undefined."""
        return self.metrics[:, METRICS.index(name)]


def run_sweep(world: CandleOrigin, text: str, report: ReportRun) -> SweepOutcome:
    """Run the sweep in `text`.

    Raises:
        HeyTradersError: There is no bar to trade on, or no variant can run.
    """
    spec = SweepSpec.from_json(text)
    base = spec.base
    feed = open_feed_at(world, base.as_of)
    report(0.02, _LOADING)
    variants = spec.variants
    instruments, warmup = reach(spec)
    frame, first_bar = loaded_frame(feed, base, instruments, warmup)
    periods = Periods.of(frame.time[first_bar:], frame.seconds)
    terms = SweepTerms(
        sweep=f"{base.variant}:{base.as_of}:{base.start}:{len(frame)}",
        script=base.script,
        context=context_of(base),
        names=spec.names,
        instruments=tuple(frame.bars),
        sources=tuple(bars.source for bars in frame.bars.values()),
        first_bar=first_bar,
        settings=settings_of(base, feed),
    )
    report(0.05, _RUNNING)
    executor = executor_for(len(frame) * len(variants), world.executor, helps=len(frame.bars) == 1)
    try:
        ran = run_variants(executor, terms, variants, frame, periods, lambda done: report(0.05 + 0.85 * done, _RUNNING))
    finally:
        executor.close()
    report(0.9, _JUDGING)
    told = replace(spec, base=replace(base, warnings=(*base.warnings, *unfunded(base, feed))))
    found = judge(told, ran, frame.time[first_bar:][periods.edges] + frame.seconds, periods, warmup)
    tried = dict(zip(variant_names(base, variants), _numbers(ran.column("sharpe_ratio")), strict=True))
    found["data_source"] = frame.source
    return SweepOutcome(
        market=base.market,
        start=base.start,
        end=base.end,
        bar_seconds=frame.seconds,
        experiment=base.experiment,
        found=json.dumps(found, allow_nan=False),
        tried=json.dumps(tried, allow_nan=False),
    )


def run_variants(
    executor: Executor,
    terms: SweepTerms,
    variants: NDArray[np.float64],
    frame: Frame,
    periods: Periods,
    look: Callable[[float], None],
) -> Ran:
    """Run every variant; the same numbers whatever the executor and the size of the blocks."""
    for name, array in share_of(frame, periods.edges).items():
        executor.share(name, array)
    most = block_size(len(frame), len(terms.context.universe))
    rounds = math.ceil(len(variants) / most / executor.workers)
    size = max(1, math.ceil(len(variants) / (rounds * executor.workers)))
    # Not decided by the size of the blocks, which depends on the number of workers: every executor gives the same bits.
    parts = blocks(terms, variants, size, together=min(most, len(variants)) >= TOGETHER)
    metrics = np.empty((len(variants), len(METRICS)))
    returns = np.empty((len(variants), len(periods.edges)))
    refused: dict[int, str] = {}
    for number, (index, part) in enumerate(executor.map(run_block, parts), 1):
        _place(part, index * size, metrics, returns, refused)
        look(number / len(parts))
    return Ran(metrics, returns, refused)


def _place(part: Measured, start: int, metrics: Table, returns: Table, refused: dict[int, str]) -> None:
    metrics[start : start + len(part.metrics)] = part.metrics
    returns[start : start + len(part.returns)] = part.returns
    refused.update({start + row: why for row, why in part.refused.items()})


def judge(spec: SweepSpec, ran: Ran, ends: NDArray[np.int64], periods: Periods, warmup: int) -> dict[str, Any]:
    """The stored findings: rows, luck, walk-forward and the recommendation."""
    objective = np.where(np.isnan(ran.column(spec.objective)), -np.inf, ran.column(spec.objective))
    order = np.argsort(-objective, kind="stable")
    best = int(order[0])
    per_year = YEAR / periods.seconds
    luck = luck_of(ran.returns, best, per_year, len(ran.returns) + spec.tried_before)
    walked = _walked(spec, ran, periods, warmup)
    neighbours = _neighbours(spec, objective, best)
    found = {
        "variants": len(objective),
        "columns": [*spec.names, *SHOWN],
        "rows": _rows(spec, ran, order),
        "default_rank": _default_rank(spec, order),
        "shape": _shape(float(objective[best]), neighbours),
        "neighbours": _number(neighbours),
        **{name: _number(value) for name, value in asdict(luck).items() if name != "splits"},
        "memory_mb": spec.memory_mb,
        **_samples(spec, walked, ends, periods),
    }
    reasons = _doubts(ran, best, luck, found)
    chosen = dict(zip(spec.names, spec.variants[best].tolist(), strict=True))
    return {
        **found,
        "recommendation": _sentence(chosen, reasons, luck, found),
        "recommended": None if reasons else chosen,
        "warnings": _warnings(spec, ran, walked, ranked=found["default_rank"] is not None),
        "objective": spec.objective,
        "grid": {name: list(values) for name, values in zip(spec.names, spec.values, strict=True)},
        "scores": _scores(spec, objective),
    }


def _scores(spec: SweepSpec, objective: Floats) -> list[list[float | None]]:
    """For pictures: grid indices and score of at most 2,500 variants."""
    if len(objective) > 2_500:
        return []
    return [[*place, _number(score)] for place, score in zip(spec.grid.tolist(), objective.tolist(), strict=True)]


def _rows(spec: SweepSpec, ran: Ran, order: NDArray[np.int64]) -> list[list[float | None]]:
    shown = [METRICS.index(name) for name in SHOWN]
    variants = spec.variants
    return [[*variants[row].tolist(), *(_number(v) for v in ran.metrics[row, shown])] for row in order[: spec.top]]


def _default_rank(spec: SweepSpec, order: NDArray[np.int64]) -> int | None:
    """The rank of the script's default values, if they were among the variants."""
    same = np.flatnonzero((spec.variants == np.array(spec.defaults)).all(axis=1))
    return int(np.flatnonzero(order == same[0])[0]) + 1 if len(same) else None


def _neighbours(spec: SweepSpec, objective: Floats, best: int) -> float | None:
    """The median score of the variants one step away in one parameter."""
    grid = spec.grid
    near = objective[np.abs(grid - grid[best]).sum(axis=1) == 1]
    return float(np.median(near)) if len(near) else None


def _shape(best: float, neighbours: float | None) -> str | None:
    """Whether the neighbours of a best score above 0 do nearly as well."""
    if neighbours is None or not math.isfinite(best) or best <= 0.0:
        return None
    return "plateau" if neighbours >= PLATEAU * best else "spike"


def _walked(spec: SweepSpec, ran: Ran, periods: Periods, warmup: int) -> WalkForward:
    """The requested walk-forward; by default, six tests over the second half of the range."""
    count = ran.returns.shape[1]
    holding = float(np.nanmax(ran.column("longest_holding"), initial=0.0))
    seconds = (warmup + holding) * spec.base.seconds
    train = periods.days(spec.train_days) if spec.train_days else count // 2
    test = periods.days(spec.test_days) if spec.test_days else max(1, (count - train) // _FOLDS)
    wanted = math.ceil(seconds / periods.seconds)
    windows = WalkForwardWindows(train, test, min(wanted, train // 2), spec.anchored)
    return replace(walk_forward(ran.returns, windows, spec.objective), gap_was_cut=wanted > train // 2)


def _samples(spec: SweepSpec, walked: WalkForward, ends: NDArray[np.int64], periods: Periods) -> dict[str, Any]:
    if not walked.folds:
        return {"in_sample": None, "out_of_sample": None, "folds": [], "equity": [], "curve": []}
    variants = spec.variants
    cash = spec.base.initial_cash
    curve = cash * np.cumprod(1.0 + walked.returns)
    first = walked.folds[0].test_start
    times = ends[first : first + len(curve)]

    def points(most: int) -> list[list[Any]]:
        kept = np.unique(np.linspace(0, len(curve) - 1, min(most, len(curve))).astype(np.int64))
        return [[iso8601(float(times[i]))[:16] + "Z", round(float(curve[i]), 2)] for i in kept]

    return {
        "in_sample": _sample(walked.chosen_in_training, periods),
        "out_of_sample": _sample(walked.returns, periods),
        "folds": [
            {
                "from": iso8601(float(ends[fold.test_start - 1]))[:10],
                "to": iso8601(float(ends[fold.test_end - 1]))[:10],
                **dict(zip(spec.names, variants[fold.chosen].tolist(), strict=True)),
            }
            for fold in walked.folds
        ],
        "equity": points(CURVE_POINTS),
        "curve": points(DRAWN_POINTS),
    }


def _sample(returns: Floats, periods: Periods) -> dict[str, float | None]:
    equity: Floats = np.cumprod(1.0 + returns).astype(np.float64)
    curve = measure_curve(equity, 1.0, periods.seconds)
    return {
        "total_return_pct": _number(curve.total_return_pct),
        "annual_return": _number(curve.annual_return),
        "sharpe_ratio": _number(curve.sharpe_ratio),
        "max_drawdown": _number(curve.max_drawdown),
        "days": round(len(returns) * periods.seconds / DAY, 2),
    }


def _doubts(ran: Ran, best: int, luck: Luck, found: dict[str, Any]) -> list[str]:
    """Every reason against the best variant."""
    reasons: list[str] = []
    deflated, pbo = luck.deflated_sharpe_ratio, luck.probability_of_backtest_overfitting
    if deflated is None or deflated < CERTAIN:
        shown = "cannot be told" if deflated is None else f"is {deflated:.2f}, below {CERTAIN}"
        reasons.append(f"its deflated Sharpe ratio over {found['variants']:,} variants {shown}")
    if pbo is not None and pbo > OVERFITTED:
        reasons.append(f"the probability of overfitting is {pbo:.2f} (0.5 is chance)")
    outside = found["out_of_sample"]
    made = None if outside is None else outside["total_return_pct"] or 0.0
    if made is not None and made <= 0.0:
        said = f"lost {-made:.1f} %" if made < 0.0 else "made nothing"
        reasons.append(f"what was chosen {said} out of sample")
    if found["shape"] == "spike":
        reasons.append("its neighbours do much worse (a spike, not a plateau)")
    trades = ran.metrics[best, METRICS.index("num_trades")]
    if not trades >= FEW_TRADES:
        reasons.append(
            f"it made only {int(trades)} trade{'' if trades == 1 else 's'}" if trades > 0 else "it never traded"
        )
    return reasons


def _sentence(chosen: dict[str, float], reasons: list[str], luck: Luck, found: dict[str, Any]) -> str:
    named = ", ".join(f"{name}={value:g}" for name, value in chosen.items())
    if reasons:
        return f"None of these. The best, {named}, does not hold up: {'; '.join(reasons)}."
    outside = found["out_of_sample"]
    after = "" if outside is None else f" and out of sample it made {outside['total_return_pct']:.1f} %"
    return f"{named}: its deflated Sharpe ratio is {luck.deflated_sharpe_ratio:.2f}, its neighbours do well{after}."


def _warnings(spec: SweepSpec, ran: Ran, walked: WalkForward, *, ranked: bool) -> list[str]:
    found = list(spec.base.warnings)
    if not ranked:
        named = ", ".join(f"{name}={value:g}" for name, value in zip(spec.names, spec.defaults, strict=True))
        found.append(f"The script's own values ({named}) are not among the variants, so they have no rank.")
    if ran.refused:
        first = next(iter(ran.refused.values()))
        found.append(f"{len(ran.refused)} of {len(ran.metrics)} variants could not run; the first: {first}.")
    if not np.nansum(ran.column("num_trades")):
        found.append("No variant traded in this range.")
    if not walked.folds:
        found.append("The range is too short for this walk-forward; use shorter windows or a longer range.")
    elif walked.gap_was_cut:
        found.append("Warm-up plus longest holding is over half a training window; the gap before tests is that half.")
    if spec.tried_before:
        found.append(f"{spec.tried_before} other variants were tried on this market and range before; they count too.")
    return found


def _numbers(values: Floats) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float | None) -> float | None:
    """The value with six significant digits; None where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
