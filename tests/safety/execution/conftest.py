"""A ledger in a temporary home, a scripted service, and a fake judge."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from api.client import Client, Retries
from api.transport import Timeouts, embedded, hosted
from safety.ledger import Ledger
from safety.sending.execution import OrderSender
from safety.sending.reconciliation import Reconciler
from safety.terms.facts import Outcome, PolicyDecision, RuleResult, SwitchState, Usage
from safety.terms.intent import GO, Caller, Intent, IntentState, Verdict
from safety.terms.proposal import Action, Channels, OrderTerms, Proposal
from tests.api.conftest import FakeService

from .venue import Venue, at

ACCOUNT: Final = "acc-1"
ORDER: Final = OrderTerms(
    account_id=ACCOUNT, exchange="binance", market_type="spot", symbol="BTC/USDT", side="buy", order_type="limit",
    amount=Decimal("0.001"), price=Decimal(50_000), label="mine",
)  # fmt: skip


@dataclass
class Clock:
    """A clock that the test sets."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class MadeUpJudge:
    """Gives the answers that a test sets, and records the questions."""

    says: Verdict = GO
    trouble: Exception | None = None
    looked_at: list[Action] = field(default_factory=list[Action])
    heard: list[Usage] = field(default_factory=list[Usage])

    async def assess(self, action: Action, *, subscription_id: str = "", priced: bool = False) -> MadeUpJudge:  # noqa: ARG002
        self.looked_at.append(action)
        if self.trouble is not None:
            raise self.trouble
        return self

    def verdict(self, intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:  # noqa: ARG002 - its shape
        self.heard.append(usage)
        return self.says


@dataclass
class Desk:
    """Everything needed to send an order."""

    home: Path
    clock: Clock
    ledger: Ledger
    client: Client
    service: FakeService
    judge: MadeUpJudge

    @property
    def name(self) -> str:
        """The service's name in intents."""
        return self.service.url

    @property
    def channels(self) -> Channels:
        """All accounts of the service are real."""
        return Channels.hosted(self.name)

    @property
    def executor(self) -> OrderSender:
        """The executor under test."""
        return OrderSender(self.client, self.ledger, self.judge, self.channels, self.clock, patience=0.5)

    def admitted(self, action: Action = ORDER, *, outcome: Outcome = Outcome.PASS, repeat_seconds: int = 0) -> Intent:
        """An intent: approved at once, unless a human must approve first."""
        proposal = Proposal(
            action=action, money="real", service=self.name, policy_hash="0" * 64, quote=Decimal(50_000),
            notional_usd=Decimal(50), created=self.clock.now, expires=self.clock.now + 300,
        )  # fmt: skip
        decision = PolicyDecision(outcome, (RuleResult("R00_TEST", outcome),), "0" * 64)
        admission = self.ledger.admit(
            proposal, Caller("test"), lambda _used, _switch: decision, repeat_seconds=repeat_seconds
        )
        assert admission.intent is not None
        return admission.intent

    def booked(self, intent: Intent) -> Intent:
        """The intent as the ledger has it now."""
        found = self.ledger.intent(intent.intent_id)
        assert found is not None
        return found

    def knows_labels(self) -> None:
        """The service is known to return labels, and shows no order yet."""
        self.service.succeeds({"orders": []})
        self.ledger.note_labels(self.name, True)

    def shows(self, *rows: dict[str, Any]) -> None:
        """Answer with a list of orders."""
        self.service.succeeds({"orders": list(rows)})

    def posts(self) -> list[str]:
        """Bodies of the orders received."""
        return [each.body.decode() for each in self.service.requests if each.method == "POST"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Generator[Ledger]:
    opened = Ledger.open(tmp_path / "home", now=clock)
    yield opened
    opened.close()


@pytest.fixture
async def desk(tmp_path: Path, clock: Clock, ledger: Ledger, service: FakeService) -> AsyncGenerator[Desk]:
    wire = hosted(service.url, timeouts=Timeouts(connect=2, read=2, total=4))
    client = Client(wire, source="hosted", retries=Retries(attempts=1), now=clock)
    yield Desk(tmp_path / "home", clock, ledger, client, service, MadeUpJudge())
    await client.aclose()


def goes(intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:  # noqa: ARG001 - its shape
    """Raises no objection."""
    return GO


@dataclass
class Search:
    """A venue, and the component that looks for orders there."""

    clock: Clock
    ledger: Ledger
    venue: Venue
    client: Client
    reconciler: Reconciler

    def sent(self, action: Action = ORDER, *, state: IntentState = "UNKNOWN") -> Intent:
        """A sent intent whose state is now as given."""
        proposal = Proposal(
            action=action, money="real", service="venue", policy_hash="0" * 64, quote=Decimal(50_000),
            notional_usd=Decimal(50), created=self.clock.now, expires=self.clock.now + 300,
        )  # fmt: skip
        passed = PolicyDecision(Outcome.PASS, (RuleResult("R00_TEST"),), "0" * 64)
        admission = self.ledger.admit(proposal, Caller("test"), lambda _used, _switch: passed, repeat_seconds=0)
        assert admission.intent is not None
        intent = self.ledger.claim(admission.intent.intent_id, goes).intent
        return intent if state == "SENT" else self.ledger.settle(intent.intent_id, state)

    def books(self, intent: Intent, **fields: Any) -> dict[str, Any]:
        """Create the order of an intent at the venue."""
        action = intent.proposal.action
        assert isinstance(action, OrderTerms)
        return self.venue.books({**row(action), "label": intent.label, "created_at": at(self.clock.now), **fields})

    def booked(self, intent: Intent) -> Intent:
        """The intent as the ledger has it now."""
        found = self.ledger.intent(intent.intent_id)
        assert found is not None
        return found

    async def looks_at_all(self) -> None:
        """Look for every intent, as a server does that has just started."""
        await Reconciler(self.client, self.ledger, Channels.hosted("venue"), now=self.clock).look()

    async def looks_for(self, seconds: float, *, step: float = 1.0) -> None:
        """Look as the watcher does, for this long."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            await self.reconciler.look()
            self.clock.now += step


@pytest.fixture
async def search(ledger: Ledger, clock: Clock) -> AsyncGenerator[Search]:
    venue = Venue(clock)
    client = Client(embedded(venue), source="hosted", retries=Retries(attempts=1), now=clock)
    yield Search(clock, ledger, venue, client, Reconciler(client, ledger, Channels.hosted("venue"), now=clock))
    await client.aclose()


def row(order: OrderTerms = ORDER, **fields: Any) -> dict[str, Any]:
    """An order as the service lists it."""
    return {
        "order_id": "api-1",
        "account_id": order.account_id,
        "exchange": order.exchange,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "amount": float(order.amount),
        "price": None if order.price is None else float(order.price),
        "status": "OPEN",
        **fields,
    }
