"""From checked intents to those that the backtest kernel takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

from api.symbols import Instrument
from engine.program import Entry, Exit, Grid, Intent, Rebalance, Size, Value

from .graph import Node
from .values import IntentPlan

Number = float
ValueOf = Callable[[Node], Value]


def target(plan: IntentPlan, own: Instrument | None) -> Instrument:
    """The instrument that an intent trades."""
    return cast("Instrument", own if plan.ticker.op == "ticker" else plan.ticker.payload)


def build_intent(plan: IntentPlan, own: Instrument | None, value_of: ValueOf) -> Intent | None:
    """The intent with its numbers filled in; None when a plain number among them is missing."""
    numbers: dict[str, Any] = {
        name: value_of(node) for name, node in plan.options.items() if node is not None and name not in _WHOLE
    }
    size = None if plan.size is None else Size(plan.size.kind, value_of(plan.size.value))
    given = [*numbers.values(), *([] if size is None else [size.value])]
    if any(isinstance(number, float) and number != number for number in given):
        return None
    instrument = target(plan, own)
    match plan.kind:
        case "entry":
            side = cast("Literal[1, -1]", plan.side)
            pyramiding = _whole(plan, "pyramiding", 0)
            return Entry(instrument, side, cast("Size", size), **numbers, pyramiding=pyramiding, tag=plan.tag)
        case "exit":
            return Exit(instrument, plan.side, **numbers, tag=plan.tag)
        case "rebalance":
            return Rebalance(instrument, cast("Size", size).value, tag=plan.tag)
        case "grid":
            spacing = plan.options.get("spacing")
            return Grid(
                instrument,
                **numbers,
                levels=_whole(plan, "levels", 2),
                size=cast("Size", size),
                spacing=cast("Any", "arithmetic" if spacing is None else spacing.payload),
                tag=plan.tag,
            )


_WHOLE = frozenset({"pyramiding", "levels", "spacing"})


def _whole(plan: IntentPlan, name: str, default: int) -> int:
    node = plan.options.get(name)
    return default if node is None else int(cast("float", node.payload))
