"""Values that the documents state: limits before the first signature, ceilings above any signature, channels, spans."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest
from pydantic import ValidationError

from safety.policy.conduct import CHANNEL_DAY, CHANNEL_ORDER
from safety.policy.evaluation import CEILINGS, LIVE, PAPER, Policy, evaluate, findings_of, tripped
from safety.policy.explain import explain, left
from safety.policy.limits import Limits
from safety.terms.facts import Outcome, Quote
from safety.terms.intent import Admission, Caller, Intent
from safety.terms.proposal import Proposal, PublicationTerms
from tests.safety.policy.scenarios import BUY, NOW, POST, against, earlier, facts, paper, policy

D = Decimal
DAY: Final = 86_400

BEFORE_THE_FIRST_SIGNATURE: Final[dict[str, Any]] = {
    "trading": False,
    "accounts": frozenset(),
    "market_types": {"spot"},
    "symbols": frozenset(),
    "forbidden_symbols": frozenset(),
    "order_types": {"limit", "GTC", "FOK"},
    "max_amount": {},
    "max_notional": 50,
    "collar": D("0.02"),
    "collar_major": D("0.01"),
    "collar_probability": D("0.05"),
    "max_leverage": 1,
    "daily_notional": 200,
    "daily_count": 20,
    "seconds_between": 5,
    "per_minute": 5,
    "duplicate_seconds": 120,
    "repeat_seconds": 120,
    "open_orders": 10,
    "open_orders_symbol": 3,
    "position_usd": 200,
    "position_share": D("0.10"),
    "exposure_share": D("0.25"),
    "daily_loss_usd": 50,
    "daily_loss_share": D("0.05"),
    "drawdown_share": D("0.15"),
    "no_self_trade": True,
    "rearm_after": 5,
    "cooldown_failures": 3,
    "cooldown_seconds": 600,
    "halt_failures": 6,
    "one_unresolved": True,
    "halt_unresolved": 3,
    "check_funds": True,
    "clock_skew": 5,
    "snapshot_age": 15,
    "ask_a_human": True,
    "automatic_up_to": 0,
    "elicitation_up_to": 0,
    "ask_for_standing": True,
    "max_standing": 1,
    "standing_seconds": 7 * DAY,
    "webhook_hosts": frozenset(),
    "public_webhooks": True,
    "ask_to_publish": True,
}
"""Real money. The age of a price is left out: the feeds decide it, not a rule of retail trading."""

WHATEVER_IS_SIGNED: Final[dict[str, Any]] = {
    "max_notional": 1_000,
    "collar": D("0.10"),
    "collar_major": D("0.10"),
    "collar_probability": D("0.20"),
    "quote_age": 90,
    "max_leverage": 3,
    "daily_notional": 5_000,
    "daily_count": 1_000,
    "per_minute": 60,
    "open_orders": 200,
    "open_orders_symbol": 200,
    "daily_loss_share": D("0.50"),
    "drawdown_share": D("0.75"),
    "rearm_after": 100,
    "halt_failures": 20,
    "one_unresolved": True,
    "halt_unresolved": 10,
    "clock_skew": 30,
    "snapshot_age": 60,
    "ask_a_human": True,
    "automatic_up_to": 250,
    "elicitation_up_to": 25,
    "ask_for_standing": True,
    "max_standing": 5,
    "standing_seconds": 30 * DAY,
    "public_webhooks": True,
    "ask_to_publish": True,
    "cooldown_seconds": 0,
}


@pytest.mark.parametrize("name", sorted(BEFORE_THE_FIRST_SIGNATURE))
def test_before_the_first_signature_a_limit_of_real_money_has_its_stated_value(name: str) -> None:
    assert getattr(LIVE, name) == BEFORE_THE_FIRST_SIGNATURE[name]
    assert getattr(Policy().limits("real"), name) == BEFORE_THE_FIRST_SIGNATURE[name]


@pytest.mark.parametrize("name", sorted(WHATEVER_IS_SIGNED))
def test_a_ceiling_has_its_stated_value(name: str) -> None:
    assert getattr(CEILINGS, name) == WHATEVER_IS_SIGNED[name]


def test_simulated_money_has_no_limits_until_the_user_chooses_some() -> None:
    assert Limits() == PAPER
    assert PAPER.trading
    assert against(BUY, Policy(), facts(money="paper")) == {}


def test_the_approver_types_amounts_above_a_hundred_dollars_and_no_other_user_is_assumed() -> None:
    assert Policy().typed_amount_above == 100
    assert not Policy().separate_user


def test_a_channel_carries_what_its_strength_allows() -> None:
    assert CHANNEL_ORDER == {"none": 0, "elicitation": 25, "passphrase": 250, "separate": 1_000}
    assert CHANNEL_DAY == {"none": 0, "elicitation": 50, "passphrase": 1_000, "separate": 5_000}


def test_a_policy_and_its_limits_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(LIVE, "trading", True)  # noqa: B010 - the type checker already refuses the plain assignment
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Policy(), "live", PAPER)  # noqa: B010 - as above


def test_policies_with_different_accounts_or_symbols_have_different_hashes() -> None:
    choices = product((["a"], ["b"], ["a", "b"], []), (["BTC/USDT"], None))
    hashes = {policy(accounts=names, symbols=symbols).hash for names, symbols in choices}

    assert len(hashes) == 8


def test_what_a_human_approved_needs_no_second_approval_and_no_approval_lifts_a_denial() -> None:
    asks, denies = policy(automatic_up_to=0), policy(automatic_up_to=0, max_notional=1)

    assert evaluate(BUY, asks, facts()).outcome is Outcome.REQUIRE
    assert evaluate(BUY, asks, facts(), approved=True).outcome is Outcome.PASS
    assert evaluate(BUY, denies, facts(), approved=True).outcome is Outcome.DENY


def test_whether_a_human_was_asked_too_often_is_judged_unless_it_is_left_out() -> None:
    limits = policy(automatic_up_to=0).limits("real")
    often = facts(prompts_last_hour=1_000, pending=1_000)

    judged = {
        tired: {each.rule for each in found if each.outcome is Outcome.DENY}
        for tired, found in (
            ("unless it is left out", findings_of(BUY, limits, often)[0]),
            ("when asked for", findings_of(BUY, limits, often, tired=True)[0]),
            ("left out", findings_of(BUY, limits, often, tired=False)[0]),
        )
    }
    assert judged == {"unless it is left out": {"R28_FATIGUE"}, "when asked for": {"R28_FATIGUE"}, "left out": set()}


def test_an_order_for_an_account_of_another_exchange_is_denied_not_asked_about() -> None:
    assert against(BUY, policy(), facts(exchange="upbit"))["R03"] == "DENY"
    assert against(BUY, policy(), facts(market_type="perpetual"))["R03"] == "DENY"


def test_a_price_that_is_too_old_is_replaced_at_the_start_of_the_next_minute() -> None:
    def resets(age: float) -> float | None:
        found = evaluate(BUY, policy(quote_age=30), facts(quote=Quote(D(60_000), age)))
        [denial] = [each for each in found.findings if each.outcome is Outcome.DENY]
        assert denial.rule == "R10_COLLAR"
        return denial.resets_at

    assert resets(45) == NOW + 15
    assert resets(59) == NOW + 1
    assert resets(60) is None
    assert resets(-45) is None


def test_without_a_limit_on_age_the_collar_keeps_its_full_width() -> None:
    at = {edge: BUY.model_copy(update={"price": D(edge)}) for edge in ("60600", "60601", "59400", "59399")}
    old = facts(money="paper", quote=Quote(D(60_000), 300.0))

    assert {edge for edge, order in at.items() if against(order, paper(collar="0.01"), old)} == {"60601", "59399"}


def test_without_a_collar_a_recent_price_suffices() -> None:
    open_collar = policy(collar=None, collar_major=None)
    findings = {each.rule: each for each in findings_of(BUY, open_collar.live, facts())[0]}

    assert findings["R10_COLLAR"].outcome is Outcome.PASS


def test_an_asset_that_the_account_does_not_hold_cannot_be_sold() -> None:
    sale = BUY.model_copy(update={"symbol": "ETH/USDT", "side": "sell", "amount": D("0.0001"), "price": D(3_000)})
    known = facts(quote=Quote(D(3_000), 1.0))

    assert against(sale, policy(max_amount={"ETH/USDT": 1}), known)["R25"] == "DENY"


def test_without_a_span_no_order_is_a_duplicate() -> None:
    assert against(BUY, policy(duplicate_seconds=120), facts(similar=(earlier(age=60),)))["R15"] == "REQUIRE"
    assert "R15" not in against(BUY, policy(duplicate_seconds=0), facts(similar=(earlier(age=0),)))


def test_a_publication_that_is_no_object_is_denied_for_that_reason() -> None:
    found = evaluate(PublicationTerms(action="post", body='["a", "b"]'), policy(), facts())

    [denial] = [each for each in found.findings if each.outcome is Outcome.DENY]
    assert denial.reason == "the body is not an object of fields"


def test_a_loss_trips_the_switch_for_orders_and_not_for_publications() -> None:
    limits, lost = Limits(daily_loss_usd=D(50)), facts(equity_usd=D(900))

    trip = tripped(BUY, limits, lost)
    assert trip is not None
    assert (trip.state, trip.rule) == ("HALTED", "R18_DAILY_LOSS")
    assert tripped(POST, limits, lost) is None


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"duplicate_seconds": 59}, "59 s"),
        ({"duplicate_seconds": 60}, "1 minute"),
        ({"duplicate_seconds": 90}, "90 s"),
        ({"duplicate_seconds": 120}, "2 minutes"),
        ({"duplicate_seconds": 3_600}, "1 hour"),
        ({"standing_seconds": 5_400}, "90 minutes"),
        ({"standing_seconds": DAY}, "1 day"),
        ({"standing_seconds": 2 * DAY}, "2 days"),
        ({"max_amount": {"ETH/USDT": "2", "BTC/USDT": "0.5"}}, "BTC/USDT 0.5, ETH/USDT 2"),
        ({"max_amount": {}}, "none"),
        ({"symbols": []}, "none"),
        ({"symbols": ["ETH/USDT", "BTC/USDT"]}, "BTC/USDT, ETH/USDT"),
        ({"collar": "0.025"}, "2.5 %"),
    ],
    ids=str,
)
def test_a_limit_is_explained_in_the_units_of_people(limit: dict[str, Any], words: str) -> None:
    changed = [
        now.words
        for now, before in zip(explain(paper(**limit), "paper"), explain(paper(), "paper"), strict=True)
        if now.words != before.words
    ]

    assert len(changed) == 1
    assert words in changed[0].replace("  ", " ")


def test_what_is_left_before_a_human_is_needed_is_listed_from_the_first_dollar_on() -> None:
    for most, listed in ((0, False), (1, True), (100, True)):
        rules = {each.rule for each in left(policy(automatic_up_to=most), facts(), BUY)}
        assert ("R22_REARM" in rules) is listed


def test_a_new_intent_was_in_no_listing_and_an_admission_is_neither_repeated_nor_claimed() -> None:
    terms = Proposal(
        action=BUY, money="paper", service="embedded", policy_hash="0a" * 32, quote=None, notional_usd=D(30),
        created=NOW, expires=NOW + 300,
    )  # fmt: skip
    intent = Intent("id", "PENDING", terms, "digest", Caller("tool"), automatic=True, label="", created=0, changed_at=0)
    admission = Admission(intent, evaluate(BUY, policy(), facts()))

    assert intent.sweeps == 0
    assert not admission.repeated
    assert not admission.claimed
