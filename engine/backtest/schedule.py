"""Who decides, bar by bar: a static program's signals sorted by bar, or a stateful program that is asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from .plan import intents
from .program import AccountState, Intent, StatefulProgram, StaticProgram


class Decider(Protocol):
    """Says which intents are decided on a bar's close, and which bar may be next to decide any."""

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[Intent]:
        """The intents of `bar` in script order."""
        ...

    def next(self, bar: int) -> int:
        """The first bar from `bar` on that may decide something; past the end where there is none."""
        ...


class Schedule:
    """The signals of a static program, as far as they fall on `first_bar` or later."""

    def __init__(self, program: StaticProgram, first_bar: int, size: int) -> None:
        self._intents: list[Intent] = []
        bars: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for condition, intent in intents(program):
            self._intents.append(intent)
            bars.append(np.flatnonzero(condition[first_bar:]) + first_bar)
        fired = np.concatenate(bars) if bars else np.empty(0, dtype=np.int64)
        which = np.repeat(np.arange(len(bars)), [len(b) for b in bars])
        order = np.argsort(fired, kind="stable")
        self._which = which[order]
        days, starts = np.unique(fired[order], return_index=True)
        self._bars: list[int] = days.tolist()
        self._starts: list[int] = [*starts.tolist(), len(fired)]
        self._size = size

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[Intent]:  # noqa: ARG002
        """The intents of `bar` in script order."""
        index = bisect_left(self._bars, bar)
        if index == len(self._bars) or self._bars[index] != bar:
            return ()
        which: list[int] = self._which[self._starts[index] : self._starts[index + 1]].tolist()
        return [self._intents[i] for i in which]

    def next(self, bar: int) -> int:
        """The first bar from `bar` on with a signal."""
        index = bisect_left(self._bars, bar)
        return self._bars[index] if index < len(self._bars) else self._size


class Asked:
    """A stateful program, asked on every bar."""

    def __init__(self, program: StatefulProgram, check: Callable[[Intent], None]) -> None:
        self._program = program
        self._check = check

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[Intent]:
        """What the program decides, each intent checked as a static one's is at the start."""
        decided = self._program.decide(bar, account())
        for intent in decided:
            self._check(intent)
        return decided

    def next(self, bar: int) -> int:
        """The very next bar: the account it reads may have changed."""
        return bar
