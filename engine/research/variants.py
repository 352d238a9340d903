"""Many variants of one script on one frame: their common parts are read once and computed once.

Variants differ only in the values of their parameters. A statement is read once for each set of values that it depends
on. All variants of a process share one dataflow, and each distinct indicator is one pass over the bars. The task below
is pure: it can run in any process, and again after a process died, with the same bits.
"""

from __future__ import annotations

import ast
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import HeyTradersError
from api.symbols import Instrument
from engine.executor import Array
from engine.frame import Floats, Frame, FrameLayout, Source, packed, unpacked
from engine.language.diagnostics import DslError
from engine.language.evaluation import Evaluator
from engine.language.graph import Graph, Node
from engine.language.kinds import BOOL, CONDITION
from engine.language.parse import Parsed, parse
from engine.language.running import program
from engine.language.script import EmissionPlan, Reader, ScriptContext, ScriptPlan
from engine.program import Program
from engine.results.metrics import measure_curve, measure_curves, measure_trades, profit_ratios
from engine.simulation.batch import RoundTrips
from engine.simulation.batch_account import AccountRuns
from engine.simulation.kernel import simulate, simulate_accounts, simulate_signals
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings

METRICS: Final = (
    "total_return_pct",
    "annual_return",
    "volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "num_trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "exposure",
    "total_fees",
    "average_bars_held",
    "longest_holding",
)
"""Columns of a block's metrics. NaN: undefined."""

_OF_CURVE: Final = METRICS.index("num_trades")
"""The metrics before it are those of the curve."""

_CELLS: Final = 32_768
"""Bars times variants whose curves are measured at once: they fit the processor's cache."""

_CACHE_BYTES: Final = 128 << 20
"""Computed series that a process holds."""

TOGETHER: Final = 32
"""Variants from which on a step through the trades of all takes less time than a simulation of each."""

_LOOKED_AT: Final = 131_072
"""Bars times variants between two looks at the memory of the computed series."""


@dataclass(frozen=True, slots=True)
class SweepTerms:
    """The common part of all variants of a sweep.

    Attributes:
        sweep: Names the sweep: a process reuses what it computed for the sweep's earlier blocks.
        names: The parameters, in the order of a variant's values.
        first_bar: Bars before it warm up indicators.
        sources: The source of each instrument's candles, in the order of `instruments`.
    """

    sweep: str
    script: str
    context: ScriptContext
    names: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    sources: tuple[Source, ...]
    first_bar: int
    settings: SimulationSettings


@dataclass(frozen=True, slots=True)
class Block:
    """Some variants, one row of parameter values each.

    `together`: trade those that only signals open and close all at once. This pays from `TOGETHER` variants on.
    """

    terms: SweepTerms
    values: NDArray[np.float64]
    together: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """A block's figures, one row per variant; columns are `METRICS` and the return of each period.

    `refused` gives the reason why a variant could not run; its rows are NaN and 0.
    """

    metrics: NDArray[np.float64]
    returns: NDArray[np.float64]
    refused: dict[int, str]


def share_of(frame: Frame, edges: NDArray[np.int64]) -> dict[str, Array]:
    """The arrays that every block reads: the axis, the candles, and the last bar of each period from `first_bar` on."""
    return {**packed(frame)[1], "edges": edges}


