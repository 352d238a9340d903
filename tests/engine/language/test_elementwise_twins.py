"""Element-wise operators give the same results for single numbers as for whole series."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.indicators import VECTOR
from engine.language.kinds import SCALAR
from engine.language.operators import OPERATORS
from tests.engine.language.dsl_markets import hold

_CONDITIONS: Final = {"and": 3, "or": 3, "not": 1, "xor": 2}
_SYMBOLS: Final = {
    **dict.fromkeys(("+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!="), 2),
    "neg": 1,
}

numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.0, 0.5, math.nan, 1e300]))


def _arity(name: str) -> int:
    return _SYMBOLS.get(name) or len(OPERATORS[name].parameters)


def test_both_know_the_same_operators() -> None:
    listed = {o.name for o in OPERATORS.values() if o.elementwise}

    assert set(VECTOR) == set(SCALAR) == listed | set(_SYMBOLS) | {"and", "or", "not"}


OF_NUMBERS: Final = sorted(set(SCALAR) - set(_CONDITIONS) - {"where"})
MOST: Final = max(_arity(name) for name in OF_NUMBERS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[numbers] * MOST), min_size=1, max_size=8))
def test_numbers_one_by_one_are_numbers_in_a_row(rows: list[tuple[float, ...]]) -> None:
    """Each operator takes as many numbers of a row as it has parameters."""

    def law(name: str) -> None:
        taken = [row[: _arity(name)] for row in rows]
        with np.errstate(all="ignore"):
            together = VECTOR[name](*(np.asarray(column) for column in zip(*taken, strict=True)))

        alone = [SCALAR[name](*row) for row in taken]

        np.testing.assert_allclose(together.astype(float), np.asarray(alone, dtype=float), rtol=1e-9, equal_nan=True)

    hold(OF_NUMBERS, law)


@pytest.mark.parametrize("name", sorted(_CONDITIONS))
def test_conditions_one_by_one_are_conditions_in_a_row(name: str) -> None:
    rows = [tuple(bool(n >> k & 1) for k in range(_CONDITIONS[name])) for n in range(2 ** _CONDITIONS[name])]

    together = VECTOR[name](*(np.asarray(column) for column in zip(*rows, strict=True)))

    assert together.tolist() == [SCALAR[name](*row) for row in rows]


def test_a_choice_is_the_same_one_by_one() -> None:
    condition, a, b = np.asarray([True, False]), np.asarray([1.0, 2.0]), np.asarray([3.0, math.nan])

    together = VECTOR["where"](condition, a, b)

    assert together[0] == SCALAR["where"](True, 1.0, 3.0) == 1.0
    assert math.isnan(together[1])
