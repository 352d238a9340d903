"""The policy and a second, independent reading of the rule table agree on every order."""

from __future__ import annotations

import pytest

from tests.safety.policy.differential import compare


def test_policy_and_oracle_agree_on_thousands_of_random_orders() -> None:
    told: list[str] = []

    wrong, outcomes = compare(1, 3_000, told.append)

    assert (wrong, told[:3]) == (0, [])
    assert min(outcomes["PASS"], outcomes["REQUIRE"], outcomes["DENY"]) > 100


@pytest.mark.slow
def test_policy_and_oracle_agree_on_a_hundred_thousand_random_orders() -> None:
    told: list[str] = []

    wrong, _ = compare(1_000_000, 100_000, told.append)

    assert (wrong, told[:3]) == (0, [])