def run_block(shared: Mapping[str, Array], block: Block) -> Measured:
    """Simulate and measure each variant of a block."""
    terms = block.terms
    cache = _cache(shared, terms)
    edges: NDArray[np.int64] = shared["edges"]
    found = Measured(np.full((len(block.values), len(METRICS)), np.nan), np.zeros((len(block.values), len(edges))), {})
    programs: dict[int, Program] = {}
    for row, values in enumerate(block.values.tolist()):
        try:
            programs[row] = cache.program(dict(zip(terms.names, values, strict=True)))
            cache.limit_memory()
        except HeyTradersError as error:
            found.refused[row] = why(terms.names, values, error)
    rows = tuple(programs)
    trips, others = None, tuple(range(len(rows)))
    if block.together:
        trips, others = simulate_signals(cache.traded, tuple(programs.values()), terms.settings, terms.first_bar)
    if trips is not None:
        _measure_trips(trips, np.array(rows)[trips.order], cache.traded, edges, found)
    runs, alone = simulate_accounts(
        cache.traded, {rows[place]: programs[rows[place]] for place in others}, terms.settings, terms.first_bar
    )
    if runs is not None:
        _measure_accounts(runs, cache.traded, terms, edges, found)
    for row in alone:
        try:
            simulation = simulate(cache.traded, programs[row], terms.settings, terms.first_bar)
            cache.limit_memory()
        except HeyTradersError as error:
            found.refused[row] = why(terms.names, block.values[row].tolist(), error)
            continue
        found.metrics[row] = measured(simulation)
        found.returns[row] = period_returns(simulation.equity, terms.settings.initial_cash, edges)
    cache.tidy()
    return found


def why(names: Sequence[str], values: Sequence[float], error: HeyTradersError) -> str:
    """Why a variant cannot run: its values, and the first error."""
    named = ", ".join(f"{name}={value:g}" for name, value in zip(names, values, strict=True))
    text = error.diagnostics[0].message if isinstance(error, DslError) and error.diagnostics else error.message
    return f"{named}: {text.partition(chr(10))[0]}"


