"""Reading finds the result of an attempt with an unknown outcome, and never contradicts the truth."""

from __future__ import annotations

from decimal import Decimal

import pytest

from safety.terms.proposal import DeploymentTerms, OrderTerms, PublicationTerms

from .conftest import ORDER, Search

OTHER = ORDER.model_copy(update={"amount": Decimal("0.002")})


def posts(search: Search) -> list[str]:
    return [each for each in search.venue.heard if not each.startswith("GET ")]


async def test_an_order_that_is_there_is_found_by_its_label(search: Search) -> None:
    intent = search.sent()
    search.books(intent)

    await search.reconciler.look()

    found = search.booked(intent)
    assert (found.state, found.order_id) == ("ACKED", "api-1")
    assert search.ledger.switch().state == "ACTIVE"
    assert search.ledger.labels_echoed("venue") is True
    assert posts(search) == []


async def test_an_order_that_is_not_there_is_absent_only_after_the_grace_and_five_complete_looks(
    search: Search,
) -> None:
    intent = search.sent()

    await search.looks_for(59)
    early = search.booked(intent)
    await search.looks_for(6)

    assert (early.state, early.sweeps) == ("UNKNOWN", 6)
    assert search.booked(intent).state == "ABSENT"
    assert search.ledger.switch().state == "ACTIVE"
    assert posts(search) == []


async def test_looks_come_after_1_2_4_and_up_to_60_seconds(search: Search) -> None:
    search.sent()
    looks: list[float] = []

    for second in range(300):
        before = len(search.venue.heard)
        await search.reconciler.look()
        if len(search.venue.heard) > before:
            looks.append(second)
        search.clock.now += 1

    assert looks[:7] == [0, 1, 3, 7, 15, 31, 63]


@pytest.mark.parametrize("broken", ["GET /orders", "GET /accounts/acc-1/open-orders"])
async def test_while_a_listing_fails_nothing_is_absent(search: Search, broken: str) -> None:
    intent = search.sent()
    search.venue.fails = lambda call: call == broken

    await search.looks_for(300)

    assert (search.booked(intent).state, search.booked(intent).sweeps) == ("UNKNOWN", 0)


async def test_an_order_that_comes_after_it_was_given_up_halts(search: Search) -> None:
    intent = search.sent()
    await search.looks_for(70)
    assert search.booked(intent).state == "ABSENT"

    search.books(intent)
    await search.looks_for(400, step=50)

    assert search.booked(intent).state == "ACKED"
    assert search.ledger.switch().state == "HALTED"
    alarm = search.ledger.latest("alarm", intent.intent_id)
    assert alarm is not None
    assert alarm.body["reason"] == search.ledger.switch().reason
    assert intent.intent_id in search.ledger.switch().reason


async def test_what_was_given_up_is_not_looked_for_after_a_day(search: Search) -> None:
    search.sent()
    await search.looks_for(70)
    await search.looks_for(90_000, step=10_000)
    heard = len(search.venue.heard)

    await search.looks_for(50_000, step=10_000)

    assert len(search.venue.heard) == heard


async def test_an_attempt_whose_process_is_gone_becomes_unknown_and_is_looked_for(search: Search) -> None:
    intent = search.sent(state="SENT")
    search.books(intent)

    await search.looks_for(60)
    young = search.booked(intent).state
    search.clock.now += 1
    await search.looks_for(3)

    assert young == "SENT"
    assert search.booked(intent).state == "ACKED"


async def test_two_orders_under_one_label_halt_and_are_never_taken_for_one(search: Search) -> None:
    intent = search.sent()
    search.books(intent)
    search.books(intent)

    await search.looks_for(10)

    assert search.booked(intent).state == "UNKNOWN"
    assert search.ledger.switch().state == "HALTED"


async def test_an_order_that_doubles_after_it_was_acknowledged_halts_too(search: Search) -> None:
    first, other = search.sent(), search.sent(OTHER)
    search.books(first)
    await search.reconciler.look()
    assert search.booked(first).state == "ACKED"

    search.books(first)
    await search.looks_for(10)

    assert search.booked(other).state == "UNKNOWN"
    assert search.ledger.switch().state == "HALTED"


async def test_the_same_alarm_is_not_raised_again_after_a_human_has_released(search: Search) -> None:
    intent = search.sent()
    search.books(intent)
    search.books(intent)
    await search.looks_for(10)

    search.ledger.release(signature="00", key_id="human", over="")
    await search.looks_for(100)

    assert search.ledger.switch().state == "ACTIVE"


