"""An order is not sent in the last seconds of a call, and a request that is sent ends with the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import pytest

from api.errors import Unavailable
from api.times import CALL_ENDS
from safety.human.in_force import BY_ELICITATION
from safety.terms.facts import Outcome
from safety.terms.proposal import Action

from .conftest import Desk, MadeUpJudge, row

CALL_SECONDS = 45.0


@dataclass
class LoopClock:
    """The event loop's clock, which the test moves forward."""

    real: Callable[[], float]
    ahead: float = 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead


@pytest.fixture
async def loop_clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop.time)
    monkeypatch.setattr(loop, "time", clock)
    return clock


@contextmanager
def a_call(clock: LoopClock) -> Generator[None]:
    """A tool call that has just begun."""
    token = CALL_ENDS.set(clock() + CALL_SECONDS)
    yield
    CALL_ENDS.reset(token)


@dataclass
class SlowJudge(MadeUpJudge):
    """Looks for some seconds before it answers."""

    clock: LoopClock | None = None
    seconds: float = 0.0

    async def assess(self, action: Action, *, subscription_id: str = "", priced: bool = False) -> MadeUpJudge:
        assert self.clock is not None
        self.clock.ahead += self.seconds
        return await super().assess(action, subscription_id=subscription_id, priced=priced)


async def test_nothing_is_sent_in_the_last_seconds_of_a_call_and_the_error_says_what_to_do(
    desk: Desk, loop_clock: LoopClock
) -> None:
    desk.knows_labels()
    desk.judge = SlowJudge(clock=loop_clock, seconds=38)
    intent = desk.admitted()

    with a_call(loop_clock), pytest.raises(Unavailable) as caught:
        await desk.executor.execute(intent.intent_id)

    assert "of this call's time were left to send it, so nothing was sent" in caught.value.message
    assert "place it again" in caught.value.suggestion
    assert desk.booked(intent).state == "DECLINED"
    assert desk.posts() == []


async def test_an_order_with_ten_seconds_left_is_sent(desk: Desk, loop_clock: LoopClock) -> None:
    desk.knows_labels()
    desk.judge = SlowJudge(clock=loop_clock, seconds=30)
    intent = desk.admitted()
    desk.service.succeeds(row())

    with a_call(loop_clock):
        done = await desk.executor.execute(intent.intent_id)

    assert done.state == "ACKED"
    assert len(desk.posts()) == 1


async def test_the_approval_of_a_human_outlives_a_call_that_came_too_late(desk: Desk, loop_clock: LoopClock) -> None:
    intent = desk.admitted(outcome=Outcome.REQUIRE)
    desk.ledger.approve(intent.intent_id, signature="", key_id=BY_ELICITATION)
    desk.knows_labels()
    desk.service.succeeds({"orders": []})
    desk.service.succeeds(row())
    desk.judge = SlowJudge(clock=loop_clock, seconds=40)

    with a_call(loop_clock):
        late = await desk.executor.execute(intent.intent_id)
    desk.judge = MadeUpJudge()
    done = await desk.executor.execute(intent.intent_id)

    assert (late.state, done.state) == ("APPROVED", "ACKED")
    assert len(desk.posts()) == 1


async def test_a_request_without_an_answer_ends_with_the_call_and_is_looked_for_later(
    desk: Desk, loop_clock: LoopClock
) -> None:
    desk.knows_labels()
    desk.judge = SlowJudge(clock=loop_clock, seconds=30)
    intent = desk.admitted()
    desk.service.replies.append(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    desk.service.hang = True
    began = loop_clock()

    async def pass_the_time() -> None:
        while not desk.posts():  # noqa: ASYNC110 - the service tells nobody
            await anyio.sleep(0.01)
        loop_clock.ahead += 16

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pass_the_time)
        with a_call(loop_clock):
            await desk.executor.execute(intent.intent_id)

    left = desk.booked(intent)
    assert left.state == "UNKNOWN"
    assert "before the call's deadline" in left.reason
    assert loop_clock() - began < CALL_SECONDS + 5
