"""Which values are never above which others, and so which conditions always or never hold.

`never_above(x, y)` is provable from the bounds of both, from prices of one bar (low <= close <= high), from windows (a
value of a window is at most its highest), from outputs of one operator (lower band <= upper band), and from sums and
products with known signs. `contradict` finds conditions that exclude each other: it joins what they say with what is
provable, and looks for a value that would have to be below itself.

A comparison with a missing value is false, so "never" is certain, and "always" means on every bar with a value.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from .kinds import ValueRange, narrowed

if TYPE_CHECKING:
    from .graph import Node

_DEPTH: Final = 6
_MOST_VALUES: Final = 16
"""Values of one `and` that are compared with each other."""

_RESIDUE: Final = 1e-6
"""Of a value that is at most sqrt(n - 1) standard deviations from the mean of its n values, as a share."""

_INSIDE: Final = frozenset({"open", "close", "low", "high"})
_BAR_PRICES: Final = frozenset({"avgprice", "medprice", "typprice", "wclprice"})
_AVERAGES: Final = frozenset({"sma", "wma", "trima", "median", "midpoint", "percentile"})
"""Values between the lowest and the highest of their window."""

_RISE_TOGETHER: Final = (_AVERAGES - {"midpoint"}) | {"ema", "rma"}
"""Values that are never above those of another series if no value of theirs is."""

_FLAT: Final = frozenset({"position", "position_side"})
_NOTHING_WHILE_FLAT: Final = frozenset({"bars_in_position", "unrealized_pnl_pct"})
"""Account values that are 0 without a position."""

_MISSING_WHILE_FLAT: Final = frozenset({"entry_price", "highest_since_entry", "lowest_since_entry"})
"""Account values that are missing without a position."""

_ASCENDING: Final = {
    "bbands": ("lower", "middle", "upper"),
    "keltner": ("lower", "middle", "upper"),
    "donchian": ("lower", "middle", "upper"),
    "pivot_points": ("s2", "s1", "p", "r1", "r2"),
    "heikin_ashi": ("low", "close", "high"),
}
"""Outputs of one call, each at most the next."""


class _Window(NamedTuple):
    """A series over a range of bars ago: `first` is the newest, `last` the oldest."""

    series: Node
    first: int
    last: int

    def within(self, other: _Window) -> bool:
        """Whether the other window has all of these bars."""
        return other.first <= self.first and self.last <= other.last


def name_of(node: Node) -> str:
    """The operator of a call; empty for anything else."""
    return str(cast("tuple[Hashable, ...]", node.payload)[0]) if node.op == "call" else ""


def _period(node: Node) -> int:
    constants = cast("tuple[str, tuple[float, ...]]", node.payload)[1]
    return int(constants[0]) if constants else 1


def _lagged(node: Node) -> tuple[Node, int]:
    """A series, and how many bars ago it is read."""
    bars = 0
    while node.op == "call":
        constants = cast("tuple[Hashable, ...]", node.payload)[1]
        if name_of(node) != "lag" or not isinstance(constants, tuple | int):
            break
        bars += constants if isinstance(constants, int) else int(cast("tuple[float, ...]", constants)[0])
        node = node.args[0]
    return node, bars


def extreme_of(node: Node) -> tuple[Node | None, int]:
    """The series of which a node is the highest (1) or lowest (-1) value of a window that holds this bar."""
    name = name_of(node)
    if name in {"highest", "lowest"}:
        return node.args[0], 1 if name == "highest" else -1
    if name in {"session_high", "session_low"}:
        return node.args[0], 1 if name == "session_high" else -1
    if node.op == "pick" and name_of(node.args[0]) == "donchian" and node.payload in {"upper", "lower"}:
        return node.args[0].args[0 if node.payload == "upper" else 1], 1 if node.payload == "upper" else -1
    return None, 0


def _extreme(node: Node, sign: int) -> _Window | None:
    """The window of which a node is the highest (1) or lowest (-1) value; a plain series is that of one bar."""
    node, bars = _lagged(node)
    series, found = extreme_of(node)
    if series is None:
        return _Window(node, bars, bars)
    if found != sign:
        return None
    inner, more = _lagged(series)
    call = node.args[0] if node.op == "pick" else node
    length = 1 if name_of(call).startswith("session") else _period(call)
    return _Window(inner, bars + more, bars + more + length - 1)


def _held_in(node: Node) -> _Window | None:
    """A window whose lowest and highest value enclose a node: of an extreme or an average, or a plain series."""
    node, bars = _lagged(node)
    series = extreme_of(node)[0] if not name_of(node).startswith("session") else None
    if series is None and name_of(node) in _AVERAGES:
        series = node.args[0]
    if series is None:
        return _Window(node, bars, bars)
    inner, more = _lagged(series)
    call = node.args[0] if node.op == "pick" else node
    return _Window(inner, bars + more, bars + more + _period(call) - 1)


def _same_bar(x: Node, y: Node) -> bool:
    """Whether both are prices of one bar, `x` its low or `y` its high, or outputs of one call in ascending order."""
    if x.op == y.op == "pick" and x.args[0] is y.args[0]:
        order: tuple[Hashable, ...] = _ASCENDING.get(name_of(x.args[0]), ())
        return x.payload in order and y.payload in order and order.index(x.payload) <= order.index(y.payload)
    if name_of(x) == name_of(y) == "percentile" and x.args == y.args:
        mine, other = (cast("tuple[str, tuple[float, ...]]", n.payload)[1] for n in (x, y))
        return mine[0] == other[0] and mine[1] <= other[1]

    def inside(node: Node) -> bool:
        return node.payload in _INSIDE if node.op == "column" else name_of(node) in _BAR_PRICES

    lowest, highest = (node.op == "column" and node.payload == name for node, name in ((x, "low"), (y, "high")))
    return (lowest and inside(y)) or (highest and inside(x))


def never_above(x: Node, y: Node, depth: int = _DEPTH) -> bool:
    """Whether `x` is provably at most `y` on every bar where both have a value."""
    if x is y or x.bounds.high <= y.bounds.low:
        return True
    if depth == 0 or x.kind.base != "number" or y.kind.base != "number":
        return False
    same = x.op == y.op and x.payload == y.payload and x.args[1:] == y.args[1:]
    if same and (x.op in {"at", "tf"} or name_of(x) in _RISE_TOGETHER):
        return never_above(x.args[0], y.args[0], depth - 1)
    if _same_bar(x, y) or _in_window(x, y, depth):
        return True
    return any(never_above(x, each, depth - 1) for each in _parts(y, up=True)) or any(
        never_above(each, y, depth - 1) for each in _parts(x, up=False)
    )


def _in_window(x: Node, y: Node, depth: int) -> bool:
    """A value of a window beside the highest of one that includes it, or beside the lowest."""
    value, top = _held_in(x), _extreme(y, 1)
    if value is not None and top is not None and value.within(top) and _smaller(value, top, x, y, depth):
        return True
    bottom, value = _extreme(x, -1), _held_in(y)
    return bottom is not None and value is not None and value.within(bottom) and _smaller(bottom, value, x, y, depth)


def _smaller(a: _Window, b: _Window, x: Node, y: Node, depth: int) -> bool:
    """Whether the series of one window is never above that of the other; False where both are the nodes themselves."""
    return (a.series, b.series) != (x, y) and never_above(a.series, b.series, depth - 1)


def below(x: Node, y: Node, depth: int = _DEPTH) -> bool:
    """Whether `x` is provably less than `y` on every bar where both have a value."""
    if x.bounds.high < y.bounds.low:
        return True
    if depth == 0:
        return False
    if x.op == y.op in {"at", "tf"} and x.payload == y.payload:
        return below(x.args[0], y.args[0], depth - 1)
    return any(
        never_above(x, each, depth - 1) if strict else below(x, each, depth - 1) for each, strict in _apart(y, up=True)
    ) or any(
        never_above(each, y, depth - 1) if strict else below(each, y, depth - 1) for each, strict in _apart(x, up=False)
    )


def _parts(node: Node, *, up: bool) -> Iterator[Node]:
    yield from (part for part, _ in _apart(node, up=up))


def _apart(node: Node, *, up: bool) -> Iterator[tuple[Node, bool]]:  # noqa: C901 - one case for each operator
    """Parts of a sum, product or choice that are never above it (`up`), or never below it; True if never equal."""
    if node.op != "apply" or len(node.args) != 2:
        return
    pairs = (node.args, node.args[::-1])
    match node.payload:
        case "+":
            for part, other in pairs:
                if other.bounds.low >= 0 if up else other.bounds.high <= 0:
                    yield part, other.bounds.low > 0 if up else other.bounds.high < 0
        case "-":
            part, other = node.args
            if other.bounds.high <= 0 if up else other.bounds.low >= 0:
                yield part, other.bounds.high < 0 if up else other.bounds.low > 0
        case "*":
            for part, other in pairs:
                low, high = other.bounds
                if part.bounds.low >= 0 and (low >= 1 if up else low >= 0 and high <= 1):
                    yield part, part.bounds.low > 0 and (low > 1 if up else high < 1)
        case "/":
            part, (low, high) = node.args[0], node.args[1].bounds
            if part.bounds.low >= 0 and (low > 0 and high <= 1 if up else low >= 1):
                yield part, part.bounds.low > 0 and (high < 1 if up else low > 1)
        case "max" | "min" if (node.payload == "max") == up:
            yield from ((part, False) for part in node.args)
        case _:
            pass


def ordered(name: str, a: Node, b: Node) -> bool | None:
    """Whether the comparison `a name b` always or never holds because of the order of its sides."""
    if a.kind.base != "number" or b.kind.base != "number":
        return None
    match name:
        case ">" | "<=" if never_above(a, b):
            return name == "<="
        case "<" | ">=" if never_above(b, a):
            return name == ">="
        case ">=" | "<" if below(a, b):
            return name == "<"
        case "<=" | ">" if below(b, a):
            return name == ">"
        case "==" | "!=" if below(a, b) or below(b, a):
            return name == "!="
        case _:
            return None


def crossed(name: str, args: Sequence[Node]) -> bool | None:
    """False for an impossible crossing: `a` has to be above `b`, and at most `b` on the bar before."""
    if name not in {"crossover", "crossunder"}:
        return None
    a, b = args if name == "crossover" else args[::-1]
    return False if never_above(a, b) or below(b, a) else None


def bounds_of_call(name: str, constants: tuple[object, ...], args: Sequence[Node], bounds: ValueRange) -> ValueRange:
    """Bounds of an operator over time that follow from its period and its series; else those of all its values."""
    numbers = [float(c) for c in constants if isinstance(c, int | float)]
    period = numbers[0] if numbers else math.inf
    match name:
        case "count_if":
            return ValueRange(0, period)
        case "bars_since_highest" | "bars_since_lowest":
            return ValueRange(0, period - 1)
        case "drawdown" if args[0].bounds.low >= 0:
            return ValueRange(-1, 0)
        case "roc" | "ppo" if args[0].bounds.low >= 0:
            return ValueRange(-100, math.inf)
        case "rocr" | "rocr100" if args[0].bounds.low >= 0:
            return ValueRange(0, math.inf)
        case "zscore" | "zspread":
            most = math.sqrt(max(period - 1, 0)) * (1 + _RESIDUE)
            return ValueRange(-most, most)
        case "bb_percent" if len(numbers) > 1 and numbers[1] > 0:
            most = math.sqrt(max(period - 1, 0)) / (2 * numbers[1]) * (1 + _RESIDUE)
            return ValueRange(0.5 - most, 0.5 + most)
        case _:
            return bounds


def told_apart(name: str, args: Sequence[Node], bounds: ValueRange) -> ValueRange:
    """Bounds of a difference or a ratio if one side is never above the other."""
    if name not in {"-", "/"} or any(a.kind.base != "number" for a in args):
        return bounds
    a, b = args
    limit = 0.0 if name == "-" else 1.0
    if name == "/" and not (a.bounds.low >= 0 and b.bounds.low >= 0):
        return bounds
    if never_above(a, b):
        return ValueRange(bounds.low, min(bounds.high, limit))
    return ValueRange(max(bounds.low, limit), bounds.high) if never_above(b, a) else bounds


def contradict(args: Sequence[Node]) -> bool:
    """Whether conditions joined by `and` exclude each other: `x > 70 and x < 30`, `close > open and close < open`."""
    facts = [fact for node in args for fact in _facts(node)]
    if any(node.op == "apply" and node.payload == "not" and node.args[0] in args for node in args):
        return True
    moved = {name: {a.args[0].id for a in args if name_of(a) == name} for name in ("rising", "falling")}
    return bool(moved["rising"] & moved["falling"]) or _outside(facts) or _circular(facts)


def exhaust(args: Sequence[Node]) -> bool:
    """Whether one of the conditions joined by `or` holds on every bar with values: `close > open or close <= open`."""
    facts: list[_Fact] = []
    for node in args:
        if node.op == "apply" and node.payload in {"<", "<=", ">", ">="}:
            a, b = node.args if node.payload in {">", ">="} else node.args[::-1]
            if a.kind.base == b.kind.base == "number":
                facts.append(_Fact(a, b, node.payload in {"<=", ">="}))
    return len(facts) > 1 and (_outside(facts) or _circular(facts))


class _Fact(NamedTuple):
    """`low` is at most `high`, or less than it."""

    low: Node
    high: Node
    strict: bool


def _facts(node: Node) -> Iterator[_Fact]:
    """What a condition says about the order of two values."""
    if node.op == "apply" and node.payload == "and":
        for each in node.args:
            yield from _facts(each)
    elif node.op == "apply" and node.payload in {"<", "<=", ">", ">=", "=="}:
        a, b = node.args
        if a.kind.base == b.kind.base == "number":
            if node.payload != ">" and node.payload != ">=":
                yield _Fact(a, b, node.payload == "<")
            if node.payload not in {"<", "<="}:
                yield _Fact(b, a, node.payload == ">")
    elif name_of(node) == "all_in":
        yield from _facts(node.args[0])
    elif name_of(node) in {"crossover", "crossunder"}:
        a, b = node.args if name_of(node) == "crossunder" else node.args[::-1]
        yield _Fact(a, b, strict=True)


def _outside(facts: Sequence[_Fact]) -> bool:
    """Whether comparisons with constants leave no value."""
    left: dict[Node, ValueRange] = {}
    for low, high, strict in facts:
        for subject, limit, symbol in ((low, high, "<"), (high, low, ">")):
            value = limit.constant
            if isinstance(value, float) and subject.constant is None:
                bounds = narrowed(left.get(subject, subject.bounds), symbol if strict else f"{symbol}=", value)
                if bounds.low > bounds.high:
                    return True
                left[subject] = bounds
    flat = [
        node.args
        for node, (low, high) in left.items()
        if node.op == "state" and node.payload in _FLAT and low == high == 0
    ]
    return any(
        node.op == "state" and node.payload in _NOTHING_WHILE_FLAT and node.args in flat and not low <= 0 <= high
        for node, (low, high) in left.items()
    ) or any(_missing_while_flat(side, flat) for fact in facts for side in (fact.low, fact.high))


def _missing_while_flat(node: Node, flat: Sequence[tuple[Node, ...]]) -> bool:
    """Whether a value is computed from the entry of a ticker that has no position."""
    if node.op == "state":
        return node.payload in _MISSING_WHILE_FLAT and node.args in flat
    return (
        node.op == "apply"
        and node.payload in {"+", "-", "*", "/"}
        and any(_missing_while_flat(each, flat) for each in node.args)
    )


def _circular(facts: Sequence[_Fact]) -> bool:
    """Whether the facts, and what is provable about their values, put a value below itself."""
    values = list(dict.fromkeys(node for fact in facts for node in (fact.low, fact.high)))
    if not 1 < len(values) <= _MOST_VALUES or len(facts) < 2:
        return False
    place = {node.id: i for i, node in enumerate(values)}
    reach = [[-math.inf] * len(values) for _ in values]
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if i != j:
                reach[i][j] = 1.0 if below(a, b) else 0.0 if never_above(a, b) else -math.inf
    for low, high, strict in facts:
        i, j = place[low.id], place[high.id]
        reach[i][j] = max(reach[i][j], float(strict))
    for via in range(len(values)):
        for i in range(len(values)):
            for j in range(len(values)):
                reach[i][j] = max(reach[i][j], min(1.0, reach[i][via] + reach[via][j]))
    return any(reach[i][i] > 0 for i in range(len(values)))
