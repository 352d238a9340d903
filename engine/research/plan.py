"""Turns a request into a sweep: its variants, the periods of the stored returns, and its memory use."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import InvalidInput, closest
from api.symbols import Instrument
from engine.executor import INLINE_WORK, seed_of
from engine.frame import Times
from engine.jobs.preparation import context_of
from engine.jobs.spec import SWEEP, Spec
from engine.language.compile import script_parameters
from engine.language.diagnostics import DslError
from engine.language.expressions import instruments_of
from engine.language.script import ScriptContext
from engine.language.values import ScriptParameter

from .variants import VariantReader, why

if TYPE_CHECKING:
    from api.research import Objective, Range, SweepRequest

DAY: Final = 86_400
MAX_PERIODS: Final = 1_500
_PROCESS_MB: Final = 90
"""What a worker process takes before it has data."""
_CACHE_MB: Final = 128
"""The most that the computed series of a process take; see `variants._CACHE_BYTES`."""
BLOCK_CELLS: Final = 2_500_000
"""Bars times variants of one block: a tenth of a second of work, or a second where each variant is simulated alone."""
BLOCK_ACCOUNTS: Final = 4_096
"""Instruments times variants that a step of `engine.simulation.batch_account` takes; more do not make it faster."""
_BLOCK_MB: Final = 128
"""The signals and curves of a block."""
MAX_CELLS: Final = 4_000_000_000
"""Bars times variants: about ten minutes of two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """A checked sweep.

    Attributes:
        base: The backtest of the script's defaults.
        names: The swept parameters.
        values: The values to try for each parameter, ascending.
        chosen: Rows of the grid that run (the product of `values`, the last parameter fastest); `None` for all.
        defaults: The script's own values of `names`.
        train_days, test_days: Of the walk-forward; `None` derives them from the length of the range.
        tried_before: Other variants tried on this market and range before.
        memory_mb: Peak memory of all processes together.
    """

    base: Spec
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    chosen: tuple[int, ...] | None
    defaults: tuple[float, ...]
    objective: Objective
    train_days: int | None
    test_days: int | None
    anchored: bool
    top: int
    tried_before: int
    memory_mb: int

    @property
    def grid(self) -> NDArray[np.int64]:
        """The variants as indices into `values`, one row each."""
        sizes = [len(each) for each in self.values]
        rows = np.arange(math.prod(sizes)) if self.chosen is None else np.array(self.chosen)
        return np.stack(np.unravel_index(rows, sizes), axis=1)

    @property
    def variants(self) -> NDArray[np.float64]:
        """The variants as values, one row each."""
        grid = self.grid
        return np.stack([np.array(each)[grid[:, i]] for i, each in enumerate(self.values)], axis=1)

    def to_json(self) -> str:
        """For the job's row."""
        return f"{SWEEP}: {json.dumps({**asdict(self), 'base': self.base.to_json()})}}}"

    @classmethod
    def from_json(cls, text: str) -> SweepSpec:
        """From the job's row."""
        given: dict[str, Any] = json.loads(text)["sweep"]
        given["base"] = Spec.from_json(given["base"])
        given["values"] = tuple(tuple(each) for each in given["values"])
        for name in ("names", "defaults", "chosen"):
            given[name] = None if given[name] is None else tuple(given[name])
        return cls(**given)


