"""An unknown outcome is found in lists of many pages, and by its terms where the service returns no labels."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from safety.sending.listing import unix_or_none

from .conftest import ORDER, Search, row
from .venue import at

OTHER = ORDER.model_copy(update={"amount": Decimal("0.002")})


class TestLongLists:
    """A list of more orders than one page holds."""

    async def test_an_order_on_the_third_page_is_found(self, search: Search) -> None:
        intent = search.sent()
        search.books(intent)
        for _ in range(450):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.booked(intent).state == "ACKED"

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

        assert search.booked(intent).state == "ACKED"

    async def test_a_list_that_shrinks_by_more_than_the_overlap_is_not_complete(self, search: Search) -> None:
        intent = search.sent()
        for _ in range(600):
            search.venue.books(row(OTHER))

        def shrinks(offset: int) -> None:
            if offset:
                del search.venue.rows[:50]

        search.venue.on_page = shrinks
        await search.reconciler.look()

        assert search.booked(intent).sweeps == 0

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

        assert search.booked(intent).state == "ACKED"

    @pytest.mark.parametrize("says_total", [True, False])
    @pytest.mark.parametrize(("orders", "pages"), [(199, 1), (200, 2)])
    async def test_no_page_is_requested_after_one_that_must_be_the_last(
        self, search: Search, says_total: bool, orders: int, pages: int
    ) -> None:
        search.venue.says_total = says_total
        intent = search.sent()
        for _ in range(orders):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.venue.heard.count("GET /orders") == (1 if says_total else pages)
        assert search.booked(intent).sweeps == 1

    async def test_an_order_behind_a_full_page_of_a_service_that_gives_no_total_is_found(self, search: Search) -> None:
        search.venue.says_total = False
        intent = search.sent()
        search.books(intent)
        for _ in range(200):
            search.venue.books(row(OTHER))

        await search.reconciler.look()

        assert search.booked(intent).state == "ACKED"

    async def test_what_is_older_than_the_attempt_is_not_read(self, search: Search) -> None:
        for _ in range(1000):
            search.venue.books(row(OTHER))
        search.clock.now += 3600
        intent = search.sent()

        await search.reconciler.look()

        assert search.venue.heard.count("GET /orders") == 1
        assert search.booked(intent).sweeps == 1

    async def test_orders_of_the_very_second_are_read_to_their_end(self, search: Search) -> None:
        intent = search.sent()
        earliest = at(search.clock.now - 5)
        search.books(intent, created_at=earliest, status="FILLED")
        for _ in range(200):
            search.venue.books(row(OTHER), created_at=earliest)

        await search.reconciler.look()

        assert search.booked(intent).state == "ACKED"


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

        assert (search.booked(intent).state, search.booked(intent).order_id) == ("ACKED", "api-2")

    async def test_an_order_that_was_there_before_is_not_it(self, search: Search) -> None:
        intent = search.sent()
        made = search.books(intent)
        search.ledger.record("orders_before", subject=intent.intent_id, ids=[made["order_id"]])

        await search.looks_for(70)

        assert search.booked(intent).state == "ABSENT"

    async def test_what_a_process_saw_that_came_too_late_to_send_was_not_there_before(self, search: Search) -> None:
        intent = search.sent()
        made = search.books(intent)
        search.clock.now += 0.1
        search.ledger.record("orders_before", subject=intent.intent_id, ids=[made["order_id"]])

        await search.reconciler.look()

        assert (search.booked(intent).state, search.booked(intent).order_id) == ("ACKED", made["order_id"])

    async def test_an_order_from_before_the_attempt_is_not_it(self, search: Search) -> None:
        search.venue.books(row())
        search.clock.now += 60
        intent = search.sent()

        await search.reconciler.look()

        assert search.booked(intent).state == "UNKNOWN"

    @pytest.mark.parametrize(("before", "state"), [(5, "ACKED"), (6, "UNKNOWN")])
    async def test_the_services_clock_may_be_five_seconds_behind(self, search: Search, before: int, state: str) -> None:
        intent = search.sent()
        search.books(intent, created_at=at(search.clock.now - before))

        await search.reconciler.look()

        assert search.booked(intent).state == state

    async def test_an_order_of_another_intent_is_not_it(self, search: Search) -> None:
        placed = search.sent(state="SENT")
        made = search.books(placed)
        search.ledger.settle(placed.intent_id, "ACKED", order_id=made["order_id"])
        intent = search.sent()

        await search.reconciler.look()

        assert search.booked(intent).state == "UNKNOWN"
        assert search.ledger.switch().state == "ACTIVE"

    async def test_an_order_that_is_just_being_sent_keeps_its_twin_from_being_decided(self, search: Search) -> None:
        given_up = search.sent()
        await search.looks_for(70)
        assert search.booked(given_up).state == "ABSENT"
        sending = search.sent(state="SENT")
        search.books(sending)

        await search.looks_at_all()

        assert search.booked(given_up).state == "ABSENT"
        assert search.booked(sending).state == "SENT"
        assert search.ledger.switch().state == "ACTIVE"

    @pytest.mark.parametrize("orders", [1, 2])
    async def test_orders_that_nobody_can_tell_apart_halt(self, search: Search, orders: int) -> None:
        first = search.sent()
        second = search.sent() if orders == 1 else first
        for _ in range(orders):
            search.books(first)

        await search.looks_for(100)

        assert {search.booked(first).state, search.booked(second).state} == {"UNKNOWN"}
        assert search.ledger.switch().state == "HALTED"

    async def test_a_clock_that_was_set_back_after_the_attempt_hides_nothing(self, search: Search) -> None:
        intent = search.sent()
        search.books(intent)
        search.clock.now -= 3_600
        search.venue.now = lambda: search.clock.now + 3_600

        await search.looks_at_all()

        assert search.booked(intent).state == "ACKED"

    async def test_an_order_under_another_label_is_not_it(self, search: Search) -> None:
        intent = search.sent()
        search.venue.echoes = True
        search.books(intent, label="a stranger's")

        await search.reconciler.look()

        assert search.booked(intent).state == "UNKNOWN"

    @pytest.mark.parametrize("field", ["symbol", "side", "amount"])
    async def test_an_order_that_does_not_say_what_it_is_is_not_it(self, search: Search, field: str) -> None:
        intent = search.sent()
        search.books(intent, **{field: None})

        await search.reconciler.look()

        assert search.booked(intent).state == "UNKNOWN"

    async def test_amounts_that_the_exchange_has_rounded_to_its_step_fit(self, search: Search) -> None:
        intent = search.sent(ORDER.model_copy(update={"amount": Decimal("0.0012345")}))
        search.books(intent, amount=0.00123)

        await search.reconciler.look()

        assert search.booked(intent).state == "ACKED"


async def test_where_labels_come_back_an_order_without_one_is_not_ours_however_like_it(search: Search) -> None:
    search.ledger.note_labels("venue", True)
    intent = search.sent()
    search.venue.books(row())

    await search.looks_for(70)

    assert search.booked(intent).state == "ABSENT"


async def test_an_order_that_is_certainly_ours_shows_whether_labels_come_back(search: Search) -> None:
    for echoes in (True, False):
        search.venue.echoes = echoes
        placed = search.sent(state="SENT")
        made = search.books(placed)
        search.ledger.settle(placed.intent_id, "ACKED", order_id=made["order_id"])
        await search.looks_at_all()
        search.sent(OTHER)
        await search.looks_at_all()

        assert search.ledger.labels_echoed("venue") is echoes
