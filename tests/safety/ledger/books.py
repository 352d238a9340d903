"""Proposals, policies and a clock for the ledger's tests. A policy is one word here; other tests cover the real one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from safety.ledger import Ledger
from safety.ledger.database import TRIGGERS
from safety.terms.facts import Outcome, PolicyDecision, RuleResult, SwitchState, Usage
from safety.terms.intent import GO, Caller, Intent, Verdict
from safety.terms.proposal import PAPER_SERVICE, Action, DeploymentTerms, Money, OrderTerms, Proposal, PublicationTerms

SERVICE: Final = "https://api.example.com/api/v1"
NOON: Final = 1_800_014_400.0
"""Noon UTC of some day (2027-01-15), so that midnight is 12 hours ago."""
CALLER: Final = Caller("orders_place", "a client 1.0")
MONEY: Final = Decimal(10)


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def order(amount: str = "1", **terms: Any) -> OrderTerms:
    """A limit order of BTC at 10."""
    usual = {
        "account_id": "acc_1", "exchange": "binance", "market_type": "spot", "symbol": "BTC/USDT", "side": "buy",
        "order_type": "limit", "amount": Decimal(amount), "price": MONEY,
    }  # fmt: skip
    return OrderTerms.model_validate({**usual, **terms})


def deployment(**terms: Any) -> DeploymentTerms:
    """A strategy to deploy."""
    usual = {"action": "subscribe", "strategy_id": "rsi-reversion", "account_id": "acc_1"}
    return DeploymentTerms.model_validate({**usual, **terms})


def post(body: str = "{}") -> PublicationTerms:
    """A post."""
    return PublicationTerms(action="post", body=body)


def proposal(
    now: float, action: Action | None = None, *, usd: Decimal | None = MONEY, service: str = SERVICE
) -> Proposal:
    """A proposal of the usual order, worth 10 USD."""
    chosen = order() if action is None else action
    money: Money = "paper" if service == PAPER_SERVICE else "real"
    return Proposal(
        action=chosen, money=money, service=service, policy_hash="0a" * 32, quote=MONEY,
        notional_usd=usd if isinstance(chosen, OrderTerms) else None, created=now, expires=now + 300,
    )  # fmt: skip


def says(outcome: Outcome) -> Callable[[Usage, SwitchState], PolicyDecision]:
    """A policy with a fixed verdict."""
    return lambda _used, _switch: PolicyDecision(outcome, (RuleResult("R00_TEST", outcome),), "0a" * 32)


def within(
    limit: Decimal, amount: Decimal, otherwise: Outcome = Outcome.PASS
) -> Callable[[Usage, SwitchState], PolicyDecision]:
    """A policy with one daily limit."""

    def decide(usage: Usage, state: SwitchState) -> PolicyDecision:
        too_much = usage.notional_24h + amount > limit
        return says(Outcome.DENY if too_much else otherwise)(usage, state)

    return decide


def go(_intent: Intent, _usage: Usage, _switch: SwitchState) -> Verdict:
    """A final check that lets everything through."""
    return GO


def admitted(
    ledger: Ledger, clock: Clock, action: Action | None = None, outcome: Outcome = Outcome.PASS, **more: Any
) -> Intent:
    """An intent that the policy admitted."""
    ask_first = more.pop("ask_first", False)
    offered = proposal(clock.now, action, **more)
    admission = ledger.admit(offered, CALLER, says(outcome), repeat_seconds=0, ask_first=ask_first)
    assert admission.intent is not None
    assert not admission.repeated
    return admission.intent


def approved(ledger: Ledger, clock: Clock, action: Action | None = None, **more: Any) -> Intent:
    """An intent that a human approved."""
    waiting = admitted(ledger, clock, action, Outcome.REQUIRE, **more)
    return ledger.approve(waiting.intent_id, signature="ab" * 64, key_id="k1")


def sent(ledger: Ledger, clock: Clock, action: Action | None = None, **more: Any) -> Intent:
    """An intent that another process is sending."""
    claim = ledger.claim(admitted(ledger, clock, action, **more).intent_id, go)
    assert claim.won
    return claim.intent


def raw(home: Path, *statements: str, arguments: tuple[object, ...] = ()) -> list[Any]:
    """Change the file behind the ledger's back, as anyone with write access can: triggers off, change, triggers on.

    Returns:
        The rows of the last statement.
    """
    connection = sqlite3.connect(home / "safety.db", isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER {name}")
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement, arguments).fetchall()
        for name, body in TRIGGERS.items():
            connection.execute(f"CREATE TRIGGER {name} {body}")
        connection.execute("COMMIT")
    finally:
        connection.close()
    return rows
