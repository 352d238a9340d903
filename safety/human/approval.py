"""Defines what a human's approval covers. Only verifies: nothing here can create an approval.

Every signed text states its purpose, so that a signature for one purpose is invalid for any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from safety.policy.limits import Limits
from safety.terms.facts import Decision, Outcome
from safety.terms.intent import Intent
from safety.terms.proposal import Order

BY_ELICITATION: Final = "elicitation"
"""Used instead of a key id when the approval came from the client's dialog."""

ELICITATION_CEILING: Final = Decimal(25)
"""USD. A program may answer a dialog, so no policy lets a dialog approve more than this."""


class Pins(Protocol):
    """The ledger's record of the approver."""

    def approver(self) -> str | None:
        """The pinned public key, hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Approver:
    """The approver's public key, which verifies signatures.

    Attributes:
        public_key: Ed25519, 32 bytes, hexadecimal.
    """

    public_key: str

    @property
    def key_id(self) -> str:
        """Id of the key: 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]

    def verify(self, text: str, signature: str) -> bool:
        """Whether `signature`, hexadecimal, is this key's signature of `text`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def order_words(intent: Intent) -> str:
    """The text signed to approve an intent: its ledger row and every term of its proposal.

    The digest is computed from the terms that are shown, never read from the row.
    """
    return f"heytraders-mcp approves intent {intent.intent_id} digest {intent.proposal.digest}"


def release_words(state: str, since: float, head: str) -> str:
    """The text signed to end a halt.

    Args:
        state: State of the switch.
        since: Unix seconds when it was pulled.
        head: MAC of the ledger's last event, so that an old signature cannot end a later halt.
    """
    return f"heytraders-mcp releases {state} since {since!r} at {head}"


def question_words(head: str) -> str:
    """The text signed to allow questions again; `head` is the MAC of the ledger's last event, so it counts once."""
    return f"heytraders-mcp may ask again at {head}"


def settle_words(intent: Intent, order_id: str | None) -> str:
    """The text signed to settle an intent of unknown outcome: as this order, or without an id as never placed."""
    became = "absent" if order_id is None else f"order {order_id}"
    return f"heytraders-mcp settles intent {intent.intent_id} digest {intent.proposal.digest} as {became}"


def policy_words(version: int, toml: str) -> str:
    """The text signed to put a policy in force."""
    return f"heytraders-mcp policy version {version} sha256 {hashlib.sha256(toml.encode()).hexdigest()}"


def covers(intent: Intent, decision: Decision, approver: Approver | None, limits: Limits) -> bool:
    """Whether the intent's approval is sufficient for the policy's decision now.

    Args:
        intent: The intent from the ledger.
        decision: The policy's, on the same action, with current facts.
        approver: The key whose signatures count; `None` before a passphrase is chosen.
        limits: The signed limits for the action.
    """
    if decision.outcome is Outcome.DENY or intent.digest != intent.proposal.digest:
        return False
    if intent.approved_at is not None and intent.approved_at > intent.proposal.expires:
        return False
    if intent.signature:
        return signed_by(intent, approver)
    if decision.outcome is Outcome.PASS:
        return True
    return intent.key_id == BY_ELICITATION and _within_elicitation(intent, decision, limits)


def signed_by(intent: Intent, approver: Approver | None) -> bool:
    """Whether the intent holds the approver's signature of exactly these terms."""
    if approver is None or intent.key_id != approver.key_id or not intent.signature:
        return False
    return approver.verify(order_words(intent), intent.signature)


def _within_elicitation(intent: Intent, decision: Decision, limits: Limits) -> bool:
    """Only orders up to the policy's limit, at the higher of their value when asked and their value now."""
    asked, now = intent.proposal.notional_usd, decision.notional_usd
    if not isinstance(intent.proposal.action, Order) or asked is None or now is None:
        return False
    return max(asked, now) <= elicitation_limit(limits)


def elicitation_limit(limits: Limits) -> Decimal:
    """Largest order in USD that the client's dialog may approve."""
    return min(limits.elicitation_up_to, ELICITATION_CEILING)