def _measure_trips(
    trips: RoundTrips, rows: NDArray[np.int64], frame: Frame, edges: NDArray[np.int64], found: Measured
) -> None:
    """The same figures for all programs that were traded together; `rows` are their rows."""
    bars = len(frame) - trips.first_bar
    for start in range(0, len(rows), step := max(1, _CELLS // bars)):
        stop = min(start + step, len(rows))
        _measure_equity(trips.equity(start, stop), rows[start:stop], frame, trips.cash, edges, found)
    won, lost = trips.pnl > 0.0, trips.pnl < 0.0
    gains, losses = np.where(won, trips.pnl, 0.0).sum(axis=0), -np.where(lost, trips.pnl, 0.0).sum(axis=0)
    counted = zip(trips.count.tolist(), won.sum(axis=0).tolist(), lost.sum(axis=0).tolist(), strict=True)
    profits = [
        [count, *map(_or_nan, profit_ratios(count, wins, losing, gain, loss))]
        for (count, wins, losing), gain, loss in zip(counted, gains.tolist(), losses.tolist(), strict=True)
    ]
    held = trips.bars_held.sum(axis=0)
    average = np.divide(held, trips.count, out=np.full(len(rows), np.nan), where=trips.count > 0)
    longest = trips.bars_held.max(axis=0, initial=0)
    found.metrics[rows, _OF_CURVE:-4] = profits
    found.metrics[rows, -4:] = np.stack([held / bars, trips.fees.sum(axis=0), average, longest], axis=1)


def _measure_accounts(
    runs: AccountRuns, frame: Frame, terms: SweepTerms, edges: NDArray[np.int64], found: Measured
) -> None:
    """The same figures for all programs that traded the universe together, each on its own account."""
    rows, cash, bars = runs.order, terms.settings.initial_cash, len(frame) - terms.first_bar
    for start in range(0, len(rows), step := max(1, _CELLS // bars)):
        part = slice(start, start + step)
        _measure_equity(runs.equity[part], rows[part], frame, cash, edges, found)
    by_row = np.argsort(runs.owner, kind="stable")
    counts = np.bincount(runs.owner, minlength=len(rows))
    stops = np.cumsum(counts)
    fees = np.bincount(runs.owner, runs.fees, len(rows))
    pnl, held = runs.pnl[by_row], runs.bars_held[by_row]
    for place, (row, count, stop) in enumerate(zip(rows.tolist(), counts.tolist(), stops.tolist(), strict=True)):
        own, bars_held = pnl[stop - count : stop], held[stop - count : stop]
        won, lost = own[own > 0.0].tolist(), own[own < 0.0].tolist()
        profits = profit_ratios(count, len(won), len(lost), math.fsum(won), -math.fsum(lost))
        average = float(bars_held.sum()) / count if count else math.nan
        exposure, longest = int(runs.exposed[place]) / bars, float(bars_held.max(initial=0))
        found.metrics[row, _OF_CURVE:] = [
            count, *map(_or_nan, profits), exposure, fees[place], average, longest
        ]  # fmt: skip


def _measure_equity(
    equity: NDArray[np.float64],
    rows: NDArray[np.int64],
    frame: Frame,
    cash: float,
    edges: NDArray[np.int64],
    found: Measured,
) -> None:
    """The returns and the figures of equity curves, one row each."""
    span = int(frame.time[-1] - frame.time[-equity.shape[1]]) + frame.seconds
    found.returns[rows] = period_returns(equity, cash, edges)
    curves = measure_curves(equity, cash, frame.seconds, span)
    found.metrics[rows, :_OF_CURVE] = [[_or_nan(getattr(c, m)) for m in METRICS[:_OF_CURVE]] for c in curves]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def measured(simulation: Simulation) -> list[float]:
    """The figures of `METRICS`."""
    cash = simulation.settings.initial_cash
    curve = measure_curve(simulation.equity, cash, simulation.frame.seconds, simulation.span)
    traded = measure_trades(simulation)
    figures = {**curve._asdict(), **traded._asdict(), "longest_holding": simulation.trades.bars_held.max(initial=0.0)}
    return [_or_nan(figures[name]) for name in METRICS]


def period_returns(equity: Floats, cash: float, edges: NDArray[np.int64]) -> Floats:
    """Simple returns from one period's end to the next, the first against the initial cash; 0 once all is lost."""
    ends = equity[..., edges]
    before = np.empty_like(ends)
    before[..., :1], before[..., 1:] = cash, ends[..., :-1]
    return np.divide(ends - before, before, out=np.zeros_like(ends), where=before > 0.0)


class VariantReader:
    """Reads variants of a script into one graph; each statement once for each set of values that it depends on."""

    def __init__(self, script: str, context: ScriptContext) -> None:
        self.graph = Graph(context.timeframe)
        self._context = context
        self._parsed = parse(script, "script")
        self._needs = _needs(self._parsed)
        self._known: dict[tuple[int, tuple[float, ...]], _Read] = {}
        self._added: dict[int, int] = {}

    def read(self, values: Mapping[str, float]) -> ScriptPlan:
        """The plan of one variant.

        Raises:
            DslError: The script is invalid with these values.
        """
        plan = ScriptPlan(self._context, self.graph, self._parsed)
        reader: Reader | None = None
        scope: dict[str, Any] = {}
        for number, statement in enumerate(self._parsed.statements):
            key = number, tuple(values.get(name, np.nan) for name in self._needs[number])
            known = self._known.get(key)
            if known is None:
                if reader is None:
                    plan.context = replace(self._context, parameters=tuple(values.items()))
                    reader = Reader(plan)
                reader.checker.scope.update(scope)
                before, nodes = len(plan.emissions), len(self.graph.nodes)
                reader.run([statement])
                self._added.setdefault(number, sum(map(_width, self.graph.nodes[nodes:])))
                if plan.parsed.findings.failed:
                    self._raise(plan)
                new = {name: value for name, value in reader.checker.scope.items() if name not in scope}
                known = self._known[key] = _Read(tuple(plan.emissions[before:]), new)
            else:
                plan.emissions.extend(known.emissions)
            scope.update(known.names)
        return plan

    def most_bytes(self, sizes: Mapping[str, int], variants: int) -> int:
        """The bytes that the series of all variants take for each bar of a ticker, after `read` of one of them.

        Args:
            sizes: The number of values of each swept parameter.
            variants: The number of variants.
        """
        return sum(
            width * min(variants, math.prod(sizes.get(name, 1) for name in self._needs[number]))
            for number, width in self._added.items()
        )

    def _raise(self, plan: ScriptPlan) -> None:
        """Report the error, with clean findings for the next variant."""
        findings = plan.parsed.findings
        self._parsed = replace(self._parsed, findings=type(findings)(findings.source))
        findings.raise_errors("script", None)


def _width(node: Node) -> int:
    """The bytes that a node takes for each bar."""
    if node.op in {"constant", "column", "ticker"}:
        return 0
    return 1 if node.kind in {BOOL, CONDITION} else 8


@dataclass(frozen=True, slots=True)
class _Read:
    """The effect of one statement."""

    emissions: tuple[EmissionPlan, ...]
    names: dict[str, Any]


def _needs(parsed: Parsed) -> list[tuple[str, ...]]:
    """The parameters that each statement depends on, directly or through names."""
    through: dict[str, set[str]] = {}
    found: list[tuple[str, ...]] = []
    for statement in parsed.statements:
        used: set[str] = set()
        bound: set[str] = set()
        for node in ast.walk(statement):
            match node:
                case ast.Call(func=ast.Name(id="param"), args=args, keywords=keywords):
                    named = [*args[:1], *(k.value for k in keywords if k.arg == "name")]
                    used |= {a.value for a in named if isinstance(a, ast.Constant) and isinstance(a.value, str)}
                case ast.Name(id=name, ctx=ast.Store()):
                    bound.add(name)
                case ast.Name(id=name):
                    used |= through.get(name, set())
                case _:
                    pass
        for name in bound:
            through[name] = through.get(name, set()) | used
        found.append(tuple(sorted(used)))
    return found


@dataclass(slots=True)
class _SweepCache:
    """The cache of a process for a sweep, between blocks."""

    terms: SweepTerms
    frame: Frame
    traded: Frame
    reader: VariantReader
    evaluator: Evaluator = field(init=False)
    unseen: int = 0

    def __post_init__(self) -> None:
        self.evaluator = Evaluator(self.frame, self.terms.context.universe, self.terms.first_bar)

    def program(self, values: Mapping[str, float]) -> Program:
        """The program of a variant."""
        plan = self.reader.read(values)
        stateful = any(node.stateful for node in plan.nodes)
        return program(plan, self.frame, self.terms.first_bar, stateful=stateful, evaluator=self.evaluator)

    def limit_memory(self) -> None:
        """Free all computed series when they exceed the limit: scripts of many series need it within a block."""
        self.unseen += len(self.frame)
        if self.unseen >= _LOOKED_AT:
            self.unseen = 0
            if self.evaluator.held_bytes > _CACHE_BYTES:
                self.evaluator.forget()

    def tidy(self) -> None:
        """Free the arrays that few variants share, and all arrays above the memory limit."""
        self.evaluator.keep(("call", "pick", "tf", "universe"))
        if self.evaluator.held_bytes > _CACHE_BYTES:
            self.reader = VariantReader(self.terms.script, self.terms.context)
            self.evaluator = Evaluator(self.frame, self.terms.context.universe, self.terms.first_bar)


_kept = threading.local()


def _cache(shared: Mapping[str, Array], terms: SweepTerms) -> _SweepCache:
    """This thread's cache for the sweep."""
    kept: _SweepCache | None = getattr(_kept, "cache", None)
    if kept is not None and kept.terms.sweep == terms.sweep:
        return kept
    instruments = terms.instruments
    layout = FrameLayout(terms.context.timeframe, instruments, terms.sources, (False,) * len(instruments))
    frame = unpacked(layout, shared)
    traded = Frame(frame.timeframe, frame.time, {i: frame.bars[i] for i in terms.context.universe})
    _kept.cache = made = _SweepCache(terms, frame, traded, VariantReader(terms.script, terms.context))
    return made


def blocks(terms: SweepTerms, values: NDArray[np.float64], size: int, *, together: bool = True) -> Sequence[Block]:
    """The variants in blocks of at most `size`, in order, because neighbours in the grid share the most."""
    return [Block(terms, values[start : start + size], together) for start in range(0, len(values), size)]
