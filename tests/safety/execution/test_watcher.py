"""The watcher's background work, at a faster pace."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest

from api.errors import NotFound
from safety.ledger import Ledger
from safety.ledger.switch import Switch
from safety.sending.execution import OrderSender
from safety.sending.reconciliation import Patience, Reconciler
from safety.sending.watcher import Expiry, Pace, Watcher
from safety.terms.facts import Outcome
from safety.terms.intent import Intent
from safety.terms.proposal import PAPER_SERVICE, DeploymentTerms, Money

from .conftest import ORDER, Desk, goes, row

QUICK = Pace(brisk=0.01, idle=0.01, own_caller=0.0, again=0.0, halted=0.01, deployments=0.01)
DEPLOYED = DeploymentTerms(action="subscribe", strategy_id="rsi", account_id="acc-1")
WEEK = 7 * 86_400.0


class Halts:
    """Obeys a halt, and fails as often as configured."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[Switch] = []

    async def __call__(self, switch: Switch) -> Sequence[str]:
        self.seen.append(switch)
        return ["order api-1: still there"] if len(self.seen) <= self.failures else []


def watcher_of(
    desk: Desk,
    *,
    ledger: Ledger | None = None,
    halts: Halts | None = None,
    pace: Pace = QUICK,
    lasts: float | None = None,
) -> Watcher:
    async def seconds(_money: Money) -> float | None:
        return lasts

    used = ledger or desk.ledger
    return Watcher(
        used,
        desk.channels.services,
        OrderSender(desk.client, used, desk.judge, desk.channels, desk.clock, patience=0.2),
        Reconciler(desk.client, used, desk.channels, Patience(first=0.0, longest=0.0, lag=0.0), desk.clock),
        Expiry(desk.client, used, desk.channels.services, seconds, desk.clock),
        halts or Halts(),
        pace,
        desk.clock,
    )


@asynccontextmanager
async def watched(watcher: Watcher) -> AsyncGenerator[Watcher]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - polls a file
            await anyio.sleep(0.005)


async def rounds(watcher: Watcher, count: int = 3) -> None:
    """Let it look several more times; work still undone then will never be done."""
    enough = watcher.looks + count
    await until(lambda: watcher.looks >= enough)


def approved(desk: Desk, **changes: Any) -> Intent:
    """An order that a human has just approved in another process."""
    intent = desk.admitted(ORDER.model_copy(update=changes), outcome=Outcome.REQUIRE)
    return desk.ledger.approve(intent.intent_id, signature="00", key_id="human")


async def test_what_a_human_approves_elsewhere_is_sent(desk: Desk) -> None:
    desk.knows_labels()
    desk.service.succeeds(row())

    async with watched(watcher_of(desk)):
        intent = approved(desk)
        await until(lambda: desk.booked(intent).state == "ACKED")

    assert len(desk.posts()) == 1


async def test_three_processes_that_watch_send_each_order_once(desk: Desk) -> None:
    desk.knows_labels()
    desk.service.succeeds({"order_id": "api-1"})
    ledgers = [Ledger.open(desk.home, now=desk.clock) for _ in range(2)]

    async with (
        watched(watcher_of(desk)),
        watched(watcher_of(desk, ledger=ledgers[0])),
        watched(watcher_of(desk, ledger=ledgers[1])),
    ):
        intents = [approved(desk, amount=Decimal(n) / 100) for n in range(1, 6)]
        await until(lambda: all(desk.booked(each).state == "ACKED" for each in intents))
    for each in ledgers:
        each.close()

    assert len(desk.posts()) == 5


async def test_an_order_whose_call_is_still_on_it_is_left_to_that_call_for_a_while(desk: Desk) -> None:
    desk.knows_labels()
    desk.service.succeeds(row())
    intent = desk.admitted()

    async with watched(watcher_of(desk, pace=Pace(brisk=0.01, idle=0.01, own_caller=3.0))) as watcher:
        await rounds(watcher)
        young = desk.booked(intent).state
        desk.clock.now += 4
        await until(lambda: desk.booked(intent).state == "ACKED")

    assert young == "APPROVED"


