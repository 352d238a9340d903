"""Our client in the harness: ledger, executor and watcher, as a server process runs them.

The policy is as loose as possible, since the limits for real money would stop a machine that trades at this pace. Where
labels are dropped, the real rule keeps orders apart. The simulated agents behave like real ones: they repeat a call
after a restart, call twice, and disconnect in the middle of a call.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import anyio
import anyio.lowlevel
from anyio import to_thread
from pydantic import SecretStr

from api.client import Client, Retries
from api.errors import NotNow, OutcomeUnknown
from api.orders import PlaceRequest
from api.transport import Timeouts, hosted
from safety.gate import GateContext
from safety.gate.halting import clean_up
from safety.ledger import Ledger
from safety.ledger.switch import Switch
from safety.policy import conduct, orders
from safety.policy.evaluation import findings_of
from safety.policy.limits import Limits
from safety.sending.execution import OrderSender
from safety.sending.reconciliation import Patience, Reconciler
from safety.sending.watcher import Expiry, Pace, Watcher
from safety.terms.facts import Facts, Outcome, PolicyDecision, RuleResult, SwitchState, Usage
from safety.terms.intent import GO, Caller, Intent, IntentState, Verdict
from safety.terms.proposal import Action, Channels, Money, OrderTerms, Proposal

from .safety_death import perhaps_die_by_own_hand
from .safety_harness import Life, Running
from .safety_slots import Slot
from .safety_truth import Truth
from .safety_verdict import figures, violations
from .safety_wishes import Wish, wish

if TYPE_CHECKING:
    from safety.gate.judging import Judge

LIMITS: Final = Limits(one_unresolved=True)
RULES: Final = (orders.sanity, conduct.unresolved)
ALIKE: Final = Decimal("0.02")
LIKE_ONE_GIVEN_UP: Final = RuleResult(
    "R15_DUPLICATE", Outcome.DENY, "a similar order was given up and may still appear"
)
REPEAT_SECONDS: Final = 600
CALLER: Final = Caller("orders_place", "chaos")
PATIENCE: Final = Patience(exchange=2.0, grace=1.5, sweeps=3, first=0.1, longest=0.4, given_up=0.4, lag=1.0)
"""Longer than any delay of the exchange, as the real value must be longer than the delays of the real service."""

PACE: Final = Pace(brisk=0.05, idle=0.05, own_caller=0.3, again=0.1, halted=0.2)
OWN_HAND: Final = 0.4
MOST_STEPS: Final = 20_000
SETTLE_SECONDS: Final = 30.0
IN_THE_MIDDLE: Final[frozenset[IntentState]] = frozenset({"APPROVED", "NOT_SENT", "SENT", "UNKNOWN"})
CALLS_TWICE: Final = 0.2
GOES_AWAY: Final = 0.15
THINKS_SECONDS: Final = 0.05
"""How long an agent waits after a refusal."""


class Free:
    """Raises no objection before sending."""

    def verdict(self, intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:  # noqa: ARG002 - the port's names
        """Go."""
        return GO

    async def assess(self, action: Action, *, subscription_id: str = "", priced: bool = False) -> Free:  # noqa: ARG002
        """There is nothing to check."""
        return self


@dataclass(frozen=True)
class Agent:
    """The parts of the safety layer that a server process has."""

    url: str
    ledger: Ledger
    client: Client
    executor: OrderSender
    watcher: Watcher

    async def place(self, wanted: Wish) -> Intent | None:
        """Record and send; `None` when the rules forbid it."""
        admitted = await to_thread.run_sync(self._admit, wanted)
        if admitted is None or admitted.state not in {"APPROVED", "NOT_SENT"}:
            return admitted
        return await self.executor.execute(admitted.intent_id)

    async def call(self, wanted: Wish) -> None:
        """Place it as a tool does. "The ledger is busy" and "the outcome could not be recorded" are answers too."""
        with suppress(NotNow, OutcomeUnknown):
            if await self.place(wanted) is None:
                await anyio.sleep(THINKS_SECONDS)

    def _admit(self, wanted: Wish) -> Intent | None:
        order = OrderTerms.of(PlaceRequest.model_validate(wanted.order))
        echoed = self.ledger.labels_echoed(self.url)
        now = time.time()
        proposal = Proposal(
            action=order,
            money="real",
            service=self.url,
            policy_hash="0" * 64,
            quote=None,
            notional_usd=order.amount * 100,
            created=now,
            expires=now + 300,
        )

        def decide(usage: Usage, _switch: SwitchState) -> PolicyDecision:
            if not echoed and _like_one_given_up(order, usage):
                return PolicyDecision(Outcome.DENY, (LIKE_ONE_GIVEN_UP,), proposal.policy_hash)
            facts = Facts(now, "real", labels_echoed=echoed, usage=usage)
            found, _ = findings_of(order, LIMITS, facts, RULES)
            return PolicyDecision(max(finding.outcome for finding in found), found, proposal.policy_hash)

        return self.ledger.admit(proposal, CALLER, decide, repeat_seconds=REPEAT_SECONDS).intent


def _like_one_given_up(order: OrderTerms, usage: Usage) -> bool:
    """Without labels, the order may be an identical one that was given up. A human would decide, and says no."""
    return any(
        each.state == "ABSENT" and abs(each.amount - order.amount) <= ALIKE * order.amount for each in usage.similar
    )


@asynccontextmanager
async def agent(url: str, home: Path) -> AsyncGenerator[Agent]:
    """A server process on `home`."""
    ledger = Ledger.open(home)
    patience = Timeouts(connect=0.3, read=0.4, total=0.5)
    wire = hosted(url, SecretStr("chaos-key-0123456789"), timeouts=patience, once=patience)
    client = Client(wire, source="hosted", retries=Retries(base=0.02, longest=0.05))
    try:
        channels = Channels.hosted(url)
        executor = OrderSender(client, ledger, Free(), channels, patience=1.0, fresh=1.0)
        reconciler = Reconciler(client, ledger, channels, PATIENCE)
        context = GateContext(home, client, channels, ledger, cast("Judge", Free()), executor, time.time)

        async def follow_halt(_switch: Switch) -> Sequence[str]:
            return (await clean_up(context)).failed

        watcher = Watcher(
            ledger,
            channels.services,
            executor,
            reconciler,
            Expiry(client, ledger, channels.services, _never),
            follow_halt,
            PACE,
        )
        yield Agent(url, ledger, client, executor, watcher)
    finally:
        await client.aclose()
        ledger.close()


async def _never(_money: Money) -> float | None:
    """How long strategies may trade by themselves; there are none."""
    return None


def life(url: str, home: Path, seed: int) -> Life:
    """A worker process. Slow modules are loaded here, once, before any fork."""
    anyio.run(_open_once, url, home)
    return partial(live, url, home, seed)


async def _open_once(url: str, home: Path) -> None:
    async with agent(url, home):
        pass


def live(url: str, home: Path, seed: int, slot: Slot, chance: random.Random) -> None:
    """Place wish after wish until killed. An unfinished wish is repeated."""
    perhaps_die_by_own_hand(chance, OWN_HAND, MOST_STEPS)
    anyio.run(_live, url, home, seed, slot, chance)


async def _live(url: str, home: Path, seed: int, slot: Slot, chance: random.Random) -> None:
    async with agent(url, home) as own, anyio.create_task_group() as tasks:
        tasks.start_soon(own.watcher.run)
        while True:
            wanted = wish(slot.begin(), seed)
            with anyio.move_on_after(chance.uniform(0, 0.1) if chance.random() < GOES_AWAY else None):
                await own.call(wanted)
            if chance.random() < CALLS_TWICE:
                await own.call(wanted)
            slot.next()
            await anyio.lowlevel.checkpoint()


def settle(running: Running, home: Path) -> None:
    """What one server process does with the intents of dead processes; ends when none is unfinished."""
    anyio.run(_settle, running.url, home)


async def _settle(url: str, home: Path) -> None:
    async with agent(url, home) as own, anyio.create_task_group() as tasks:
        tasks.start_soon(own.watcher.run)
        with anyio.move_on_after(SETTLE_SECONDS):
            while await to_thread.run_sync(lambda: own.ledger.intents(states=IN_THE_MIDDLE)):  # noqa: ASYNC110 - polls a file
                await anyio.sleep(0.05)
            await anyio.sleep(PATIENCE.lag)  # for what was refused to be looked for
        tasks.cancel_scope.cancel()


def judge(home: Path, truth: Truth) -> tuple[dict[str, int], list[str]]:
    """The ledger against the truth. A halt is a violation too: nothing that this exchange does should cause one."""
    ledger = Ledger.open(home)
    try:
        intents, switch, breaks = ledger.intents(limit=1_000_000), ledger.switch(), ledger.verify()
    finally:
        ledger.close()
    halted = [] if switch.state == "ACTIVE" else [f"{switch.state}: {switch.reason}"]
    return figures(intents, truth), [*violations(intents, truth), *halted, *breaks]