def plan_sweep(request: SweepRequest, base: Spec, tried: Collection[str], workers: int) -> SweepSpec:
    """Check the requested sweep.

    Args:
        tried: Names of the variants tried on this market and range before. One that runs again is not a new trial.

    Raises:
        InvalidInput: The script has no such parameter, a value is outside its range, the sweep is too large, or no
            variant can run.
    """
    declared = {each.name: each for each in script_parameters(base.script, context_of(base))}
    if not declared:
        raise InvalidInput(
            "the script declares no parameter, so there is nothing to sweep",
            suggestion='Write fast = param("fast", 10, 5, 50, 5) in place of the number',
        )
    values = _values(request.grid, declared)
    total = math.prod(len(each) for each in values.values())
    if total < 2:
        raise InvalidInput("the grid has one variant", suggestion="Give a parameter two values or more")
    chosen = _sampled(request, total, base)
    count = total if chosen is None else len(chosen)
    cells = count * base.bars * len(base.tickers)
    if cells > MAX_CELLS:
        fits = max(2, MAX_CELLS // (base.bars * len(base.tickers)))
        raise InvalidInput(
            f"{count:,} variants of {base.bars * len(base.tickers):,} bars are too much for one sweep",
            suggestion=f"Set search to random and max_variants to {min(fits, count):,}, or use a longer timeframe",
        )
    terms = request.walk_forward
    spec = SweepSpec(
        base=base,
        names=tuple(values),
        values=tuple(values.values()),
        chosen=chosen,
        defaults=tuple(declared[name].default for name in values),
        objective=request.objective,
        train_days=None if terms is None else terms.train_days,
        test_days=None if terms is None else terms.test_days,
        anchored=terms is not None and terms.anchored,
        top=request.top,
        tried_before=0,
        memory_mb=_memory_mb(base, count, workers, _series_bytes(base, declared, values, count)),
    )
    reach(spec)
    return replace(spec, tried_before=len(set(tried).difference(variant_names(base, spec.variants))))


def variant_names(base: Spec, variants: NDArray[np.float64]) -> list[str]:
    """The name of each variant among those tried."""
    script = base.variant[:20]
    return [f"{script}:" + ",".join(f"{v:g}" for v in row) for row in variants.tolist()]


def _values(
    grid: Mapping[str, Sequence[float] | Range], declared: Mapping[str, ScriptParameter]
) -> dict[str, tuple[float, ...]]:
    """The values of each swept parameter, in the order of the script; without a grid, all within their ranges."""
    unknown = [name for name in grid if name not in declared]
    if unknown:
        near = closest(unknown[0], list(declared))
        raise InvalidInput(
            f"the script has no parameter {unknown[0]!r}",
            suggestion=f"Did you mean {near[0]}?" if near else f"It has {', '.join(declared)}",
        )
    found: dict[str, tuple[float, ...]] = {}
    for name, parameter in declared.items():
        if grid and name not in grid:
            continue
        given = grid.get(name) or _own_range(parameter)
        values = tuple(sorted({float(v) for v in given} if isinstance(given, Sequence) else set(_listed(given))))
        outside = [value for value in values if not parameter.low <= value <= parameter.high]
        if outside:
            raise InvalidInput(
                f"grid: {name}={outside[0]:g} is outside {parameter.low:g} to {parameter.high:g}",
                suggestion="Stay within the range that the script declares, or widen it there",
            )
        found[name] = values
    return found


def _own_range(parameter: ScriptParameter) -> Range:
    from api.research import Range

    step = parameter.step or (parameter.high - parameter.low) / 10.0 or 1.0
    return Range(low=parameter.low, high=parameter.high, step=step)


def _listed(given: Range) -> list[float]:
    steps = math.floor((given.high - given.low) / given.step + 1e-9)
    return [round(given.low + number * given.step, 10) for number in range(steps + 1)]


def _sampled(request: SweepRequest, total: int, base: Spec) -> tuple[int, ...] | None:
    """The rows of the grid to run: all, or as many as allowed, drawn at random and not by results."""
    if total <= request.max_variants:
        return None
    if request.search == "grid":
        raise InvalidInput(
            f"the grid has {total:,} variants, more than max_variants={request.max_variants:,}",
            suggestion="Use larger steps, raise max_variants, or set search to random for a sample",
        )
    rng = np.random.default_rng(seed_of(base.variant, total))
    drawn = rng.choice(total, request.max_variants, replace=False, shuffle=False)
    return tuple(np.sort(drawn).tolist())


def block_size(bars: int, tickers: int) -> int:
    """The variants of a block. One ticker: little work, so that progress is fine-grained. More: one step serves all
    tickers of all variants, so a block takes as many as pay, within its memory."""
    least = max(1, BLOCK_CELLS // (bars * tickers))
    if tickers == 1:
        return least
    fits = (_BLOCK_MB << 20) // _variant_bytes(bars, tickers)
    return max(least, min(BLOCK_ACCOUNTS // tickers, fits))


def _variant_bytes(bars: int, tickers: int) -> int:
    """What a variant of a block takes: its equity twice, and its signals twice, as conditions and laid out."""
    return bars * (2 * 8 + 4 * tickers)


def _series_bytes(
    base: Spec,
    declared: Mapping[str, ScriptParameter],
    values: Mapping[str, Sequence[float]],
    count: int,
) -> int:
    """What the computed series of all variants take together."""
    reader = VariantReader(base.script, context_of(base))
    reader.read({name: parameter.default for name, parameter in declared.items()})
    sizes = {name: len(each) for name, each in values.items()}
    return reader.most_bytes(sizes, count) * base.bars * len(base.tickers)


def _memory_mb(base: Spec, count: int, workers: int, series: int) -> int:
    """Memory of the processes, the candles once, the series and a block of each process, and the returns twice.

    The process of the job counts too: it takes blocks while the others start, and small work alone.
    """
    candles = 6 * 8 * base.bars * len(base.tickers)
    span = base.bars * base.seconds
    table = 2 * 8 * count * math.ceil(span / _period_seconds(span, base.seconds))
    block = min(count, block_size(base.bars, len(base.tickers))) * _variant_bytes(base.bars, len(base.tickers))
    each = _PROCESS_MB + min(_CACHE_MB, series / 2**20) + block / 2**20
    processes = 1 if 2 * count * base.bars * len(base.tickers) < INLINE_WORK else workers + 1
    return math.ceil(processes * each + (candles + table) / 2**20)


def _period_seconds(span: int, seconds: int) -> int:
    """A bar, an hour, four hours or a day: the shortest of which a span has at most `MAX_PERIODS`, else a day."""
    lengths = [length for length in (seconds, 3_600, 14_400, DAY) if length >= seconds]
    return next((each for each in lengths if span / each <= MAX_PERIODS), lengths[-1])


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods whose returns are stored: the last bar of each period, and the length of a period."""

    edges: NDArray[np.int64]
    seconds: int

    @classmethod
    def of(cls, time: Times, seconds: int) -> Periods:
        """The periods of `seconds`-long bars."""
        length = _period_seconds(int(time[-1] - time[0]), seconds)
        pieces = (time + seconds - 1) // length
        return cls(np.flatnonzero(np.append(np.diff(pieces) != 0, True)), length)

    def days(self, count: int) -> int:
        """The number of periods in `count` days."""
        return max(1, round(count * DAY / self.seconds))


def reach(spec: SweepSpec) -> tuple[tuple[Instrument, ...], int]:
    """The instruments that the variants read, and the longest warm-up among the corners of the grid.

    If the script refuses a corner, such as a fast average that is slower than the slow one, all variants are read.

    Raises:
        InvalidInput: The script refuses every variant.
    """
    context: ScriptContext = context_of(spec.base)
    reader = VariantReader(spec.base.script, context)
    ends = [sorted({values[0], values[-1]}) for values in spec.values]
    corners = list(product(*ends))[:256] if len(ends) <= 8 else [tuple(e[-1] for e in ends), spec.defaults]
    warmups, refused = _warmups(reader, spec.names, corners)
    if refused:
        warmups, refused = _warmups(reader, spec.names, spec.variants.tolist())
    if not warmups:
        raise InvalidInput(f"no variant can run; {refused[0]}", suggestion="Correct the grid or the script")
    return tuple(dict.fromkeys((*context.universe, *instruments_of(reader.graph)))), max(warmups)


def _warmups(
    reader: VariantReader, names: Sequence[str], variants: Sequence[Sequence[float]]
) -> tuple[list[int], list[str]]:
    """The warm-up of each variant, and why the others cannot run."""
    warmups: list[int] = []
    refused: list[str] = []
    for values in variants:
        try:
            plan = reader.read(dict(zip(names, values, strict=True)))
        except DslError as error:
            refused.append(why(names, values, error))
        else:
            warmups.append(max((node.lookback + node.settling for node in plan.nodes), default=0))
    return warmups, refused
