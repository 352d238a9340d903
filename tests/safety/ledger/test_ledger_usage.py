"""Use of the limits: what counts, for how long, and for whom."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from api.errors import InvalidInput
from safety.ledger import Ledger
from safety.terms.facts import Outcome, Similar, Usage
from safety.terms.intent import Intent, IntentState
from safety.terms.proposal import Action

from .books import CALLER, MONEY, Clock, admitted, approved, deployment, go, order, post, proposal, sent, within

HOUR = 3_600.0
DAY = 86_400.0


def used(ledger: Ledger, action: Action | None = None) -> Usage:
    """The usage that the usual order would meet."""
    return ledger.usage("real", order() if action is None else action)


def brought(ledger: Ledger, clock: Clock, state: IntentState) -> Intent:
    """The usual order in a state."""
    if state in {"PENDING", "DECLINED", "EXPIRED"}:
        intent = admitted(ledger, clock, outcome=Outcome.REQUIRE)
        if state == "DECLINED":
            return ledger.decline(intent.intent_id, "no", by_human=True)
        if state == "EXPIRED":
            clock.forward(300.5)
            [intent] = ledger.expire_due()
        return intent
    if state == "APPROVED":
        return admitted(ledger, clock)
    intent = sent(ledger, clock)
    before: dict[IntentState, tuple[IntentState, ...]] = {"SENT": (), "ABSENT": ("UNKNOWN", "ABSENT")}
    for step in before.get(state, (state,)):
        intent = ledger.settle(intent.intent_id, step)
    return intent


def test_nothing_is_used_at_the_beginning(ledger: Ledger, clock: Clock) -> None:
    assert used(ledger) == Usage(at=clock.now)


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("PENDING", True), ("APPROVED", True), ("NOT_SENT", True), ("SENT", True), ("UNKNOWN", True), ("ABSENT", True),
        ("ACKED", True), ("REJECTED", False), ("DECLINED", False), ("EXPIRED", False),
    ],
)  # fmt: skip
def test_everything_counts_that_has_or_may_yet_have_an_effect(
    ledger: Ledger, clock: Clock, state: IntentState, counts: bool
) -> None:
    brought(ledger, clock, state)
    usage = used(ledger)

    assert (usage.notional_24h, usage.notional_day) == ((10, 10) if counts else (0, 0))
    assert (usage.count_24h, usage.count_day, len(usage.similar)) == ((1, 1, 1) if counts else (0, 0, 0))
    assert usage.reserved_usd == usage.reserved_symbol_usd == (10 if counts else 0)


def test_what_is_too_late_counts_no_more_even_before_anybody_has_said_so(ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock, outcome=Outcome.REQUIRE)
    clock.forward(300)
    assert used(ledger).count_24h == 1
    clock.forward(0.5)

    assert used(ledger) == Usage(prompts_last_hour=1, at=clock.now)


@pytest.mark.parametrize(
    ("later", "rolling", "today"),
    [(0, 1, 1), (12 * HOUR - 1, 1, 1), (12 * HOUR, 1, 0), (DAY - 0.001, 1, 0), (DAY, 0, 0)],
)
def test_an_order_counts_24_hours_and_until_midnight(
    ledger: Ledger, clock: Clock, later: float, rolling: int, today: int
) -> None:
    brought(ledger, clock, "ACKED")
    clock.forward(later)
    usage = used(ledger)

    assert (usage.count_24h, usage.notional_24h) == (rolling, 10 * rolling)
    assert (usage.count_day, usage.notional_day) == (today, 10 * today)


def test_an_order_at_midnight_is_of_the_new_day(ledger: Ledger, clock: Clock) -> None:
    clock.forward(12 * HOUR)
    brought(ledger, clock, "ACKED")
    assert used(ledger).count_day == 1
    clock.forward(DAY - 0.001)

    assert used(ledger).count_day == 1


def test_the_24_hours_begin_when_it_is_sent(ledger: Ledger, clock: Clock) -> None:
    waiting = admitted(ledger, clock, outcome=Outcome.REQUIRE)
    clock.forward(290)
    ledger.approve(waiting.intent_id, signature="ab", key_id="k1")
    assert ledger.claim(waiting.intent_id, go).won
    ledger.settle(waiting.intent_id, "ACKED")
    clock.forward(DAY - 1)
    assert used(ledger).count_24h == 1
    clock.forward(1)

    assert used(ledger).count_24h == 0


def test_sums_are_exact(ledger: Ledger, clock: Clock) -> None:
    for number in range(10):
        admitted(ledger, clock, order(str(number + 1)), usd=Decimal("0.1"))

    assert used(ledger).notional_24h == Decimal(1)


def test_each_service_has_its_own(ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock, service="embedded")

    assert used(ledger) == Usage(at=clock.now)


def test_what_is_no_order_has_no_part_in_sums_of_orders(ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock, deployment())
    admitted(ledger, clock, post())
    usage = used(ledger)

    assert (usage.count_24h, usage.order_ages, usage.reserved_usd, usage.standing_active) == (0, (), 0, 1)


def test_orders_of_the_last_minute_have_ages_youngest_first_and_rejected_ones_too(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "REJECTED")
    clock.forward(10)
    admitted(ledger, clock, order("2"))
    clock.forward(5)
    ledger.decline(admitted(ledger, clock, order("3")).intent_id, "no", by_human=True)
    assert used(ledger).order_ages == (5, 15)
    clock.forward(44.5)
    assert used(ledger).order_ages == (59.5,)
    clock.forward(0.5)

    assert used(ledger).order_ages == ()


def test_a_minute_of_orders_is_counted_from_their_admission(ledger: Ledger, clock: Clock) -> None:
    intent = admitted(ledger, clock)
    clock.forward(20)
    ledger.claim(intent.intent_id, go)
    clock.forward(39.5)
    assert used(ledger).order_ages == (59.5,)
    clock.forward(0.5)

    assert used(ledger).order_ages == ()


def test_similar_orders_are_those_of_account_symbol_and_side_in_the_last_hour(ledger: Ledger, clock: Clock) -> None:
    first = admitted(ledger, clock, order("1.5", price=Decimal("9.9")))
    ledger.claim(first.intent_id, go)
    clock.forward(100)
    market = admitted(ledger, clock, order("2", order_type="market", price=None))
    for other in ({"side": "sell"}, {"symbol": "ETH/USDT"}, {"account_id": "acc_2"}):
        admitted(ledger, clock, order("3", **other))

    assert used(ledger).similar == (
        Similar(market.intent_id, "APPROVED", Decimal(2), None, 0.0),
        Similar(first.intent_id, "SENT", Decimal("1.5"), Decimal("9.9"), 100.0),
    )
    clock.forward(HOUR - 100)
    assert used(ledger).similar == ()


def test_reservations_are_by_symbol_and_by_account(ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock, order(), usd=Decimal(10))
    admitted(ledger, clock, order(symbol="ETH/USDT"), usd=Decimal(20))
    admitted(ledger, clock, order(account_id="acc_2"), usd=Decimal(40))
    usage = used(ledger)

    assert (usage.reserved_symbol_usd, usage.reserved_usd) == (10, 30)


def test_an_acknowledged_order_stays_reserved_until_any_snapshot_shows_it(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "ACKED")
    clock.forward(14.999)
    assert used(ledger).reserved_usd == 10
    clock.forward(0.001)

    assert used(ledger).reserved_usd == 0


def test_an_absent_order_stays_reserved_for_24_hours_and_an_unknown_one_for_good(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "ABSENT")
    ledger.settle(sent(ledger, clock, order("2"), usd=Decimal(5)).intent_id, "UNKNOWN")
    clock.forward(DAY - 1)
    assert used(ledger).reserved_usd == 15
    clock.forward(1)

    assert (used(ledger).reserved_usd, used(ledger).unknown_here) == (5, 1)


def test_unknown_outcomes_and_orders_in_flight_are_counted_here_and_anywhere(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "UNKNOWN")
    ledger.settle(sent(ledger, clock, order(symbol="ETH/USDT")).intent_id, "UNKNOWN")
    sent(ledger, clock, order("2"))
    sent(ledger, clock, order("3"))
    sent(ledger, clock, order("2", account_id="acc_2"))
    for amount in ("4", "5"):
        admitted(ledger, clock, order(amount))
    usage = used(ledger)

    assert (usage.unknown_here, usage.unknown_anywhere, usage.in_flight_here) == (1, 2, 2)


def test_failures_in_a_row_end_with_an_acknowledged_order(ledger: Ledger, clock: Clock) -> None:
    outcomes: tuple[IntentState, ...] = ("ACKED", "REJECTED", "UNKNOWN", "NOT_SENT")
    for number, outcome in enumerate(outcomes):
        clock.forward(1)
        ledger.settle(sent(ledger, clock, order(str(number + 1))).intent_id, outcome)
    clock.forward(2)
    assert (used(ledger).failures_in_a_row, used(ledger).last_failure_age) == (3, 2)

    ledger.settle(sent(ledger, clock, order("9")).intent_id, "ACKED")
    assert (used(ledger).failures_in_a_row, used(ledger).last_failure_age) == (0, None)


def test_a_failure_that_turns_out_well_is_none(ledger: Ledger, clock: Clock) -> None:
    intent = brought(ledger, clock, "UNKNOWN")
    assert used(ledger).failures_in_a_row == 1
    clock.forward(1)
    ledger.settle(intent.intent_id, "ACKED")

    assert used(ledger).failures_in_a_row == 0


def test_a_release_forgives_failures(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "REJECTED")
    ledger.halt("too many failures", "the policy")
    ledger.release(signature="ab", key_id="k1", over="release")

    assert used(ledger).failures_in_a_row == 0


def test_orders_without_a_human_are_counted_since_one_last_approved(ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        clock.forward(1)
        admitted(ledger, clock, order(str(number + 1)))
    assert used(ledger).automatic_in_a_row == 3
    approved(ledger, clock, order("7"))
    assert used(ledger).automatic_in_a_row == 0
    clock.forward(1)
    admitted(ledger, clock, order("8"))

    assert used(ledger).automatic_in_a_row == 1


def test_a_yes_in_a_dialog_is_no_human_that_lets_orders_go_on(ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        clock.forward(1)
        asked = admitted(ledger, clock, order(str(number + 1)), ask_first=True)
        ledger.approve(asked.intent_id, signature="", key_id="elicitation")
    assert used(ledger).automatic_in_a_row == 3
    clock.forward(1)
    asked = admitted(ledger, clock, order("9"), ask_first=True)
    ledger.approve(asked.intent_id, signature="ab" * 64, key_id="k1")

    assert used(ledger).automatic_in_a_row == 0


def test_questions_to_a_human_are_counted_for_an_hour_and_while_they_wait(ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        admitted(ledger, clock, order(str(number + 1)), Outcome.REQUIRE)
    assert (used(ledger).pending, used(ledger).prompts_last_hour) == (3, 3)
    ledger.decline(ledger.intents()[0].intent_id, "no", by_human=False)
    assert (used(ledger).pending, used(ledger).prompts_last_hour) == (2, 3)
    clock.forward(301)
    assert (used(ledger).pending, used(ledger).prompts_last_hour) == (0, 3)
    clock.forward(HOUR - 301)

    assert used(ledger).prompts_last_hour == 0


def test_a_humans_refusals_have_ages_and_a_silent_dialogs_do_not(ledger: Ledger, clock: Clock) -> None:
    for number, by_human in enumerate((True, False, True)):
        clock.forward(10)
        intent = admitted(ledger, clock, order(str(number + 1)), Outcome.REQUIRE)
        ledger.decline(intent.intent_id, "no", by_human=by_human)
    clock.forward(5)
    assert used(ledger).declined_ages == (5, 25)
    clock.forward(HOUR - 25)

    assert used(ledger).declined_ages == (HOUR - 20,)


def test_equity_is_remembered_at_the_start_of_the_day_and_at_its_highest(ledger: Ledger, clock: Clock) -> None:
    for equity in ("100.5", "90", "120", "110"):
        clock.forward(60)
        ledger.saw_equity("real", "acc_1", Decimal(equity))
    assert (used(ledger).day_start_equity, used(ledger).high_water_equity) == (Decimal("100.5"), 120)

    clock.forward(12 * HOUR)
    assert (used(ledger).day_start_equity, used(ledger).high_water_equity) == (None, 120)
    ledger.saw_equity("real", "acc_1", Decimal(80))
    assert (used(ledger).day_start_equity, used(ledger).high_water_equity) == (80, 120)
    assert used(ledger, order(account_id="acc_2")).day_start_equity is None
    assert [event.kind for event in ledger.events()] == ["equity"] * 3


def test_a_release_starts_the_equity_history_again(ledger: Ledger, clock: Clock) -> None:
    ledger.saw_equity("real", "acc_1", Decimal(100))
    ledger.halt("a loss of 50 USD", "the policy")
    ledger.release(signature="ab", key_id="k1", over="release")
    assert (used(ledger).day_start_equity, used(ledger).high_water_equity) == (None, None)
    clock.forward(1)
    ledger.saw_equity("real", "acc_1", Decimal(50))

    assert (used(ledger).day_start_equity, used(ledger).high_water_equity) == (50, 50)


def test_strategies_that_trade_are_counted_until_they_are_seen_to_have_ended(ledger: Ledger, clock: Clock) -> None:
    deployed = sent(ledger, clock, deployment())
    assert used(ledger).standing_active == 1
    ledger.settle(deployed.intent_id, "ACKED", order_id="sub_1", result={"status": "active"})
    assert used(ledger).standing_active == 1
    again = sent(ledger, clock, deployment(action="resume", subscription_id="sub_1"))
    assert used(ledger).standing_active == 1
    ledger.settle(again.intent_id, "REJECTED")
    ledger.observe(deployed.intent_id, {"status": "paused"})
    assert used(ledger).standing_active == 0

    clock.forward(1)
    resumed = sent(ledger, clock, deployment(action="resume", subscription_id="sub_1"))
    assert used(ledger).standing_active == 1
    ledger.settle(resumed.intent_id, "ACKED", order_id="sub_1", result={"status": "active"})
    for strategy in ("second", "third"):
        admitted(ledger, clock, deployment(strategy_id=strategy))
    assert used(ledger).standing_active == 3


def test_a_clock_that_went_back_is_noticed_until_a_human_has_seen_to_it(ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock)
    clock.forward(-1)
    assert not used(ledger).clock_went_back
    clock.forward(-0.5)
    assert used(ledger).clock_went_back
    admitted(ledger, clock, order("2"))
    assert used(ledger).clock_went_back
    ledger.release(signature="ab", key_id="k1", over="release")
    assert not used(ledger).clock_went_back
    admitted(ledger, clock, order("3"))

    assert not used(ledger).clock_went_back


def test_orders_from_the_future_count(ledger: Ledger, clock: Clock) -> None:
    brought(ledger, clock, "ACKED")
    clock.forward(-3 * DAY)

    assert used(ledger).count_24h == 1
    assert used(ledger).order_ages == (0.0,)


def test_two_ledgers_of_one_home_see_the_same(home: Path, ledger: Ledger, clock: Clock) -> None:
    other = Ledger.open(home, now=clock)
    brought(ledger, clock, "ACKED")
    seen = used(other)
    other.close()

    assert seen == used(ledger)
    assert seen.count_24h == 1


@pytest.mark.parametrize("limit", [Decimal(10), Decimal(30), Decimal("39.99")])
def test_a_limit_is_reached_and_never_passed(ledger: Ledger, clock: Clock, limit: Decimal) -> None:
    for number in range(10):
        offered = proposal(clock.now, order(str(number + 1)))
        ledger.admit(offered, CALLER, within(limit, Decimal(10)), repeat_seconds=0)

    assert used(ledger).notional_24h == limit // 10 * 10


def test_what_was_rejected_cannot_be_approved(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(InvalidInput):
        ledger.approve(brought(ledger, clock, "REJECTED").intent_id, signature="ab", key_id="k1")


def test_similar_orders_are_a_value_that_later_orders_do_not_change(ledger: Ledger, clock: Clock) -> None:
    first = admitted(ledger, clock, order("2"))
    seen = used(ledger).similar
    clock.forward(5)
    admitted(ledger, clock, order("3"))

    assert seen == (Similar(first.intent_id, "APPROVED", Decimal(2), MONEY, 0.0),)
    assert (seen[:1], hash(seen)) == (seen, hash(tuple(seen)))
    assert seen != used(ledger).similar
