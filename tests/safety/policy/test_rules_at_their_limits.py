"""Each rule just below, at and just above its limit: exactly which rules object."""

from __future__ import annotations

from typing import Any, Final

import pytest

from safety.policy.evaluation import Policy, needs
from safety.policy.limits import Limits
from safety.terms.facts import Facts
from safety.terms.proposal import Action
from tests.safety.policy import boundaries_of_accounts, boundaries_of_orders
from tests.safety.policy.boundaries import MARKET, SELL, D, Row
from tests.safety.policy.scenarios import (
    BUY,
    DEPLOYMENT,
    PERPETUAL,
    POST,
    PREDICTION,
    against,
    earlier,
    facts,
    paper,
    policy,
)

ROWS: Final = [*boundaries_of_orders.TABLE.rows, *boundaries_of_accounts.TABLE.rows]


@pytest.mark.parametrize("case", ROWS, ids=[case.name for case in ROWS])
def test_just_these_rules_object(case: Row) -> None:
    expected = {word.rstrip("?"): "REQUIRE" if word.endswith("?") else "DENY" for word in case.objecting.split()}

    assert against(case.action, policy(**case.limits), facts(**case.facts)) == expected


@pytest.mark.parametrize(
    ("limits", "objecting"),
    [
        ({}, {}),
        ({"ask_a_human": True}, {"R28": "REQUIRE"}),
        ({"ask_a_human": True, "automatic_up_to": D(1)}, {"R09": "DENY", "R28": "DENY"}),
        ({"automatic_up_to": D(1)}, {}),
        ({"max_notional": D(99)}, {"R08": "DENY", "R09": "DENY"}),
        ({"daily_notional": D(99)}, {"R09": "DENY", "R12": "DENY"}),
        ({"position_usd": D(99)}, {"R09": "DENY", "R17": "DENY"}),
        ({"position_share": D(1)}, {"R09": "DENY", "R17": "DENY"}),
        ({"exposure_share": D(1)}, {"R09": "DENY", "R17": "DENY"}),
        ({"check_funds": True}, {"R25": "DENY"}),
        ({"collar": D(1)}, {"R10": "DENY"}),
        ({"quote_age": 9}, {"R10": "DENY"}),
        ({"clock_skew": 9}, {"R26": "DENY"}),
        ({"snapshot_age": 9}, {"R27": "DENY"}),
        ({"no_self_trade": True}, {"R21": "DENY"}),
        ({"daily_loss_usd": D(9)}, {"R18": "DENY"}),
        ({"daily_loss_share": D(1)}, {"R18": "DENY"}),
        ({"drawdown_share": D(1)}, {"R19": "DENY"}),
        ({"open_orders": 9}, {"R16": "DENY"}),
        ({"open_orders_symbol": 9}, {"R16": "DENY"}),
    ],
    ids=str,
)
def test_on_paper_a_limit_asks_for_its_own_facts_and_no_others(
    limits: dict[str, Any], objecting: dict[str, str]
) -> None:
    assert against(BUY, paper(**limits), Facts(now=0.0, money="paper")) == objecting


def test_on_paper_without_limits_a_busy_hour_objects_to_nothing() -> None:
    busy = facts(
        money="paper",
        quote=None,
        usd_rate=None,
        account=None,
        clock_skew=999.0,
        upstream_healthy=False,
        labels_echoed=False,
        notional_24h=D(10**9),
        count_24h=10**6,
        order_ages=(0.0,) * 99,
        similar=(earlier(),),
        unknown_here=9,
        unknown_anywhere=9,
        in_flight_here=9,
        failures_in_a_row=99,
        automatic_in_a_row=99,
        standing_active=99,
        pending=99,
        clock_went_back=True,
    )

    for action in (BUY, SELL, MARKET, PERPETUAL, PREDICTION, DEPLOYMENT, POST):
        assert against(action, Policy(), busy) == {}


def test_on_paper_a_market_order_has_no_collar_and_unstated_leverage_is_none() -> None:
    bare = Facts(now=0.0, money="paper")
    poor = facts(money="paper", free={"USDT": D("29.99")})
    unstated = PERPETUAL.model_copy(update={"leverage": None})

    assert against(MARKET, paper(collar=D("0.01"), collar_major=D("0.01")), bare) == {}
    assert against(unstated, paper(check_funds=True), poor) == {"R25": "DENY"}
    assert against(unstated, paper(check_funds=True), facts(money="paper", free={"USDT": D(30)})) == {}


MONEY: Final = ("quote", "usd_rate")


@pytest.mark.parametrize(
    ("action", "limits", "expected"),
    [
        (BUY, {}, ()),
        (BUY, {"collar": D(1)}, ("quote",)),
        (BUY, {"collar_major": D(1)}, ("quote",)),
        (BUY, {"collar_probability": D(1)}, ()),
        (MARKET, {"collar": D(1), "collar_major": D(1), "collar_probability": D(1)}, ()),
        (MARKET, {"quote_age": 9}, ("quote",)),
        (PREDICTION, {"collar": D(1), "collar_major": D(1)}, ()),
        (PREDICTION, {"collar_probability": D(1)}, ("quote",)),
        (BUY, {"open_orders": 9}, ("account",)),
        (BUY, {"open_orders_symbol": 9}, ("account",)),
        (MARKET, {"open_orders": 9}, ()),
        (BUY, {"snapshot_age": 9}, ("account",)),
        (BUY, {"no_self_trade": True}, ("account",)),
        (BUY, {"check_funds": True}, ("account", *MONEY)),
        (BUY, {"max_notional": D(9)}, MONEY),
        (BUY, {"position_usd": D(9)}, ("account", *MONEY)),
        (BUY, {"drawdown_share": D(1)}, ("account",)),
        (BUY, {"clock_skew": 9}, ("clock",)),
        (DEPLOYMENT, {"clock_skew": 9, "snapshot_age": 9, "max_notional": D(9)}, ("clock",)),
        (POST, {"clock_skew": 9}, ()),
        (POST, {"ask_to_publish": True}, ("texts",)),
    ],
)
def test_only_the_facts_are_read_that_a_limit_asks_for(
    action: Action, limits: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert needs(action, Limits.model_validate(limits)) == frozenset(expected)


def test_while_reducing_the_account_is_read() -> None:
    assert needs(BUY, Limits(), "REDUCING") == {"account"}
    assert needs(BUY, Limits(), "HALTED") == frozenset()


def test_the_names_of_the_cases_are_unique() -> None:
    assert len({case.name for case in ROWS}) == len(ROWS)
