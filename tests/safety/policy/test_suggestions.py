"""The advice in a refusal: an order that would pass, what the limits leave, the rules in words, what halts trading."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import pytest

from safety.policy.evaluation import LIVE, PAPER, RULES, Policy, Trip, evaluate, tripped
from safety.policy.explain import Remaining, explain, explained_markdown, left
from safety.policy.limits import Limits
from safety.terms.facts import Facts, Outcome, Quote
from safety.terms.proposal import OrderTerms
from tests.safety.policy.scenarios import ALLOWING, BUY, NOW, PERPETUAL, PREDICTION, earlier, facts, policy, rest

D = Decimal
SELL: Final = BUY.model_copy(update={"side": "sell"})


def suggestion(order: OrderTerms, known: Facts | None = None, **limits: Any) -> dict[str, Any]:
    """The suggested replacement for an order, as far as it differs."""
    found = evaluate(order, policy(**limits), known or facts()).suggestion
    if found is None:
        return {}
    return {name: value for name, value in found.model_dump().items() if value != getattr(order, name)}


@pytest.mark.parametrize(
    ("order", "limits", "known", "expected"),
    [
        (BUY, {"max_amount": {"BTC/USDT": D("0.0001")}}, {}, {"amount": D("0.0001")}),
        (BUY, {"max_notional": D(10)}, {}, {"amount": D("0.00016666")}),
        (BUY, {}, {"notional_24h": D(180)}, {"amount": D("0.00033333")}),
        (BUY, {}, {"reserved_symbol_usd": D(88)}, {"amount": D("0.0002")}),
        (BUY, {}, {"reserved_usd": D(226)}, {"amount": D("0.0004")}),
        (BUY, {}, {"free": {"USDT": D(6)}}, {"amount": D("0.0001")}),
        (
            BUY.model_copy(update={"symbol": "PEPE/USDT", "amount": D("7123456.7"), "price": D("0.00001")}),
            {"max_amount": {"PEPE/USDT": D("5123456.7")}, "max_notional": D(100)},
            {"quote": Quote(D("0.00001"), 1.0)},
            {"amount": D(5_123_456)},
        ),
        (SELL, {}, {"free": {"BTC": D("0.0003")}}, {"amount": D("0.0003")}),
        (BUY, {}, {"assurance": "elicitation"}, {"amount": D("0.00041666")}),
        (BUY.model_copy(update={"price": D(70_000)}), {}, {}, {"price": D(60_600)}),
        (BUY.model_copy(update={"price": D(50_000)}), {}, {}, {"price": D(59_400)}),
        (PERPETUAL.model_copy(update={"leverage": 9, "amount": D("0.0001")}), {}, {}, {"leverage": 1}),
        (PERPETUAL.model_copy(update={"leverage": None}), {}, {}, {"leverage": 1}),
        (PERPETUAL.model_copy(update={"leverage": None}), {"max_leverage": 3}, {}, {"leverage": 1}),
        (
            BUY.model_copy(update={"order_type": "market", "price": None}),
            {},
            {},
            {"order_type": "limit", "price": D(60_600)},
        ),
        (
            SELL.model_copy(update={"order_type": "market", "price": None}),
            {"order_types": frozenset({"FOK"})},
            {},
            {"order_type": "FOK", "price": D(59_400)},
        ),
        (
            BUY.model_copy(update={"price": D(70_000), "amount": D(1)}),
            {},
            {},
            {"price": D(60_600), "amount": D("0.00082508")},
        ),
        (
            PREDICTION.model_copy(update={"price": D("0.8")}),
            {},
            {"quote": Quote(D("0.6"), 1.0)},
            {"price": D("0.65")},
        ),
    ],
)
def test_a_denied_order_is_corrected(
    order: OrderTerms, limits: dict[str, Any], known: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert suggestion(order, facts(**known), **limits) == expected


@pytest.mark.parametrize(
    ("order", "limits", "known"),
    [
        (BUY, {}, {}),
        (BUY, {"automatic_up_to": D(0)}, {}),
        (BUY, {"trading": False, "max_notional": D(10)}, {}),
        (BUY, {"symbols": frozenset[str]()}, {}),
        (BUY, {"max_notional": D(0)}, {}),
        (BUY, {}, {"notional_24h": D(200)}),
        (BUY, {}, {"free": {}}),
        (BUY, {}, {"open_orders": (rest("sell", "59000"),)}),
        (BUY.model_copy(update={"order_type": "market", "price": None}), {"order_types": frozenset[str]()}, {}),
        (PERPETUAL.model_copy(update={"leverage": 2}), {"max_leverage": 0, "max_notional": D(100)}, {}),
        (BUY.model_copy(update={"price": D(70_000)}), {}, {"switch": "HALTED"}),
    ],
)
def test_what_no_smaller_order_can_fix_has_no_suggestion(
    order: OrderTerms, limits: dict[str, Any], known: dict[str, Any]
) -> None:
    assert suggestion(order, facts(**known), **limits) == {}


def test_every_objection_says_what_to_do_and_none_says_to_repeat() -> None:
    known = facts(
        quote=None,
        clock_skew=None,
        age=99.0,
        count_24h=99,
        order_ages=(1.0,) * 9,
        similar=(earlier(),),
        unknown_here=1,
        failures_in_a_row=9,
        switch="HALTED",
        automatic_in_a_row=9,
        open_orders=(rest("sell", "1"),) * 20,
        equity_usd=D(1),
        pending=9,
    )
    strict = {
        "trading": False,
        "accounts": frozenset[str](),
        "symbols": frozenset[str](),
        "exchanges": frozenset[str](),
    }

    against = evaluate(BUY, policy(**strict), known).against

    assert len(against) > 15
    for finding in against:
        assert finding.reason
        assert finding.what_to_do
        assert not re.search(r"\b(retry|repeat|resend|again with)\b", finding.what_to_do)
    unclear = next(finding for finding in against if finding.rule.startswith("R24"))
    assert "never place it again" in unclear.what_to_do


@pytest.mark.parametrize(
    ("limits", "known", "rule", "after"),
    [
        ({"quote_age": 10}, {"quote": Quote(D(60_000), 25.0)}, "R10_COLLAR", 35),
        ({}, {"quote": Quote(D(60_000), 90.0)}, "R10_COLLAR", None),
        ({}, {"notional_24h": D(200)}, "R12_DAILY_NOTIONAL", 86_400),
        ({}, {"count_24h": 20}, "R13_DAILY_COUNT", 86_400),
        ({}, {"order_ages": (2.0,)}, "R14_THROTTLE", 3),
        ({}, {"order_ages": (59.0, 58.0, 57.0, 56.0, 55.0, 7.0)}, "R14_THROTTLE", 2),
        ({}, {"similar": (earlier(age=20),)}, "R15_DUPLICATE", 100),
        ({}, {"failures_in_a_row": 3, "last_failure_age": 100.0}, "R23_FAILURES", 500),
        ({}, {"assurance": "elicitation", "notional_24h": D(50)}, "R29_CHANNEL_CEILING", None),
        ({"automatic_up_to": D(0)}, {"declined_ages": (100.0, 200.0)}, "R28_FATIGUE", 1_700),
        ({"automatic_up_to": D(0)}, {"prompts_last_hour": 10}, "R28_FATIGUE", 3_600),
        ({"per_minute": 0}, {}, "R14_THROTTLE", None),
        ({"daily_count": 0}, {}, "R13_DAILY_COUNT", None),
        ({"daily_notional": D(10)}, {}, "R12_DAILY_NOTIONAL", None),
    ],
)
def test_a_refusal_that_passes_with_time_says_when(
    limits: dict[str, Any], known: dict[str, Any], rule: str, after: float | None
) -> None:
    finding = next(f for f in evaluate(BUY, policy(**limits), facts(**known)).against if f.rule == rule)

    assert finding.resets_at == (None if after is None else pytest.approx(NOW + after))


def test_a_day_of_a_weak_channel_passes_with_time() -> None:
    small = BUY.model_copy(update={"amount": D("0.0001")})
    found = evaluate(small, policy(), facts(assurance="elicitation", notional_24h=D(45))).worst

    assert (found.rule, found.window, found.resets_at) == ("R29_CHANNEL_CEILING", "24h", NOW + 86_400)
    assert (found.limit, found.observed) == ("50", "51")


def test_what_the_limits_leave() -> None:
    known = facts(
        notional_24h=D(170),
        notional_day=D(20),
        count_24h=3,
        count_day=2,
        order_ages=(1.0, 2.0, 59.9, 60.0, 70.0),
        open_orders=(rest("buy", "1"),),
        position_usd={"BTC/USDT": D(30), "ETH/USDT": D(-70)},
        reserved_usd=D(50),
        automatic_in_a_row=2,
        equity_usd=D(990),
        standing_active=2,
    )

    assert left(Policy(live=ALLOWING), known, BUY) == [
        Remaining("R07_MAX_AMOUNT", "1000", "1000", f"base units of one {PREDICTION.symbol} order"),
        Remaining("R07_MAX_AMOUNT", "0.01", "0.01", "base units of one BTC/USDT order"),
        Remaining("R07_MAX_AMOUNT", "0.01", "0.01", "base units of one BTC/USDT:USDT order"),
        Remaining("R08_MAX_NOTIONAL", "50", "50", "USD of one order"),
        Remaining("R12_DAILY_NOTIONAL", "200", "30", "USD", NOW + 86_400),
        Remaining("R13_DAILY_COUNT", "20", "17", "orders", NOW + 86_400),
        Remaining("R14_THROTTLE", "5", "2", "orders in a minute", NOW + 60),
        Remaining("R16_OPEN_ORDERS", "10", "9", "open orders of the account"),
        Remaining("R16_OPEN_ORDERS", "3", "2", "open orders of BTC/USDT"),
        Remaining("R17_POSITION", "99", "68.9999", "USD in BTC/USDT"),
        Remaining("R17_POSITION", "247.5", "97.4999", "USD in all positions and orders"),
        Remaining("R18_DAILY_LOSS", "50", "40", "USD"),
        Remaining("R22_REARM", "5", "3", "orders without a human"),
        Remaining("R29_CHANNEL_CEILING", "250", "250", "USD of one order"),
        Remaining("R29_CHANNEL_CEILING", "1000", "830", "USD", NOW + 86_400),
        Remaining("R30_STANDING", "1", "0", "strategies in mode trade"),
    ]


def test_what_is_not_known_or_not_limited_is_not_told() -> None:
    known = facts(equity_usd=None)
    rules = [row.rule for row in left(policy(open_orders_symbol=None), known, BUY)]
    loose = policy(
        daily_loss_usd=None, daily_loss_share=None, position_usd=None, position_share=None, exposure_share=None
    )

    assert "R16_OPEN_ORDERS" in rules
    assert not {"R17_POSITION", "R18_DAILY_LOSS"} & set(rules)
    assert not {"R17_POSITION", "R16_OPEN_ORDERS"} & {row.rule for row in left(policy(), facts())}
    assert not {"R17_POSITION"} & {row.rule for row in left(loose, facts(), BUY)}
    assert "R18_DAILY_LOSS" not in {row.rule for row in left(policy(), facts(day_start_equity=None))}
    assert left(Policy(paper=Limits(exposure_share=D(1))), facts(money="paper"), BUY) == [
        Remaining("R17_POSITION", "1000", "1000", "USD in all positions and orders")
    ]


def test_what_is_left_is_what_the_rules_compare() -> None:
    small = facts(equity_usd=D(390), day_start_equity=D(400))
    halved = {row.unit: row.left for row in left(policy(), facts(labels_echoed=False)) if row.rule[:3] == "R29"}

    assert {row.left for row in left(policy(), small) if row.rule == "R18_DAILY_LOSS"} == {"10"}
    assert halved == {"USD of one order": "125", "USD": "500"}


def test_a_gain_leaves_the_whole_loss_and_overdrawn_limits_leave_nothing() -> None:
    gained = {row.rule: row.left for row in left(policy(), facts(equity_usd=D(2_000)))}
    used = {row.rule: row.left for row in left(policy(), facts(notional_24h=D(900), count_24h=99))}

    assert gained["R18_DAILY_LOSS"] == "50"
    assert (used["R12_DAILY_NOTIONAL"], used["R13_DAILY_COUNT"]) == ("0", "0")


def test_without_automatic_orders_none_are_left() -> None:
    rules = {row.rule for row in left(policy(automatic_up_to=D(0)), facts())}

    assert "R22_REARM" not in rules
    assert "R22_REARM" in {row.rule for row in left(policy(), facts())}


def test_without_limits_there_is_nothing_to_tell() -> None:
    assert left(Policy(), Facts(now=0.0, money="paper")) == []


def test_nothing_used_resets_nothing() -> None:
    assert [row.resets_at for row in left(Policy(live=ALLOWING), facts(account=None))] == [None] * 11


def test_each_rule_is_explained_with_its_values() -> None:
    rows = {row.rule: row.words for row in explain(Policy(), "real")}

    assert set(rows) == {rule.id for rule in RULES} | {"R28_FATIGUE", "R33_CANCEL"}
    assert rows["R01_MODE"] == "no orders are placed at all"
    assert rows["R02_ACCOUNT_ALLOW"] == "only these accounts: none"
    assert rows["R08_MAX_NOTIONAL"] == "one order is worth at most 50 USD"
    assert rows["R10_COLLAR"] == (
        "a price lies within 2 % of the market; within 1 % for the ten largest assets; within 0.05 on prediction "
        "markets; a market price is valid for 75 s"
    )
    assert rows["R30_STANDING"].endswith("at most 1 of them; each is paused after 7 days")
    assert "passphrase 250 and 1000" in rows["R29_CHANNEL_CEILING"]


def test_paper_without_limits_says_so() -> None:
    rows = {row.rule: row.words for row in explain(Policy(), "paper")}

    assert rows.pop("R01_MODE") == "orders may be placed"
    assert {rule for rule, words in rows.items() if words != "no limit"} == {
        "R06_SANITY",
        "R09_WORST_CASE",
        "R20_SWITCH",
        "R28_FATIGUE",
        "R33_CANCEL",
    }


def test_every_limit_is_in_the_words_of_some_rule() -> None:
    silent = [
        name
        for name, value in LIVE
        if value not in (getattr(PAPER, name), None)
        and explained_markdown(Policy(live=LIVE), "real")
        == explained_markdown(Policy(live=LIVE.model_copy(update={name: getattr(PAPER, name)})), "real")
    ]

    # the ceilings keep these as they are
    assert set(silent) <= {"one_unresolved", "ask_a_human", "ask_for_standing", "ask_to_publish", "public_webhooks"}


@pytest.mark.parametrize(
    ("known", "limits", "expected"),
    [
        ({}, {}, None),
        ({"equity_usd": D(950)}, {}, ("HALTED", "R18_DAILY_LOSS")),
        ({"day_start_equity": None}, {}, None),
        ({"account": None}, {}, None),
        ({"equity_usd": None}, {}, None),
        ({"equity_usd": D(850)}, {"daily_loss_usd": None, "daily_loss_share": D("0.5")}, ("REDUCING", "R19_DRAWDOWN")),
        ({"high_water_equity": None}, {}, None),
        ({"failures_in_a_row": 3, "last_failure_age": 1.0}, {}, None),
        ({"failures_in_a_row": 6}, {}, ("HALTED", "R23_FAILURES")),
        ({"unknown_here": 1, "unknown_anywhere": 2}, {}, None),
        ({"unknown_anywhere": 3}, {}, ("HALTED", "R24_UNRESOLVED")),
        ({"clock_went_back": True}, {}, ("HALTED", "R26_CLOCK")),
        ({"clock_skew": 60.0}, {}, None),
        ({"notional_24h": D(9_999)}, {}, None),
    ],
)
def test_what_pulls_the_switch(known: dict[str, Any], limits: dict[str, Any], expected: tuple[str, str] | None) -> None:
    asked, now = policy(**limits), facts(**known)
    trip = tripped(BUY, asked.limits(now.money), now)

    assert (trip and (trip.state, trip.rule)) == expected
    assert trip is None or isinstance(trip, Trip)


def test_paper_without_limits_trips_over_nothing() -> None:
    known = Facts(now=0.0, money="paper", usage=facts(clock_went_back=True, failures_in_a_row=99).usage)

    assert tripped(BUY, Policy().limits(known.money), known) is None
    assert evaluate(BUY, Policy(), known).outcome is Outcome.PASS
    assert Limits() == PAPER
