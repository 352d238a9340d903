"""Orders: which pass at once, which wait for a human, and which are refused before the service sees them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from api.errors import Denied, HeyTradersError, InvalidInput, NotFound, explain
from tests.safety.execution.test_cancellation import Stepped

from .conftest import SIGNED, Dialog, Place, opened, order


async def test_a_paper_order_passes_at_once_and_asks_the_service_nothing_else(paper: Place) -> None:
    placed = await paper.gate.orders.place(order(label="mine"), "orders_place", "client 1")

    assert (placed.outcome, placed.intent_state, placed.status, placed.label) == ("placed", "ACKED", "FILLED", "mine")
    assert paper.heard.calls == ["POST /orders"]


async def test_the_journal_has_admission_claim_and_outcome_of_a_paper_order_each_sealed(paper: Place) -> None:
    before = paper.ledger.head()[0]
    placed = await paper.gate.orders.place(order(), "orders_place", "")

    events = paper.ledger.events(after=before)
    assert [event.body["to"] for event in events if event.kind == "intent"] == ["APPROVED", "SENT", "ACKED"]
    assert {event.subject for event in events} == {placed.intent_id}
    assert paper.ledger.verify() == []


async def test_a_paper_order_whose_caller_leaves_is_placed_and_booked_or_never_sent(paper: Place) -> None:
    async def left_at(step: int) -> int:
        scope = anyio.CancelScope()
        placing = Stepped(paper.gate.orders.place(order(), "orders_place", ""), step, scope.cancel)
        with scope:
            await placing
        return placing.steps

    waits = await left_at(0)
    paper.heard.calls.clear()
    for step in range(1, waits + 1):
        await left_at(step)

    booked = paper.ledger.intents()[:-1]
    assert {intent.state for intent in booked} == {"ACKED"}
    assert 0 < len(booked) < waits
    assert paper.heard.changes == ["POST /orders"] * len(booked)


async def test_two_equal_paper_orders_are_two_orders(paper: Place) -> None:
    one = await paper.gate.orders.place(order(), "orders_place", "")
    other = await paper.gate.orders.place(order(), "orders_place", "")

    assert one.order_id != other.order_id


async def test_a_refusal_of_the_service_is_reported_as_its_own_under_the_callers_label(paper: Place) -> None:
    with pytest.raises(InvalidInput) as refused:
        await paper.gate.orders.place(order(amount="0.00100000001", label="mine"), "orders_place", "")

    told = explain(refused.value)
    assert told.startswith("VALIDATION_ERROR: ")
    assert "The nearest valid amount is 0.001" in told
    assert 'label="mine"' in told
    assert "htm1:" not in told


async def test_without_a_signature_no_real_order_is_even_talked_about(unsigned: Place) -> None:
    with pytest.raises(Denied) as denied:
        await unsigned.gate.orders.place(order(), "orders_place", "")

    assert denied.value.message.startswith("R01_MODE: ")
    assert "policy sign" in denied.value.suggestion
    assert unsigned.heard.calls == []


async def test_a_real_order_waits_for_a_human_and_is_sent_once_he_has_signed(live: Place) -> None:
    request = await live.limit()
    asked = await live.gate.orders.place(request, "orders_place", "")
    before = list(live.heard.changes)
    assert asked.approval is not None
    await live.approve(asked.approval.intent_id)
    placed = await live.gate.orders.place(request, "orders_place", "")
    again = await live.gate.orders.place(request, "orders_place", "")

    assert asked.outcome == "approval_required"
    assert asked.approval.how == f"heytraders-mcp approve {asked.intent_id}"
    assert before == []
    assert (placed.outcome, placed.status, placed.repeated) == ("placed", "OPEN", True)
    assert (again.intent_id, again.order_id) == (asked.intent_id, placed.order_id)
    assert again.next_step == "This is the order of an earlier, identical call; no second order was made."
    assert live.heard.changes == ["POST /orders"]


async def test_calling_again_and_again_makes_one_intent_and_no_order(live: Place) -> None:
    request = await live.limit()
    answers = [await live.gate.orders.place(request, "orders_place", "") for _ in range(20)]

    assert len({answer.intent_id for answer in answers}) == 1
    assert {answer.outcome for answer in answers} == {"approval_required"}
    assert live.heard.changes == []


async def test_a_denial_names_rule_numbers_what_to_do_and_an_order_that_is_not_denied(live: Place) -> None:
    price = round(await live.price() * Decimal("0.995"), 1)
    large = order(order_type="limit", price=price, amount=round(Decimal(500) / price, 5))

    with pytest.raises(Denied) as denied:
        await live.gate.orders.place(large, "orders_place", "")
    preview = await live.gate.reports.preview(large)

    assert "R08_MAX_NOTIONAL: " in denied.value.message
    assert "200" in denied.value.message
    assert denied.value.corrected is not None
    assert denied.value.corrected.startswith("orders_place(account_id=")
    assert preview.decision == "deny"
    assert preview.suggestion is not None
    repaired = await live.gate.orders.place(order(**preview.suggestion), "orders_place", "")
    assert repaired.outcome == "approval_required"


async def test_what_to_do_about_several_objections_is_the_call_that_gets_past_all(live: Place) -> None:
    absurd = order(order_type="limit", price=10**15, amount=Decimal("0.0001"))
    with pytest.raises(Denied) as denied:
        await live.gate.orders.place(absurd, "orders_place", "")

    assert denied.value.message.startswith("R08_MAX_NOTIONAL: ")
    assert "R10_COLLAR" in denied.value.message
    assert denied.value.corrected is not None
    assert "amount of at most" not in denied.value.suggestion


async def test_a_preview_books_nothing_and_tells_what_is_left(live: Place) -> None:
    head = live.ledger.head()
    preview = await live.gate.reports.preview(await live.limit())

    left = {each.rule: each for each in preview.left}
    assert preview.decision == "require"
    assert preview.rule == "R28_APPROVAL"
    assert preview.quote is not None
    assert preview.notional_usd == pytest.approx(50, rel=0.02)
    assert (left["R12_DAILY_NOTIONAL"].limit, left["R12_DAILY_NOTIONAL"].left) == ("1000", "1000")
    assert live.ledger.head() == head
    assert live.heard.changes == []


async def test_what_is_placed_with_a_humans_word_is_waited_for_and_followed(live: Place) -> None:
    request, dialog = await live.limit("1.005"), Dialog(available=False)

    async def approve_soon() -> None:
        with anyio.fail_after(5):
            while not (waiting := live.ledger.intents(states={"PENDING"})):  # noqa: ASYNC110 - another process's ledger
                await anyio.sleep(0.02)
        await live.approve(waiting[0].intent_id)

    placed = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(approve_soon)
        placed = await live.gate.orders.place_and_follow(request, "place_with_confirmation", "", dialog, 10)

    assert placed is not None
    assert (placed.outcome, placed.status) == ("placed", "FILLED")
    assert dialog.questions == []
    assert "heytraders-mcp approve" in dialog.told[0]
    assert live.heard.changes == ["POST /orders"]


async def test_without_an_answer_the_intent_can_still_be_looked_up(live: Place) -> None:
    dialog = Dialog(answer="yes")
    waiting = await live.gate.orders.place_and_follow(await live.limit(), "place_with_confirmation", "", dialog, 0.3)
    report = await live.gate.reports.intent(waiting.intent_id or "")

    assert waiting.outcome == "approval_required"
    assert dialog.questions == []  # a yes would be worth nothing under this policy
    assert (report.state, report.kind, report.paper) == ("PENDING", "order", False)
    assert report.next_step is not None
    assert "heytraders-mcp approve" in report.next_step
    assert live.heard.changes == []


async def test_a_dialog_may_answer_for_as_much_as_the_signed_policy_grants(tmp_path: Path) -> None:
    granted = {**SIGNED, "elicitation_up_to": Decimal(25)}
    async with opened(tmp_path / "home", hosted=True, live=granted) as live:
        price = round(await live.price() * Decimal("1.005"), 1)
        small = order(order_type="limit", price=price, amount=round(Decimal(20) / price, 5))
        large = order(order_type="limit", price=price, amount=round(Decimal(40) / price, 5))
        dialog = Dialog(answer="yes")
        placed = await live.gate.orders.place_and_follow(small, "place_with_confirmation", "", dialog, 5)
        waiting = await live.gate.orders.place_and_follow(large, "place_with_confirmation", "", dialog, 0.2)

    assert placed.outcome == "placed"
    assert waiting.outcome == "approval_required"
    assert len(dialog.questions) == 1
    assert live.heard.changes == ["POST /orders"]


async def test_a_client_that_says_yes_by_itself_does_not_let_itself_go_on(tmp_path: Path) -> None:
    automatic = {**SIGNED, "automatic_up_to": Decimal(25), "rearm_after": 2, "duplicate_seconds": 0}
    async with opened(tmp_path / "home", hosted=True, live=automatic) as live:
        price = round(await live.price() * Decimal("0.995"), 1)
        outcomes: list[str | None] = []
        for number in range(3):
            amount = round(Decimal(10 + number) / price, 5)
            asked = order(order_type="limit", price=price, amount=amount)
            placed = await live.gate.orders.place_and_follow(
                asked, "place_with_confirmation", "", Dialog(answer="yes"), 0.3
            )
            outcomes.append(placed.outcome)

    assert outcomes[-1] == "approval_required"
    assert live.heard.changes == ["POST /orders"] * 2


@pytest.mark.parametrize(("answer", "outcome"), [("yes", "placed"), ("not_asked", "approval_required")])
async def test_paper_orders_can_be_rehearsed_with_the_dialog(paper: Place, answer: str, outcome: str) -> None:
    dialog = Dialog(answer=answer)  # pyright: ignore[reportArgumentType] - one of the literals
    placed = await paper.gate.orders.place_and_follow(order(), "place_with_confirmation", "", dialog, 0.3)

    assert placed.outcome == outcome
    assert len(dialog.questions) == 1
    assert len(dialog.questions[0].splitlines()) <= 9


async def test_a_no_in_the_dialog_is_the_end_of_it(paper: Place) -> None:
    with pytest.raises(Denied) as declined:
        await paper.gate.orders.place_and_follow(order(), "place_with_confirmation", "", Dialog(answer="no"), 1)

    [intent] = paper.ledger.intents()
    assert "said no" in declined.value.message
    assert intent.state == "DECLINED"
    assert paper.heard.changes == []


async def test_a_service_that_is_down_means_denied_and_nothing_sent(live: Place) -> None:
    request = await live.limit()
    live.heard.refuse = lambda _: True
    with pytest.raises(Denied) as denied:
        await live.gate.orders.place(request, "orders_place", "")

    assert "R27_UPSTREAM" in denied.value.message or "not known" in denied.value.message
    assert live.heard.changes == []


async def test_an_unknown_account_is_reported_by_the_service(tmp_path: Path) -> None:
    everywhere = {**SIGNED, "accounts": frozenset({"nobody"})}
    async with opened(tmp_path / "home", hosted=True, live=everywhere) as live:
        with pytest.raises(HeyTradersError) as missing:
            await live.gate.orders.place(await live.limit(account_id="nobody"), "orders_place", "")

    assert "nobody" in explain(missing.value)
    assert live.heard.changes == []


@pytest.mark.parametrize("intent_id", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "nothing", "../x", "01arz3ndektsv4rrffq69g5fa"])
async def test_an_intent_that_is_not_here_gets_the_same_message_whatever_it_is(paper: Place, intent_id: str) -> None:
    with pytest.raises(NotFound) as missing:
        await paper.gate.reports.intent(intent_id)

    assert explain(missing.value).replace(intent_id, "X") == (
        'INTENT_NOT_FOUND: there is no intent "X" here. Copy intent_id from the call that returned it, or from '
        "safety_status."
    )


async def test_forty_calls_at_once_are_forty_orders_below_a_limit_and_not_one_above_it(tmp_path: Path) -> None:
    refused: list[str] = []
    async with opened(tmp_path / "home", hosted=False, paper={"daily_count": 40}) as paper:

        async def call(number: int) -> None:
            try:
                await paper.gate.orders.place(order(label=f"number {number}"), "orders_place", "")
            except Denied as denied:
                refused.append(denied.message)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
        acked = paper.ledger.intents(states={"ACKED"})

    assert len(acked) == 40
    assert len(refused) == 10
    assert all(message.startswith("R13_DAILY_COUNT: ") for message in refused)
    assert paper.heard.changes == ["POST /orders"] * 40


async def test_a_caller_that_goes_away_takes_the_order_back_or_finds_it_booked(paper: Place) -> None:
    for delay in (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06):
        with anyio.move_on_after(delay):
            await paper.gate.orders.place(order(label=f"after {delay}"), "orders_place", "")
    states = [intent.state for intent in paper.ledger.intents()]
    posts = paper.heard.changes.count("POST /orders")

    assert set(states) <= {"ACKED", "DECLINED"}
    assert states.count("ACKED") == posts
