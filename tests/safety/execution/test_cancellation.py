"""Cancelling at each point where the executor waits: either an outcome is recorded, or nothing was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from decimal import Decimal
from typing import Any, Generic, TypeVar

import anyio
import pytest

from safety.sending.reconciliation import Patience, Reconciler
from safety.terms.intent import Intent

from .conftest import ORDER, Desk, row

Result = TypeVar("Result")


class Stepped(Generic[Result]):
    """A coroutine that acts when it waits for the k-th time, and counts its waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result], step: int, act: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._step = step
        self._act = act
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Result]:
        inner = self._coroutine.__await__()
        resume: Callable[[], Any] = lambda: next(inner)  # noqa: E731 - replaced at each step
        while True:
            try:
                waits_for = resume()
            except StopIteration as done:
                result: Result = done.value
                return result
            self.steps += 1
            if self.steps == self._step:
                self._act()
            try:
                sent = yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - handed on
                resume = _throwing(inner, thrown)
            else:
                resume = _sending(inner, sent)


def _throwing(inner: Generator[Any, Any, Any], thrown: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(thrown)


def _sending(inner: Generator[Any, Any, Any], value: object) -> Callable[[], Any]:
    return lambda: inner.send(value)


async def cancelled_at(desk: Desk, step: int) -> tuple[Intent, int]:
    """An order whose execution is cancelled at its `step`-th wait, and the number of waits."""
    intent = desk.admitted(ORDER.model_copy(update={"amount": Decimal(step + 1) / 1000}))
    desk.service.replies.clear()
    desk.service.succeeds({**row(), "amount": (step + 1) / 1000, "order_id": f"api-{step}"})
    scope = anyio.CancelScope()
    stepped = Stepped(desk.executor.execute(intent.intent_id), step, scope.cancel)
    with scope:
        await stepped
    return intent, stepped.steps


async def test_cancelled_anywhere_an_order_is_either_untouched_or_booked(desk: Desk) -> None:
    desk.knows_labels()
    _, waits = await cancelled_at(desk, 0)
    untouched, booked = 0, 0

    for step in range(1, waits + 1):
        before = len(desk.posts())
        intent, _ = await cancelled_at(desk, step)
        state = desk.booked(intent).state
        assert state in {"APPROVED", "ACKED"}, f"at wait {step} of {waits}"
        assert len(desk.posts()) - before == (state == "ACKED")
        untouched, booked = untouched + (state == "APPROVED"), booked + (state == "ACKED")

    assert untouched
    assert booked


async def test_what_was_cancelled_before_it_was_sent_is_sent_by_the_next_process(desk: Desk) -> None:
    desk.knows_labels()
    intent, _ = await cancelled_at(desk, 1)
    assert desk.booked(intent).state == "APPROVED"

    done = await desk.executor.execute(intent.intent_id)

    assert done.state == "ACKED"
    assert len(desk.posts()) == 1


@pytest.mark.parametrize("step", range(1, 40, 3))
async def test_a_task_that_is_killed_anywhere_leaves_nothing_that_is_not_found_out(desk: Desk, step: int) -> None:
    """An event loop that stops and cancels past every shield, like a killed process."""
    desk.knows_labels()
    intent = desk.admitted()
    made = row()
    desk.service.succeeds(made)

    def kill() -> None:
        task.cancel()

    task = asyncio.create_task(_run(Stepped(desk.executor.execute(intent.intent_id), step, kill)))
    await asyncio.wait([task])
    await anyio.sleep(0.02)  # a thread that was left behind with the ledger
    arrived = len(desk.posts())
    desk.service.replies.clear()
    desk.shows(*([{**made, "label": desk.booked(intent).label}] if arrived else []))
    patience = Patience(exchange=0, grace=0, sweeps=1, first=0)
    searching = Reconciler(desk.client, desk.ledger, desk.channels, patience, desk.clock)
    desk.clock.now += 1
    await searching.look()
    await searching.look()

    state = desk.booked(intent).state
    assert arrived <= 1
    assert state in ({"ACKED"} if arrived else {"APPROVED", "ABSENT"})


async def _run(work: Stepped[Intent]) -> None:
    await work
