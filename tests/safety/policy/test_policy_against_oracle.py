"""The policy and a second, independent reading of the rule table agree on every order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safety.policy.evaluation import Policy, evaluate
from safety.terms.proposal import CONNECTED_SERVICE
from server.channels import ConnectedAccount, ConnectedAccounts, local_channels
from tests.safety.policy.differential import Case, case, compare, disagreement


@pytest.mark.long
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


@pytest.mark.parametrize("count", [300, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_a_connected_account_is_judged_as_real_money_by_every_rule(tmp_path: Path, count: int) -> None:
    """An embedded server whose paper books claim every account: both judge by the limits of real money."""
    connected = ConnectedAccounts(tmp_path)
    for account_id in ("acc-1", "acc-2"):
        connected.put(ConnectedAccount(account_id=account_id, exchange="binance", labels_echoed=True, client_ids=True))
    channels = local_channels(tmp_path, lambda _: None)
    wrong: list[str] = []
    judged = 0
    for seed in range(2_000_000, 2_000_000 + count):
        asked = case(seed)
        if asked.order.account_id not in {"acc-1", "acc-2"}:
            continue
        channel = await channels.of(asked.order)
        assert (channel.money, channel.service) == ("real", CONNECTED_SERVICE), seed
        limits = asked.policy.limits(asked.facts.money)
        real = Case(asked.order, Policy(live=limits), replace(asked.facts, money=channel.money), asked.again)
        decision = evaluate(real.order, real.policy, real.facts, again=real.again)
        difference = disagreement(real, decision)
        judged += 1
        wrong += [] if difference is None else [f"seed {seed}: {difference}"]

    assert wrong == []
    assert judged > 0.9 * count