async def test_what_is_of_another_service_is_left_alone(desk: Desk) -> None:
    desk.service.succeeds(row())
    intent = approved(desk)
    other = watcher_of(desk)
    other.services = (PAPER_SERVICE,)

    async with watched(other) as watcher:
        await rounds(watcher)

    assert desk.booked(intent).state == "APPROVED"
    assert desk.service.requests == []


async def test_what_nobody_approves_in_time_expires(desk: Desk) -> None:
    intent = desk.admitted(outcome=Outcome.REQUIRE)

    async with watched(watcher_of(desk)):
        desk.clock.now += 301
        await until(lambda: desk.booked(intent).state == "EXPIRED")


async def test_an_order_of_unknown_outcome_is_found_without_being_sent_again(desk: Desk) -> None:
    desk.knows_labels()
    desk.service.replies += [b""]
    intent = approved(desk)
    done = await desk.executor.execute(intent.intent_id)
    assert done.state == "UNKNOWN"
    desk.service.replies.clear()
    desk.shows(row(label=done.label))

    async with watched(watcher_of(desk)):
        await until(lambda: desk.booked(intent).state == "ACKED")

    assert len(desk.posts()) == 1


@pytest.mark.parametrize("how", ["the ledger", "the file"])
async def test_a_halt_is_followed_once_wherever_it_was_pulled(desk: Desk, how: str) -> None:
    halts, again = Halts(), Halts()

    async with watched(watcher_of(desk, halts=halts)) as watcher:
        if how == "the file":
            (desk.home / "HALT").write_text("stop it")
        else:
            desk.ledger.halt("stop it", "a test")
        await until(lambda: desk.ledger.latest("halt_followed", desk.name) is not None)
        await rounds(watcher)
    async with watched(watcher_of(desk, halts=again)) as watcher:
        await rounds(watcher)

    assert [switch.reason for switch in halts.seen] == ["stop it"]
    assert again.seen == []


async def test_what_could_not_be_cancelled_is_tried_again(desk: Desk) -> None:
    halts = Halts(failures=2)

    async with watched(watcher_of(desk, halts=halts)) as watcher:
        desk.ledger.halt("stop it", "a test")
        await until(lambda: len(halts.seen) == 3)
        await rounds(watcher)

    assert len(halts.seen) == 3


async def test_an_order_that_comes_to_light_after_a_halt_was_followed_is_stopped_too(desk: Desk) -> None:
    given_up = desk.ledger.claim(desk.admitted().intent_id, goes).intent
    desk.ledger.settle(given_up.intent_id, "UNKNOWN")
    desk.ledger.settle(given_up.intent_id, "ABSENT")
    desk.shows()
    halts = Halts()

    async with watched(watcher_of(desk, halts=halts)) as watcher:
        desk.ledger.halt("stop it", "a test")
        await until(lambda: desk.ledger.latest("halt_followed", desk.name) is not None)
        desk.clock.now += 10
        desk.ledger.settle(given_up.intent_id, "ACKED", order_id="api-1")
        desk.clock.now += 1
        await until(lambda: len(halts.seen) == 2)
        await rounds(watcher)

    assert len(halts.seen) == 2


async def test_the_next_halt_is_followed_too(desk: Desk) -> None:
    halts = Halts()

    async with watched(watcher_of(desk, halts=halts)):
        for reason in ("first", "second"):
            desk.ledger.halt(reason, "a test")
            await until(lambda reason=reason: bool(halts.seen) and halts.seen[-1].reason == reason)
            await until(lambda: desk.ledger.latest("halt_followed", desk.name) is not None)
            desk.clock.now += 10
            desk.ledger.release(signature="00", key_id="human", over="")
            desk.clock.now += 10

    assert [switch.reason for switch in halts.seen] == ["first", "second"]


