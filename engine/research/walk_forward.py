"""Walk-forward: choose on the past, trade the period that follows, move on. The traded periods form the out-of-sample
curve.

A gap separates each training window from the test that follows. It is as long as the indicators' warm-up plus the
longest holding time, so that no trade and no indicator value belongs to both. Data in the gap, in the test and after it
cannot change the choice; the tests check this.
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
    """The folds, and the returns of the chosen variants, one test after the other.

    `gap_was_cut`: the gap before each test is shorter than warm-up plus longest holding time.
    """

    folds: tuple[Fold, ...]
    returns: Floats
    chosen_in_training: Floats
    gap_was_cut: bool = False


def walk_forward(table: Table, windows: Windows, objective: Objective) -> WalkForward:
    """Walk over a table of returns, variants by periods. Without folds if the table is too short for one."""
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
