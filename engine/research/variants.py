"""Many variants of one script on one frame: what they have in common is read once and computed once.

Variants differ in the values of their parameters only. A statement is read once for each set of values that it depends
on, all variants of a process share one dataflow, and each distinct indicator is one pass over the bars. The task below
is pure: it may run in any process, again after one has died, and gives the same bits.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import HeyTradersError
from api.symbols import Instrument
from engine.executor import Array
from engine.frame import Floats, Frame, Layout, Source, packed, unpacked
from engine.language.evaluation import Evaluator
from engine.language.graph import Graph
from engine.language.parse import Parsed, parse
from engine.language.running import program
from engine.language.script import EmissionPlan, Reader, ScriptContext, ScriptPlan
from engine.results.metrics import measure_curve, measure_trades
from engine.simulation.kernel import simulate
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

_CACHE_BYTES: Final = 128 << 20
"""Indicator values that a process keeps for the next block."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all variants of a sweep have in common.

    Attributes:
        sweep: Names the sweep: what a process has computed for it serves its next block.
        names: The parameters, in the order of a variant's values.
        first_bar: Bars before it warm indicators up.
        sources: Where each instrument's candles came from, in the order of `instruments`.
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
    """Some variants, one row of parameter values each."""

    terms: Terms
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A block's figures: a row a variant; columns are `METRICS`, and the return of each period.

    `refused` tells why a variant could not run; its rows are NaN and 0.
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
    workshop = _workshop(shared, terms)
    edges: NDArray[np.int64] = shared["edges"]
    metrics = np.full((len(block.values), len(METRICS)), np.nan)
    returns = np.zeros((len(block.values), len(edges)))
    refused: dict[int, str] = {}
    for row, values in enumerate(block.values.tolist()):
        try:
            simulation = workshop.run(dict(zip(terms.names, values, strict=True)))
        except HeyTradersError as error:
            refused[row] = error.message.partition("\n")[0]
            continue
        metrics[row] = measured(simulation)
        returns[row] = period_returns(simulation.equity, terms.settings.initial_cash, edges)
    workshop.tidy()
    return Measured(metrics, returns, refused)


def measured(simulation: Simulation) -> list[float]:
    """The figures of `METRICS`."""
    curve = measure_curve(simulation.equity, simulation.settings.initial_cash, simulation.frame.seconds)
    traded = measure_trades(simulation)
    found = (
        curve.total_return_pct,
        curve.annual_return,
        curve.volatility,
        curve.sharpe_ratio,
        curve.sortino_ratio,
        curve.calmar_ratio,
        curve.max_drawdown,
        traded.num_trades,
        traded.win_rate,
        traded.profit_factor,
        traded.expectancy,
        traded.exposure,
        traded.total_fees,
        traded.average_bars_held,
        simulation.trades.bars_held.max(initial=0.0),
    )
    return [np.nan if value is None else float(value) for value in found]


def period_returns(equity: Floats, cash: float, edges: NDArray[np.int64]) -> Floats:
    """Simple returns from one period's end to the next, the first against the initial cash; 0 once all is lost."""
    ends = equity[edges]
    before = np.concatenate(([cash], ends[:-1]))
    return np.divide(ends - before, before, out=np.zeros_like(ends), where=before > 0.0)


class VariantReader:
    """Reads variants of a script into one graph; each statement once for each set of values that it depends on."""

    def __init__(self, script: str, context: ScriptContext) -> None:
        self.graph = Graph(context.timeframe)
        self._context = context
        self._parsed = parse(script, "script")
        self._needs = _needs(self._parsed)
        self._known: dict[tuple[int, tuple[float, ...]], _Read] = {}

    def read(self, values: Mapping[str, float]) -> ScriptPlan:
        """The plan of one variant.

        Raises:
            DslError: Its values make the script wrong.
        """
        context = replace(self._context, parameters=tuple(values.items()))
        plan = ScriptPlan(context, self.graph, self._parsed)
        reader: Reader | None = None
        scope: dict[str, Any] = {}
        for number, statement in enumerate(self._parsed.statements):
            key = number, tuple(values.get(name, np.nan) for name in self._needs[number])
            known = self._known.get(key)
            if known is None:
                if reader is None:
                    reader = Reader(plan)
                reader.checker.scope.update(scope)
                before = len(plan.emissions)
                reader.run([statement])
                if plan.parsed.findings.failed:
                    self._raise(plan)
                new = {name: value for name, value in reader.checker.scope.items() if name not in scope}
                known = self._known[key] = _Read(tuple(plan.emissions[before:]), new)
            else:
                plan.emissions.extend(known.emissions)
            scope.update(known.names)
        return plan

    def _raise(self, plan: ScriptPlan) -> None:
        """Report the error, with clean findings for the next variant."""
        findings = plan.parsed.findings
        self._parsed = replace(self._parsed, findings=type(findings)(findings.source))
        findings.raise_errors("script", None)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one statement adds."""

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
class _Workshop:
    """What a process keeps of a sweep between blocks."""

    terms: Terms
    frame: Frame
    traded: Frame
    reader: VariantReader
    evaluator: Evaluator = field(init=False)

    def __post_init__(self) -> None:
        self.evaluator = Evaluator(self.frame, self.terms.context.universe, self.terms.first_bar)

    def run(self, values: Mapping[str, float]) -> Simulation:
        """One variant from its values to its simulation."""
        terms = self.terms
        plan = self.reader.read(values)
        stateful = any(node.stateful for node in plan.nodes)
        ready = program(plan, self.frame, terms.first_bar, stateful=stateful, evaluator=self.evaluator)
        return simulate(self.traded, ready, terms.settings, terms.first_bar)

    def tidy(self) -> None:
        """Let go of what few variants share, and of everything once it is too much."""
        if self.evaluator.keep(("call", "pick", "tf", "universe")) > _CACHE_BYTES:
            self.reader = VariantReader(self.terms.script, self.terms.context)
            self.evaluator = Evaluator(self.frame, self.terms.context.universe, self.terms.first_bar)


_kept = threading.local()


def _workshop(shared: Mapping[str, Array], terms: Terms) -> _Workshop:
    """This thread's workshop for the sweep."""
    kept: _Workshop | None = getattr(_kept, "workshop", None)
    if kept is not None and kept.terms.sweep == terms.sweep:
        return kept
    instruments = terms.instruments
    layout = Layout(terms.context.timeframe, instruments, terms.sources, (False,) * len(instruments))
    frame = unpacked(layout, shared)
    traded = Frame(frame.timeframe, frame.time, {i: frame.bars[i] for i in terms.context.universe})
    _kept.workshop = made = _Workshop(terms, frame, traded, VariantReader(terms.script, terms.context))
    return made


def blocks(terms: Terms, values: NDArray[np.float64], size: int) -> Sequence[Block]:
    """The variants in blocks of at most `size`, in order: neighbours in the grid share most."""
    return [Block(terms, values[start : start + size]) for start in range(0, len(values), size)]
