"""Walk-forward: choose on the past, trade what follows, move on; the pieces traded make the out-of-sample curve.

Between the end of a training window and the test that follows lies a gap: as long as the indicators' warm-up and the
longest holding together, so that no trade and no indicator value belongs to both. What happens in the gap, in the test
and after it cannot change what was chosen; that is a law of the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.frame import Floats

from .statistics import Objective, Table, scores

MIN_TRAIN = 8
"""Periods of a training window below which nothing can be chosen."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in periods. `anchored`: every training window begins at the first period."""

    train: int
    test: int
    gap: int
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """One step: trained on [train_start, train_end), tested on [test_start, test_end), with the row chosen."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int
    chosen: int


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The folds, and the returns of what was chosen, one test after the other.

    `gap_was_cut`: the gap before each test is shorter than warm-up and longest holding together.
    """

    folds: tuple[Fold, ...]
    returns: Floats
    chosen_in_training: Floats
    gap_was_cut: bool = False


def walk_forward(table: Table, windows: Windows, objective: Objective) -> WalkForward:
    """Walk over a table of returns, variants by periods. No fold where the table is too short for one."""
    folds: list[Fold] = []
    tested: list[Floats] = []
    trained: list[Floats] = []
    for start in range(windows.train, table.shape[1] - max(1, windows.test // 2) + 1, windows.test):
        end = start - windows.gap
        begin = 0 if windows.anchored else max(0, start - windows.train)
        if end - begin < MIN_TRAIN:
            continue
        found = scores(table[:, begin:end], objective)
        chosen = int(found.argmax())
        stop = min(start + windows.test, table.shape[1])
        folds.append(Fold(begin, end, start, stop, chosen))
        tested.append(table[chosen, start:stop])
        trained.append(table[chosen, begin:end])
    none = np.empty(0)
    return WalkForward(
        tuple(folds),
        np.concatenate(tested) if tested else none,
        np.concatenate(trained) if trained else none,
    )
