"""One attempt per intent: what is sent, when nothing is sent, and what is recorded."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from api.client import Client
from api.errors import InvalidInput, NotFound, OutcomeUnknown, Unavailable
from api.transport import Timeouts, hosted
from safety.ledger import Ledger
from safety.sending.execution import OrderSender
from safety.terms.facts import Outcome
from safety.terms.intent import Intent, IntentState, stop
from safety.terms.proposal import DeploymentTerms, PublicationTerms

from .conftest import ORDER, Desk, row

HTML = b"HTTP/1.1 200 X\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>"
OTHER_SYMBOL = ORDER.model_copy(update={"symbol": "ETH/USDT"})


async def test_an_approved_order_leaves_once_under_our_label_and_is_acknowledged(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())

    done = await desk.executor.execute(intent.intent_id)

    [body] = desk.posts()
    assert (done.state, done.order_id) == ("ACKED", "api-1")
    assert json.loads(body)["label"] == done.label
    assert done.label.startswith(f"htm1:{intent.intent_id}:{intent.digest[:16]}:")
    assert done.result is not None
    assert done.result["status"] == "OPEN"


async def test_executing_it_again_sends_nothing(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())

    for _ in range(3):
        done = await desk.executor.execute(intent.intent_id)
        assert done.state == "ACKED"

    assert len(desk.posts()) == 1


async def test_of_a_hundred_that_execute_it_at_once_one_sends_and_all_learn_the_outcome(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())
    states: list[IntentState] = []

    async def execute() -> None:
        states.append((await desk.executor.execute(intent.intent_id)).state)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(execute)

    assert states == ["ACKED"] * 100
    assert len(desk.posts()) == 1


@pytest.mark.parametrize(
    ("replies", "state"),
    [
        ([b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"], "UNKNOWN"),
        ([HTML], "UNKNOWN"),
        ([b""], "UNKNOWN"),
        ([HTML[:40]], "UNKNOWN"),
    ],
)
async def test_an_attempt_without_a_clear_answer_is_unknown_and_never_repeated(
    desk: Desk, replies: list[bytes], state: IntentState
) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.replies += replies

    first = await desk.executor.execute(intent.intent_id)
    second = await desk.executor.execute(intent.intent_id)

    assert (first.state, second.state) == (state, state)
    assert len(desk.posts()) == 1


async def test_a_documented_refusal_is_kept_with_its_code(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.fails(400, "VALIDATION_ERROR", "amount below the minimum")

    done = await desk.executor.execute(intent.intent_id)

    assert done.state == "REJECTED"
    assert done.reason.startswith('VALIDATION_ERROR: the service says "amount below the minimum".')


class ReadsElsewhere(Client):
    """Reads through a separate connection."""

    elsewhere: Client

    async def call(self, endpoint: Any, request: Any) -> Any:
        return await self.elsewhere.call(endpoint, request)


async def test_an_order_that_found_no_connection_may_be_sent_later_under_the_same_label(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wire = hosted(f"http://127.0.0.1:{closed.getsockname()[1]}/api/v1", timeouts=Timeouts(connect=1))
        nowhere = ReadsElsewhere(wire, source="hosted", now=desk.clock)
        nowhere.elsewhere = desk.client
        first = await OrderSender(nowhere, desk.ledger, desk.judge, desk.channels, desk.clock).execute(intent.intent_id)
        await nowhere.aclose()
    desk.service.succeeds(row())

    second = await desk.executor.execute(intent.intent_id)

    assert (first.state, second.state) == ("NOT_SENT", "ACKED")
    assert first.label == second.label
    assert len(desk.posts()) == 1


async def test_a_machine_that_slept_between_claim_and_sending_sends_nothing(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())
    times = iter([desk.clock.now + 3600] * 9)

    late = OrderSender(desk.client, desk.ledger, desk.judge, desk.channels, lambda: next(times))
    done = await late.execute(intent.intent_id)

    assert done.state == "NOT_SENT"
    assert desk.posts() == []


@pytest.mark.parametrize("state", ["DECLINED", "EXPIRED_DRIFT", "HALTED"])
async def test_the_judges_last_word_stops_it(desk: Desk, state: IntentState) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.judge.says = stop(state, "R10_COLLAR: too far from the market")

    done = await desk.executor.execute(intent.intent_id)

    assert (done.state, done.reason) == (state, "R10_COLLAR: too far from the market")
    assert desk.posts() == []


@pytest.mark.parametrize("how", ["the ledger", "the file"])
async def test_a_halt_stops_it_even_between_the_look_and_the_claim(desk: Desk, how: str) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    if how == "the file":
        (desk.home / "HALT").touch()
    else:
        desk.ledger.halt("enough", "test")

    done = await desk.executor.execute(intent.intent_id)

    assert done.state == "HALTED"
    assert desk.posts() == []


async def test_an_order_that_nobody_has_approved_is_not_sent(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted(outcome=Outcome.REQUIRE)

    done = await desk.executor.execute(intent.intent_id)

    assert done.state == "PENDING"
    assert desk.posts() == []


async def test_an_approval_that_is_older_than_75_seconds_is_not_used(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted(outcome=Outcome.REQUIRE)
    desk.ledger.approve(intent.intent_id, signature="00", key_id="human")
    desk.clock.now += 76

    done = await desk.executor.execute(intent.intent_id)

    assert done.state == "EXPIRED"
    assert desk.posts() == []


async def test_an_id_that_no_intent_has_is_said_to_be_none(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no intent"):
        await desk.executor.execute("01ARZ3NDEKTSV4RRFFQ69G5FAV")


async def test_what_cannot_be_looked_at_is_declined_unless_a_human_has_approved_it(desk: Desk) -> None:
    desk.knows_labels()
    automatic, approved = desk.admitted(), desk.admitted(OTHER_SYMBOL, outcome=Outcome.REQUIRE)
    desk.ledger.approve(approved.intent_id, signature="00", key_id="human")
    desk.judge.trouble = Unavailable("the service is down")

    states = [(await desk.executor.execute(each.intent_id)).state for each in (automatic, approved)]

    assert states == ["DECLINED", "APPROVED"]
    assert desk.posts() == []


async def test_what_the_service_does_not_know_is_declined_though_a_human_has_approved_it(desk: Desk) -> None:
    approved = desk.admitted(outcome=Outcome.REQUIRE)
    desk.ledger.approve(approved.intent_id, signature="00", key_id="human")
    desk.judge.trouble = InvalidInput("there is no such account")

    done = await desk.executor.execute(approved.intent_id)

    assert done.state == "DECLINED"
    assert "no such account" in done.reason


class TestWithoutLabels:
    """Where labels are not known to come back, only one order at a time on an account and symbol."""

    async def test_what_looks_like_it_before_is_kept(self, desk: Desk) -> None:
        desk.shows(
            row(order_id="api-7"), row(order_id=None, exchange_order_id="88"), row(order_id="api-9", side="sell")
        )
        desk.service.succeeds(row())
        intent = desk.admitted()

        done = await desk.executor.execute(intent.intent_id)

        kept = desk.ledger.latest("orders_before", intent.intent_id)
        assert done.state == "ACKED"
        assert kept is not None
        assert kept.body["ids"] == ["api-7", "88"]
        assert [each.method for each in desk.service.requests] == ["GET", "POST"]

    async def test_an_order_beside_one_in_doubt_is_declined_but_not_on_another_symbol(self, desk: Desk) -> None:
        desk.shows()
        desk.service.replies.append(HTML)
        doubtful = await desk.executor.execute(desk.admitted().intent_id)
        desk.service.replies.clear()
        desk.shows()
        same = await desk.executor.execute(desk.admitted().intent_id)
        desk.service.succeeds(row(symbol="ETH/USDT"))
        other = await desk.executor.execute(desk.admitted(OTHER_SYMBOL).intent_id)

        assert (doubtful.state, same.state, other.state) == ("UNKNOWN", "DECLINED", "ACKED")
        assert "labels" in same.reason

    async def test_nothing_is_sent_when_the_account_cannot_be_listed(self, desk: Desk) -> None:
        desk.service.fails(500, "INTERNAL_ERROR")

        done = await desk.executor.execute(desk.admitted().intent_id)

        assert done.state == "DECLINED"
        assert desk.posts() == []


async def test_an_outcome_that_cannot_be_written_down_is_told_and_found_later(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())

    class Full(Ledger):
        """Refuses to record an outcome."""

        def settle(self, intent_id: str, to: IntentState, **told: Any) -> Any:  # noqa: ARG002 - its shape
            raise Unavailable("the disk is full")

    full = Full.open(desk.home, now=desk.clock)
    with pytest.raises(OutcomeUnknown, match="the disk is full") as told:
        await OrderSender(desk.client, full, desk.judge, desk.channels, desk.clock).execute(intent.intent_id)
    full.close()

    assert "Do not place it again" in told.value.suggestion
    assert desk.booked(intent).state == "SENT"


async def test_a_reconciliation_that_was_faster_is_not_contradicted(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.replies += [HTML]

    class Overtaken(Ledger):
        """Learns first that the order was found."""

        def settle(self, intent_id: str, to: IntentState, **fields: Any) -> Intent:
            super().settle(intent_id, "ACKED", order_id="api-1")
            return super().settle(intent_id, to, **fields)

    overtaken = Overtaken.open(desk.home, now=desk.clock)
    done = await OrderSender(desk.client, overtaken, desk.judge, desk.channels, desk.clock).execute(intent.intent_id)
    overtaken.close()

    assert (done.state, done.order_id) == ("ACKED", "api-1")


async def test_the_claim_is_in_the_file_before_a_connection_is_opened(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())
    found: list[str] = []
    watching = [True]

    def watch(event: str, _: tuple[object, ...]) -> None:
        if watching[0] and event == "socket.connect":
            reader = sqlite3.connect(desk.home / "safety.db")
            found.extend(state for (state,) in reader.execute("SELECT state FROM intents"))
            reader.close()

    sys.addaudithook(watch)
    await desk.executor.execute(intent.intent_id)
    watching[0] = False

    assert found == ["APPROVED", "SENT"], "one connection to look, one to send"


@pytest.mark.parametrize(
    ("action", "line", "body"),
    [
        (
            DeploymentTerms(action="subscribe", strategy_id="rsi", account_id="acc-1"),
            "POST /api/v1/live-strategies/rsi/subscribe",
            {"mode": "trade", "account_id": "acc-1"},
        ),
        (
            DeploymentTerms(
                action="subscribe", strategy_id="rsi", account_id="acc-1",
                webhook_url="https://hooks.example/x", webhook_events=("signal",),
            ),
            "POST /api/v1/live-strategies/rsi/subscribe",
            {
                "mode": "trade",
                "account_id": "acc-1",
                "webhook": {"url": "https://hooks.example/x", "events": ["signal"], "secret": "users-own-secret"},
            },
        ),
        (
            DeploymentTerms(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-1"),
            "POST /api/v1/live-strategies/rsi/resume/sub-1",
            {},
        ),
        (
            PublicationTerms(action="post", body='{"category":"show_tell","title":"Hello"}'),
            "POST /api/v1/arena/posts",
            {"category": "show_tell", "title": "Hello"},
        ),
    ],
)  # fmt: skip
async def test_standing_authorities_and_publications_leave_the_same_way(
    desk: Desk, action: DeploymentTerms | PublicationTerms, line: str, body: dict[str, Any]
) -> None:
    intent = desk.admitted(action)
    desk.service.succeeds({"subscription_id": "sub-1", "post_id": "p-1"})
    executor = OrderSender(
        desk.client, desk.ledger, desk.judge, desk.channels, desk.clock, SecretStr("users-own-secret")
    )

    done = await executor.execute(intent.intent_id)

    [request] = desk.service.requests
    assert done.state == "ACKED"
    assert f"{request.method} {request.target}" == line
    assert {name: value for name, value in json.loads(request.body).items() if value is not None} == body
