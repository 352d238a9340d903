"""Reading finds the result of an attempt with an unknown outcome, and never contradicts the truth."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from safety.sending.listing import unix_or_none
from safety.terms.proposal import Deployment, Order, Publication

from .conftest import ORDER, Search, row
from .venue import at

OTHER = ORDER.model_copy(update={"amount": Decimal("0.002")})


def posts(search: Search) -> list[str]:
    return [each for each in search.venue.heard if not each.startswith("GET ")]


async def test_an_order_that_is_there_is_found_by_its_label(search: Search) -> None:
    intent = search.sent()
    search.books(intent)

    await search.reconciler.look()

    found = search.stands(intent)
    assert (found.state, found.order_id) == ("ACKED", "api-1")
    assert search.ledger.switch().state == "ACTIVE"
    assert search.ledger.labels_echoed("venue") is True
    assert posts(search) == []


async def test_an_order_that_is_not_there_is_absent_only_after_the_grace_and_five_complete_looks(
    search: Search,
) -> None:
    intent = search.sent()

    await search.looks_for(59)
    early = search.stands(intent)
    await search.looks_for(6)

    assert (early.state, early.sweeps) == ("UNKNOWN", 6)
    assert search.stands(intent).state == "ABSENT"
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

    assert (search.stands(intent).state, search.stands(intent).sweeps) == ("UNKNOWN", 0)


async def test_an_order_that_comes_after_it_was_given_up_halts(search: Search) -> None:
    intent = search.sent()
    await search.looks_for(70)
    assert search.stands(intent).state == "ABSENT"

    search.books(intent)
    await search.looks_for(400, step=50)

    assert search.stands(intent).state == "ACKED"
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
    young = search.stands(intent).state
    search.clock.now += 1
    await search.looks_for(3)

    assert young == "SENT"
    assert search.stands(intent).state == "ACKED"


async def test_two_orders_under_one_label_halt_and_are_never_taken_for_one(search: Search) -> None:
    intent = search.sent()
    search.books(intent)
    search.books(intent)

    await search.looks_for(10)

    assert search.stands(intent).state == "UNKNOWN"
    assert search.ledger.switch().state == "HALTED"


async def test_an_order_that_doubles_after_it_was_acknowledged_halts_too(search: Search) -> None:
    first, other = search.sent(), search.sent(OTHER)
    search.books(first)
    await search.reconciler.look()
    assert search.stands(first).state == "ACKED"

    search.books(first)
    await search.looks_for(10)

    assert search.stands(other).state == "UNKNOWN"
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

    assert search.stands(intent).state == "ACKED"
    assert search.ledger.switch().state == "ACTIVE"


async def test_a_refused_order_is_looked_for_once_and_halts_when_it_is_there(search: Search) -> None:
    true, false = search.sent(state="REJECTED"), search.sent(OTHER, state="REJECTED")
    search.books(false)

    await search.looks_for(120)

    assert search.stands(true).sweeps == 1
    assert search.stands(false).state == "REJECTED"
    assert search.ledger.switch().state == "HALTED"
    assert false.intent_id in search.ledger.switch().reason


async def test_refusals_that_are_true_cost_one_look(search: Search) -> None:
    intent = search.sent(state="REJECTED")

    await search.looks_for(120)
    heard = len(search.venue.heard)
    await search.looks_for(600, step=10)

    assert search.stands(intent).sweeps == 1
    assert len(search.venue.heard) == heard
    assert search.ledger.switch().state == "ACTIVE"


async def test_an_order_of_ours_with_other_terms_is_ours_and_halts(search: Search) -> None:
    intent = search.sent()
    search.books(intent, amount=0.5)

    await search.reconciler.look()

    assert search.stands(intent).state == "ACKED"
    assert "another amount" in search.ledger.switch().reason


class TestLongLists:
    """A list of more orders than one page holds."""

    async def test_an_order_on_the_third_page_is_found(self, search: Search) -> None:
        intent = search.sent()
        search.books(intent)
        for _ in range(450):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"

    async def test_a_list_that_grows_while_it_is_paged_hides_nothing(self, search: Search) -> None:
        intent = search.sent()
        search.books(intent)
        for _ in range(450):
            search.venue.books(row(OTHER))

        def grows(_: int) -> None:
            for _ in range(15):
                search.venue.books(row(OTHER))

        search.venue.on_page = grows
        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"

    async def test_a_list_that_shrinks_by_more_than_the_overlap_is_not_complete(self, search: Search) -> None:
        intent = search.sent()
        for _ in range(600):
            search.venue.books(row(OTHER))

        def shrinks(offset: int) -> None:
            if offset:
                del search.venue.rows[:50]

        search.venue.on_page = shrinks
        await search.reconciler.look()

        assert search.stands(intent).sweeps == 0

    @pytest.mark.parametrize("says_total", [True, False])
    @pytest.mark.parametrize("says_limit", [True, False])
    async def test_a_service_with_smaller_pages_than_asked_for_is_read_to_its_end(
        self, search: Search, says_total: bool, says_limit: bool
    ) -> None:
        search.venue.page, search.venue.says_total, search.venue.says_limit = 50, says_total, says_limit
        intent = search.sent()
        search.books(intent)
        for _ in range(120):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"

    @pytest.mark.parametrize("says_total", [True, False])
    @pytest.mark.parametrize(("orders", "pages"), [(199, 1), (200, 2)])
    async def test_a_page_that_is_surely_the_last_is_not_asked_beyond(
        self, search: Search, says_total: bool, orders: int, pages: int
    ) -> None:
        search.venue.says_total = says_total
        intent = search.sent()
        for _ in range(orders):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.venue.heard.count("GET /orders") == (1 if says_total else pages)
        assert search.stands(intent).sweeps == 1

    async def test_an_order_behind_a_full_page_of_a_service_that_gives_no_total_is_found(self, search: Search) -> None:
        search.venue.says_total = False
        intent = search.sent()
        search.books(intent)
        for _ in range(200):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"

    async def test_what_is_older_than_the_attempt_is_not_read(self, search: Search) -> None:
        for _ in range(1000):
            search.venue.books(row(OTHER))
        search.clock.now += 3600
        intent = search.sent()

        await search.reconciler.look()

        assert search.venue.heard.count("GET /orders") == 1
        assert search.stands(intent).sweeps == 1

    async def test_orders_of_the_very_second_are_read_to_their_end(self, search: Search) -> None:
        intent = search.sent()
        earliest = at(search.clock.now - 5)
        search.books(intent, created_at=earliest, status="FILLED")
        for _ in range(200):
            search.venue.books(row(OTHER), created_at=earliest)

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000.0),
        ("2027-01-15T10:00:00+02:00", 1_800_000_000.0),
        ("2027-01-15T08:00:00", 1_800_000_000.0),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_without_a_zone_are_utc_wherever_this_runs(
    monkeypatch: pytest.MonkeyPatch, text: str | None, seconds: float | None
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Seoul")
        time.tzset()
        read = unix_or_none(text)
    time.tzset()

    assert read == seconds


class TestWithoutLabels:
    """The service does not return labels, so only its terms identify an order."""

    @pytest.fixture(autouse=True)
    def silent(self, search: Search) -> None:
        search.venue.echoes = False
        search.ledger.note_labels("venue", False)

    async def test_the_one_order_that_fits_is_found(self, search: Search) -> None:
        intent = search.sent()
        search.books(search.sent(OTHER, state="REJECTED"))
        search.books(intent)

        await search.reconciler.look()

        assert (search.stands(intent).state, search.stands(intent).order_id) == ("ACKED", "api-2")

    async def test_an_order_that_was_there_before_is_not_it(self, search: Search) -> None:
        intent = search.sent()
        made = search.books(intent)
        search.ledger.record("orders_before", subject=intent.intent_id, ids=[made["order_id"]])

        await search.looks_for(70)

        assert search.stands(intent).state == "ABSENT"

    async def test_what_a_process_saw_that_came_too_late_to_send_was_not_there_before(self, search: Search) -> None:
        intent = search.sent()
        made = search.books(intent)
        search.clock.now += 0.1
        search.ledger.record("orders_before", subject=intent.intent_id, ids=[made["order_id"]])

        await search.reconciler.look()

        assert (search.stands(intent).state, search.stands(intent).order_id) == ("ACKED", made["order_id"])

    async def test_an_order_from_before_the_attempt_is_not_it(self, search: Search) -> None:
        search.venue.books(row())
        search.clock.now += 60
        intent = search.sent()

        await search.reconciler.look()

        assert search.stands(intent).state == "UNKNOWN"

    @pytest.mark.parametrize(("before", "state"), [(5, "ACKED"), (6, "UNKNOWN")])
    async def test_the_services_clock_may_be_five_seconds_behind(self, search: Search, before: int, state: str) -> None:
        intent = search.sent()
        search.books(intent, created_at=at(search.clock.now - before))

        await search.reconciler.look()

        assert search.stands(intent).state == state

    async def test_an_order_of_another_intent_is_not_it(self, search: Search) -> None:
        placed = search.sent(state="SENT")
        made = search.books(placed)
        search.ledger.settle(placed.intent_id, "ACKED", order_id=made["order_id"])
        intent = search.sent()

        await search.reconciler.look()

        assert search.stands(intent).state == "UNKNOWN"
        assert search.ledger.switch().state == "ACTIVE"

    async def test_an_order_that_is_just_being_sent_keeps_its_twin_from_being_decided(self, search: Search) -> None:
        given_up = search.sent()
        await search.looks_for(70)
        assert search.stands(given_up).state == "ABSENT"
        sending = search.sent(state="SENT")
        search.books(sending)

        await search.reconciler.look(at_once=True)

        assert search.stands(given_up).state == "ABSENT"
        assert search.stands(sending).state == "SENT"
        assert search.ledger.switch().state == "ACTIVE"

    @pytest.mark.parametrize("orders", [1, 2])
    async def test_orders_that_nobody_can_tell_apart_halt(self, search: Search, orders: int) -> None:
        first = search.sent()
        second = search.sent() if orders == 1 else first
        for _ in range(orders):
            search.books(first)

        await search.looks_for(100)

        assert {search.stands(first).state, search.stands(second).state} == {"UNKNOWN"}
        assert search.ledger.switch().state == "HALTED"

    async def test_a_clock_that_was_set_back_after_the_attempt_hides_nothing(self, search: Search) -> None:
        intent = search.sent()
        search.books(intent)
        search.clock.now -= 3_600
        search.venue.now = lambda: search.clock.now + 3_600

        await search.reconciler.look(at_once=True)

        assert search.stands(intent).state == "ACKED"

    async def test_an_order_under_another_label_is_not_it(self, search: Search) -> None:
        intent = search.sent()
        search.venue.echoes = True
        search.books(intent, label="a stranger's")

        await search.reconciler.look()

        assert search.stands(intent).state == "UNKNOWN"

    @pytest.mark.parametrize("field", ["symbol", "side", "amount"])
    async def test_an_order_that_does_not_say_what_it_is_is_not_it(self, search: Search, field: str) -> None:
        intent = search.sent()
        search.books(intent, **{field: None})

        await search.reconciler.look()

        assert search.stands(intent).state == "UNKNOWN"

    async def test_amounts_that_the_exchange_has_rounded_to_its_step_fit(self, search: Search) -> None:
        intent = search.sent(ORDER.model_copy(update={"amount": Decimal("0.0012345")}))
        search.books(intent, amount=0.00123)

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"


async def test_where_labels_come_back_an_order_without_one_is_not_ours_however_like_it(search: Search) -> None:
    search.ledger.note_labels("venue", True)
    intent = search.sent()
    search.venue.books(row())

    await search.looks_for(70)

    assert search.stands(intent).state == "ABSENT"


async def test_whether_labels_come_back_is_learnt_from_an_order_that_is_surely_ours(search: Search) -> None:
    for echoes in (True, False):
        search.venue.echoes = echoes
        placed = search.sent(state="SENT")
        made = search.books(placed)
        search.ledger.settle(placed.intent_id, "ACKED", order_id=made["order_id"])
        await search.reconciler.look(at_once=True)
        search.sent(OTHER)
        await search.reconciler.look(at_once=True)

        assert search.ledger.labels_echoed("venue") is echoes


class TestStanding:
    """Strategies that trade by themselves, whose deployment has an unknown outcome."""

    DEPLOY = Deployment(action="subscribe", strategy_id="rsi", account_id="acc-1")
    RESUME = Deployment(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-9")

    async def test_a_deployed_one_is_found(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": "sub-1", "strategy_id": "rsi", "mode": "signal"},
            {"strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"},
            {"subscription_id": "sub-2", "strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"},
        ]

        await search.reconciler.look()

        assert (search.stands(intent).state, search.stands(intent).order_id) == ("ACKED", "sub-2")

    @pytest.mark.parametrize("mode", ["TRADE", None])
    async def test_what_does_not_say_that_it_only_signals_trades(self, search: Search, mode: str | None) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": "sub-2", "strategy_id": "rsi", "mode": mode, "account_id": "acc-1"}
        ]

        await search.reconciler.look()

        assert search.stands(intent).state == "ACKED"

    async def test_one_that_is_not_there_is_absent_in_the_end(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)

        await search.looks_for(70)

        assert search.stands(intent).state == "ABSENT"

    async def test_two_that_could_be_it_halt(self, search: Search) -> None:
        intent = search.sent(self.DEPLOY)
        search.venue.subscriptions = [
            {"subscription_id": f"sub-{n}", "strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"}
            for n in range(2)
        ]

        await search.looks_for(70)

        assert search.stands(intent).state == "UNKNOWN"
        assert search.ledger.switch().state == "HALTED"

    @pytest.mark.parametrize(("status", "state"), [("active", "ACKED"), ("paused", "ABSENT")])
    async def test_a_resumed_one_is_known_by_its_id(self, search: Search, status: str, state: str) -> None:
        intent = search.sent(self.RESUME)
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": status}]

        await search.looks_for(70)

        assert search.stands(intent).state == state

    async def test_one_that_a_second_approval_resumed_is_no_late_effect_of_the_first(self, search: Search) -> None:
        given_up = search.sent(self.RESUME)
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": "paused"}]
        await search.looks_for(70)
        second = search.sent(self.RESUME, state="SENT")
        search.ledger.settle(second.intent_id, "ACKED", order_id="sub-9")
        search.venue.subscriptions = [{"subscription_id": "sub-9", "strategy_id": "rsi", "status": "active"}]
        await search.looks_for(700, step=50)

        assert search.stands(given_up).state == "ABSENT"
        assert search.ledger.switch().state == "ACTIVE"


async def test_a_publication_of_unknown_outcome_is_left_as_it_is(search: Search) -> None:
    intent = search.sent(Publication(action="post", body="{}"))

    await search.looks_for(200)

    assert search.stands(intent).state == "UNKNOWN"
    assert search.venue.heard == []


async def test_open_orders_of_lighter_are_asked_for_by_symbol(search: Search) -> None:
    order = Order.model_validate({**ORDER.model_dump(), "exchange": "lighter", "market_type": "perpetual"})
    search.sent(order)

    await search.reconciler.look()

    assert "GET /accounts/acc-1/open-orders" in search.venue.heard
