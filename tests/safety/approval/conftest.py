"""An approver with a cheap passphrase, a ledger, and orders to approve."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.terms.facts import Outcome, PolicyDecision, RuleResult
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import Action, OrderTerms, Proposal

PASSPHRASE = "correct horse battery"
CHEAP = 2**4

ORDER = OrderTerms(
    account_id="a1",
    exchange="binance",
    market_type="spot",
    symbol="BTC/USDT",
    side="buy",
    order_type="limit",
    amount=Decimal("0.0005"),
    price=Decimal(60_000),
)

Intending = Callable[..., Intent]


def proposed(action: Action = ORDER, **terms: Any) -> Proposal:
    """A proposal of 30 USD at the hosted service."""
    given: dict[str, Any] = {
        "money": "real",
        "service": "https://hey-traders.com/api/v1",
        "policy_hash": "ab" * 32,
        "quote": Decimal("60012.5"),
        "notional_usd": Decimal("30.1"),
        "created": 1_000.0,
        "expires": 1_300.0,
        "nonce": "00" * 16,
    }
    return Proposal(action=action, **{**given, **terms})


def intended(proposal: Proposal, **fields: Any) -> Intent:
    """An intent that a human has approved, without the signature."""
    given: dict[str, Any] = {
        "intent_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "state": "APPROVED",
        "digest": proposal.digest,
        "caller": Caller("orders_place"),
        "automatic": False,
        "label": "",
        "created": 1_000.0,
        "changed_at": 1_100.0,
        "approved_at": 1_100.0,
    }
    return Intent(proposal=proposal, **{**given, **fields})


def decided(outcome: Outcome, notional: Decimal | None = Decimal("30.1")) -> PolicyDecision:
    """The policy's verdict."""
    return PolicyDecision(outcome, (RuleResult("R28_APPROVAL", outcome, "asks"),), "ab" * 32, notional)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def key(home: Path) -> SigningKey:
    """The human's passphrase."""
    return enrol(home, PASSPHRASE, cost=CHEAP)


@pytest.fixture
def ledger(home: Path) -> Generator[Ledger]:
    """The ledger of the home folder."""
    with closing(Ledger.open(home)) as opened:
        yield opened