async def test_no_trouble_ends_the_watch(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.knows_labels()
    desk.service.succeeds(row())
    desk.judge.trouble = RuntimeError("a mistake of ours")
    intent = approved(desk)

    async with watched(watcher_of(desk)):
        await until(lambda: "a mistake of ours" in caplog.text)
        desk.judge.trouble = None
        await until(lambda: desk.booked(intent).state == "ACKED")

    assert caplog.text.count("a mistake of ours") == 1


class TestDeploymentsAuthorities:
    """Strategies that trade by themselves, under an approval that ends."""

    async def deployed(self, desk: Desk) -> Intent:
        desk.service.succeeds({"subscription_id": "sub-1", "status": "active", "account_id": "acc-1"})
        done = await desk.executor.execute(desk.admitted(DEPLOYED).intent_id)
        assert (done.state, done.order_id) == ("ACKED", "sub-1")
        desk.service.replies.clear()
        desk.service.requests.clear()
        return done

    def expiry(self, desk: Desk, lasts: float | None = WEEK) -> Expiry:
        return watcher_of(desk, lasts=lasts).expiry

    async def test_one_is_paused_when_its_approval_ends_and_not_before(self, desk: Desk) -> None:
        intent = await self.deployed(desk)
        desk.service.succeeds({"subscription_id": "sub-1", "strategy_id": "rsi", "status": "active"})
        desk.service.succeeds({"subscription_id": "sub-1", "status": "paused"})

        desk.clock.now += WEEK - 1
        early = await self.expiry(desk).pause_due()
        desk.clock.now += 2
        late = await self.expiry(desk).pause_due()
        again = await self.expiry(desk).pause_due()

        assert (early, late, again) == ([], ["sub-1"], [])
        assert [f"{each.method} {each.target.removeprefix('/api/v1')}" for each in desk.service.requests] == [
            "GET /live-strategies/subscriptions/sub-1",
            "POST /live-strategies/rsi/pause/sub-1",
        ]
        assert (desk.booked(intent).result or {})["status"] == "paused"

    async def test_one_that_does_not_trade_any_more_is_left_alone(self, desk: Desk) -> None:
        await self.deployed(desk)
        desk.service.succeeds({"subscription_id": "sub-1", "strategy_id": "rsi", "status": "unsubscribed"})
        desk.clock.now += WEEK + 1

        assert await self.expiry(desk).pause_due() == []
        assert [each.method for each in desk.service.requests] == ["GET"]

    async def test_a_new_approval_starts_from_the_beginning(self, desk: Desk) -> None:
        await self.deployed(desk)
        desk.clock.now += WEEK - 10
        resume = DeploymentTerms(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-1")
        desk.service.succeeds({"subscription_id": "sub-1", "status": "active"})
        await desk.executor.execute(desk.admitted(resume).intent_id)
        desk.clock.now += 20

        assert await self.expiry(desk).pause_due() == []

    async def test_without_a_limit_none_is_ever_paused(self, desk: Desk) -> None:
        await self.deployed(desk)
        desk.clock.now += 10 * WEEK

        assert await self.expiry(desk, None).pause_due() == []
        assert desk.service.requests == []

    async def test_one_that_could_not_be_paused_is_tried_again_by_the_watcher(self, desk: Desk) -> None:
        await self.deployed(desk)
        desk.clock.now += WEEK + 1
        active = {"subscription_id": "sub-1", "strategy_id": "rsi", "status": "active"}
        desk.service.succeeds(active)
        desk.service.fails(500, "INTERNAL_ERROR")
        desk.service.succeeds(active)

        async with watched(watcher_of(desk, lasts=WEEK)):
            await until(lambda: desk.ledger.latest("standing_expired", "sub-1") is not None)

        assert [each.method for each in desk.service.requests] == ["GET", "POST", "GET", "POST"]

    async def test_one_that_cannot_be_paused_keeps_none_of_the_others_from_it(self, desk: Desk) -> None:
        await self.deployed(desk)
        desk.service.succeeds({"subscription_id": "sub-2", "status": "active", "account_id": "acc-1"})
        await desk.executor.execute(desk.admitted(DEPLOYED.model_copy(update={"strategy_id": "macd"})).intent_id)
        desk.service.replies.clear()
        desk.clock.now += WEEK + 1
        desk.service.fails(404, "NOT_FOUND")
        desk.service.succeeds({"subscription_id": "sub-2", "strategy_id": "macd", "status": "active"})
        desk.service.succeeds({"subscription_id": "sub-2", "status": "paused"})

        with pytest.raises(NotFound):
            await self.expiry(desk).pause_due()

        assert desk.ledger.latest("standing_expired", "sub-1") is None
        assert desk.ledger.latest("standing_expired", "sub-2") is not None
