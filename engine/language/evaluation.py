"""Runs a dataflow over the bars of a frame: one vectorised pass for each distinct node and ticker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from api.errors import InvalidInput, NotFound
from api.symbols import Instrument
from api.times import Timeframe
from engine.frame import Bars, Bools, Floats, Frame, LongerBars, resample

from .graph import Node
from .indicators import VECTOR, compute
from .indicators.windows import steady
from .kinds import CONDITION
from .operators import OPERATORS
from .spec import Constant

NodeSeries = Floats | Bools
_DATES: Final = {"hour": (3600, 24), "minute": (60, 60)}


class Evaluator:
    """Values of nodes over one frame.

    Args:
        universe: The tickers that the `cs_` operators compare.
        first_bar: The bar whose `bar_index` is 0.
    """

    def __init__(self, frame: Frame, universe: Sequence[Instrument] = (), first_bar: int = 0) -> None:
        self._frame = frame
        self._universe = tuple(universe)
        self._first_bar = first_bar
        self._values: dict[tuple[int, Instrument | None], Any] = {}
        self._longer: dict[Timeframe, tuple[LongerBars, Evaluator]] = {}
        self._tables: dict[int, NDArray[np.float64]] = {}
        self._ops: dict[int, str] = {}

    def series(self, node: Node, instrument: Instrument | None) -> NodeSeries:
        """The values of a number or condition on every bar."""
        array = _typed(node, self.value(node, instrument))
        return array if array.ndim else np.full(len(self._frame), array)

    def value(self, node: Node, instrument: Instrument | None) -> Any:
        """A series, or a plain value if the node is constant over time."""
        key = (node.id, instrument if node.local else None)
        if key not in self._values:
            with np.errstate(all="ignore"):
                for each in self._pending(node, instrument):
                    self._ops[each.id] = each.op
                    self._values[each.id, instrument if each.local else None] = self._computed(each, instrument)
        return self._values[key]

    def forget(self) -> None:
        """Free all computed arrays."""
        self._values.clear()
        self._tables.clear()
        self._longer.clear()

    def keep(self, ops: Collection[str]) -> None:
        """Free all arrays except those of nodes of these kinds."""
        self._values = {key: value for key, value in self._values.items() if self._ops.get(key[0]) in ops}
        for _, inner in self._longer.values():
            inner.keep(ops)

    @property
    def held_bytes(self) -> int:
        """The memory of all computed arrays."""
        own = sum(_bytes(value) for value in (*self._values.values(), *self._tables.values()))
        return own + sum(inner.held_bytes for _, inner in self._longer.values())

    def _pending(self, node: Node, instrument: Instrument | None) -> list[Node]:
        """The nodes still to compute for this ticker, arguments before their users."""
        found: dict[int, Node] = {}
        stack = [node]
        while stack:
            each = stack.pop()
            if each.id in found or (each.id, instrument if each.local else None) in self._values:
                continue
            found[each.id] = each
            if each.op not in {"at", "tf", "universe"}:
                stack.extend(each.args)
        return [found[i] for i in sorted(found)]

    def _computed(self, node: Node, instrument: Instrument | None) -> Any:
        match node.op:
            case "constant":
                return node.payload
            case "column":
                return getattr(self._bars(instrument), str(node.payload))
            case "time":
                return self._time(str(node.payload))
            case "apply":
                return self._applied(node, instrument)
            case "call":
                return self._called(node, instrument)
            case "pick":
                return self._picked(node, instrument)
            case _:
                return self._elsewhere(node, instrument)

    def _elsewhere(self, node: Node, instrument: Instrument | None) -> Any:
        match node.op:
            case "at":
                return self.value(node.args[0], cast("Instrument", node.payload))
            case "tf":
                return self._resampled(node, instrument)
            case "universe":
                return self._compared(node, instrument)
            case "ticker":
                return instrument
            case _:
                raise TypeError(f"{node.op} has no value without an account")

    def _bars(self, instrument: Instrument | None) -> Bars:
        bars = None if instrument is None else self._frame.bars.get(instrument)
        if bars is None:
            name = "a ticker" if instrument is None else instrument.ticker
            raise NotFound(f"no candles of {name} were loaded", suggestion="Add the ticker to the universe")
        return bars

    def _applied(self, node: Node, instrument: Instrument | None) -> Any:
        values = [self._argument(a, instrument) for a in node.args]
        if node.payload == "same ticker":
            return values[0] == values[1]
        return VECTOR[str(node.payload)](*values)

    def _argument(self, node: Node, instrument: Instrument | None) -> Any:
        return self._values[node.id, instrument if node.local else None]

    def _called(self, node: Node, instrument: Instrument | None) -> Any:
        name, constants = cast("tuple[str, tuple[Constant, ...]]", node.payload)
        return compute(name, [self._wide(a, instrument) for a in node.args], constants)

    def _wide(self, node: Node, instrument: Instrument | None) -> NodeSeries:
        """An argument as an array of the frame's length."""
        value = self._argument(node, instrument)
        if node.kind.series and isinstance(value, np.ndarray):
            return cast("NodeSeries", value)
        wide: NodeSeries = np.broadcast_to(_typed(node, value), len(self._frame))  # pyright: ignore[reportAssignmentType] - one dtype or the other
        return wide

    def _picked(self, node: Node, instrument: Instrument | None) -> NodeSeries:
        whole = node.args[0]
        name, _ = cast("tuple[str, tuple[Constant, ...]]", whole.payload)
        outputs = self._argument(whole, instrument)
        index = next(i for i, o in enumerate(OPERATORS[name].outputs) if o.name == node.payload)
        return outputs[index]

    def _resampled(self, node: Node, instrument: Instrument | None) -> NodeSeries:
        timeframe = cast("Timeframe", node.payload)
        if timeframe not in self._longer:
            longer = resample(self._frame, timeframe)
            self._longer[timeframe] = longer, Evaluator(longer.frame, self._universe)
        longer, inner = self._longer[timeframe]
        if not len(longer.frame):
            return np.full(len(self._frame), False if node.kind == CONDITION else np.nan)
        return longer.spread(inner.series(node.args[0], instrument))

    def _time(self, name: str) -> Any:
        time = self._frame.time
        match name:
            case "time":
                return time
            case "bar_number":
                return time // self._frame.seconds
            case "hour" | "minute":
                unit, count = _DATES[name]
                return (time // unit % count).astype(np.float64)
            case "weekday":
                return ((time // 86_400 + 3) % 7).astype(np.float64)
            case "bar_index":
                return np.arange(len(time), dtype=np.float64) - self._first_bar
            case _:
                return self._date(name)

    def _date(self, name: str) -> Floats:
        days = self._frame.time.astype("datetime64[s]").astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        if name == "day":
            return (days - months).astype(np.float64) + 1
        years = days.astype("datetime64[Y]")
        if name == "month":
            return (months - years).astype(np.float64) + 1
        return years.astype(np.float64) + 1970

    def _compared(self, node: Node, instrument: Instrument | None) -> Floats:
        inner = node.args[0]
        table = self._tables.get(inner.id)
        if table is None:
            table = np.vstack([self.series(inner, each).astype(np.float64) for each in self._universe])
            self._tables[inner.id] = table
        name = str(node.payload)
        if name in {"cs_count", "cs_sum", "cs_mean"}:
            return _total(name, table)
        if instrument not in self._universe:
            return np.full(len(self._frame), np.nan)
        row = self._universe.index(instrument)
        return _zscore(table, row) if name == "cs_zscore" else self._rank(name, inner, table)[row]

    def _rank(self, name: str, inner: Node, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ranks across the universe, for all tickers at once; cached, because every ticker needs them."""
        key = -1 - inner.id * 2 - (name == "cs_rank_low")
        ranks = self._tables.get(key)
        if ranks is None:
            order = np.argsort(table if name == "cs_rank_low" else -table, axis=0, kind="stable")
            ranks = np.empty_like(table)
            places = np.arange(1.0, len(table) + 1)[:, None]
            np.put_along_axis(ranks, order, np.broadcast_to(places, table.shape), axis=0)
            ranks[np.isnan(table)] = np.nan
            self._tables[key] = ranks
        return ranks


def _bytes(value: Any) -> int:
    """Memory of the arrays of one node; an operator of several outputs has a tuple of them."""
    if isinstance(value, tuple):
        return sum(_bytes(each) for each in cast("tuple[Any, ...]", value))
    return cast("int", getattr(value, "nbytes", 0))


def _typed(node: Node, value: Any) -> NodeSeries:
    return np.asarray(value, dtype=np.bool_) if node.kind.base == "bool" else np.asarray(value, dtype=np.float64)


def _total(name: str, table: NDArray[np.float64]) -> Floats:
    known = ~np.isnan(table)
    counts = known.sum(axis=0).astype(np.float64)
    if name == "cs_count":
        return counts
    totals = np.where(known, table, 0.0).sum(axis=0)
    totals[counts == 0] = np.nan
    if name == "cs_sum":
        return steady(totals)
    lowest, highest = np.fmin.reduce(table, axis=0), np.fmax.reduce(table, axis=0)
    return np.where(lowest == highest, lowest, steady(totals / np.maximum(counts, 1)))


def _zscore(table: NDArray[np.float64], row: int) -> Floats:
    """Missing where the values differ only by rounding."""
    deviations = table - _total("cs_mean", table)
    known = ~np.isnan(deviations)
    counts = np.maximum(known.sum(axis=0), 1)
    spread = np.sqrt(np.where(known, deviations**2, 0.0).sum(axis=0) / counts)
    apart = spread > 1e-12 * np.fmax.reduce(np.abs(table), axis=0, initial=0.0)
    scores: Floats = np.where(apart, deviations[row] / np.where(apart, spread, 1.0), np.nan)
    return np.round(scores, 12)


def known_bars(frame: Frame, instrument: Instrument) -> int:
    """Bars from the instrument's first one on."""
    bars = frame.bars.get(instrument)
    if bars is None or not len(frame):
        return 0
    known = ~np.isnan(bars.close)
    return len(frame) - int(np.argmax(known)) if known.any() else 0


def refuse_short_history(nodes: Sequence[Node], texts: dict[int, str], bars: int) -> None:
    """Raise TA_OUT_OF_RANGE when a node needs more bars than there are.

    Raises:
        InvalidInput: It names the sub-expression, the bars that it needs and the bars available.
    """
    needy = [node for node in nodes if node.lookback >= bars]
    if not needy:
        return
    node = needy[0]
    while node.args:
        deeper = max(node.args, key=lambda each: each.lookback)
        if deeper.lookback < bars:
            break
        node = deeper
    text = f"`{texts[node.id]}`" if node.id in texts else "the expression"
    raise InvalidInput(
        f"{text} needs {node.lookback + 1:,} bars, the history holds {bars:,}",
        suggestion=f"Use shorter periods, so that it needs {bars:,} bars at most, or a shorter timeframe",
        code="TA_OUT_OF_RANGE",
    )