async def test_one_order_in_the_history_and_among_the_open_ones_is_one_order(search: Search) -> None:
    intent = search.sent()
    made = search.books(intent, exchange_order_id="77")
    search.venue.rows.append({**made, "order_id": "77", "exchange_order_id": None})

    await search.reconciler.look()

    assert search.booked(intent).state == "ACKED"
    assert search.ledger.switch().state == "ACTIVE"


async def test_a_refused_order_is_looked_for_once_and_halts_when_it_is_there(search: Search) -> None:
    true, false = search.sent(state="REJECTED"), search.sent(OTHER, state="REJECTED")
    search.books(false)

    await search.looks_for(120)

    assert search.booked(true).sweeps == 1
    assert search.booked(false).state == "REJECTED"
    assert search.ledger.switch().state == "HALTED"
    assert false.intent_id in search.ledger.switch().reason


async def test_refusals_that_are_true_cost_one_look(search: Search) -> None:
    intent = search.sent(state="REJECTED")

    await search.looks_for(120)
    heard = len(search.venue.heard)
    await search.looks_for(600, step=10)

    assert search.booked(intent).sweeps == 1
    assert len(search.venue.heard) == heard
    assert search.ledger.switch().state == "ACTIVE"


async def test_an_order_of_ours_with_other_terms_is_ours_and_halts(search: Search) -> None:
    intent = search.sent()
    search.books(intent, amount=0.5)

    await search.reconciler.look()

    assert search.booked(intent).state == "ACKED"
    assert "another amount" in search.ledger.switch().reason


class TestDeployments:
    """Strategies that trade by themselves, whose deployment has an unknown outcome."""

    DEPLOY = DeploymentTerms(action="subscribe", strategy_id="rsi", account_id="acc-1")
    RESUME = DeploymentTerms(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-9")

    async def test_a_deployed_one_is_found(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": "sub-1", "strategy_id": "rsi", "mode": "signal"},
            {"strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"},
            {"subscription_id": "sub-2", "strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"},
        ]

        await search.reconciler.look()

        assert (search.booked(intent).state, search.booked(intent).order_id) == ("ACKED", "sub-2")

    @pytest.mark.parametrize("mode", ["TRADE", None])
    async def test_what_does_not_say_that_it_only_signals_trades(self, search: Search, mode: str | None) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": "sub-2", "strategy_id": "rsi", "mode": mode, "account_id": "acc-1"}
        ]

        await search.reconciler.look()

        assert search.booked(intent).state == "ACKED"

    async def test_one_that_is_not_there_is_absent_in_the_end(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)

        await search.looks_for(70)

        assert search.booked(intent).state == "ABSENT"

    async def test_two_that_could_be_it_halt(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": f"sub-{n}", "strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"}
            for n in range(2)
        ]

        await search.looks_for(70)

        assert search.booked(intent).state == "UNKNOWN"
        assert search.ledger.switch().state == "HALTED"

    @pytest.mark.parametrize(("status", "state"), [("active", "ACKED"), ("paused", "ABSENT")])
    async def test_a_resumed_one_is_known_by_its_id(self, search: Search, status: str, state: str) -> None:
        intent = search.sent(self.RESUME)
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": status}]

        await search.looks_for(70)

        assert search.booked(intent).state == state

    async def test_one_that_a_second_approval_resumed_is_no_late_effect_of_the_first(self, search: Search) -> None:
        given_up = search.sent(self.RESUME)
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": "paused"}]
        await search.looks_for(70)
        second = search.sent(self.RESUME, state="SENT")
        search.ledger.settle(second.intent_id, "ACKED", order_id="sub-9")
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": "active"}]
        await search.looks_for(700, step=50)

        assert search.booked(given_up).state == "ABSENT"
        assert search.ledger.switch().state == "ACTIVE"


async def test_a_publication_of_unknown_outcome_is_left_as_it_is(search: Search) -> None:
    intent = search.sent(PublicationTerms(action="post", body="{}"))

    await search.looks_for(200)

    assert search.booked(intent).state == "UNKNOWN"
    assert search.venue.heard == []


async def test_open_orders_of_lighter_are_asked_for_by_symbol(search: Search) -> None:
    order = OrderTerms.model_validate({**ORDER.model_dump(), "exchange": "lighter", "market_type": "perpetual"})
    search.sent(order)

    await search.reconciler.look()

    assert "GET /accounts/acc-1/open-orders" in search.venue.heard
