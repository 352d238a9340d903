"""The same decisions, one bar later: what is left of a result when the trader is a little slower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.program import AccountState, Emission, Intent, Program, StatefulProgram


class _Delayed:
    """A program whose every decision is carried out one bar later."""

    def __init__(self, program: StatefulProgram) -> None:
        self._program = program
        self._before: Sequence[Intent] = ()

    def decide(self, bar: int, account: AccountState) -> Sequence[Intent]:
        """What the program decided one bar ago."""
        now, self._before = self._before, self._program.decide(bar, account)
        return now


def delayed(program: Program) -> Program:
    """The program with its decisions one bar later, in the words of the earlier bar."""
    if not isinstance(program, tuple):
        return _Delayed(program)
    return tuple(
        Emission(_later(emission.condition, fill=False), tuple(_intent_later(intent) for intent in emission.intents))
        for emission in program
    )


def _later(values: Any, *, fill: Any) -> Any:
    shifted = np.empty_like(values)
    shifted[:1] = fill
    shifted[1:] = values[:-1]
    return shifted


def _intent_later(intent: Intent) -> Intent:
    changed: dict[str, Any] = {
        name: _later(value, fill=np.nan)
        for name in intent.__dataclass_fields__
        if isinstance(value := getattr(intent, name), np.ndarray)
    }
    size = getattr(intent, "size", None)
    if size is not None and isinstance(size.value, np.ndarray):
        changed["size"] = replace(size, value=_later(size.value, fill=np.nan))
    return replace(intent, **changed) if changed else intent
