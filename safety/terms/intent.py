"""An intent: a proposal admitted by the ledger, the claim to send it, and its outcome."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

from safety.terms.facts import PolicyDecision
from safety.terms.proposal import Proposal

IntentState = Literal[
    "PENDING",
    "APPROVED",
    "SENT",
    "ACKED",
    "REJECTED",
    "UNKNOWN",
    "NOT_SENT",
    "ABSENT",
    "DECLINED",
    "EXPIRED",
    "EXPIRED_DRIFT",
    "HALTED",
]

MOVES: Final[dict[IntentState, frozenset[IntentState]]] = {
    "PENDING": frozenset({"APPROVED", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}),
    "APPROVED": frozenset({"SENT", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}),
    "SENT": frozenset({"ACKED", "REJECTED", "UNKNOWN", "NOT_SENT"}),
    "NOT_SENT": frozenset({"SENT", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}),
    "UNKNOWN": frozenset({"ACKED", "ABSENT"}),
    "ABSENT": frozenset({"ACKED"}),
    "ACKED": frozenset(),
    "REJECTED": frozenset(),
    "DECLINED": frozenset(),
    "EXPIRED": frozenset(),
    "EXPIRED_DRIFT": frozenset(),
    "HALTED": frozenset(),
}

UNDECIDED: Final[frozenset[IntentState]] = frozenset({"PENDING", "APPROVED", "NOT_SENT"})
"""Not sent yet, but may still be sent."""

COUNTED: Final[frozenset[IntentState]] = frozenset(
    {"PENDING", "APPROVED", "NOT_SENT", "SENT", "UNKNOWN", "ABSENT", "ACKED"}
)
"""States that the limits count: the intent has, may have or may yet have an effect. ABSENT counts for 24 hours."""


def may_move(current: IntentState, to: IntentState) -> bool:
    """Whether an intent may go from one state to another."""
    return to in MOVES[current]


_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LABEL_PREFIX: Final = "htm1"
_LENGTH: Final = 26


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked.

    Attributes:
        tool: The tool or command.
        client: The client's name and version as it gave them; for a strategy's order, the subscription.
        origin: Permanent id of one strategy decision, so that its order is booked once; "" for other callers.
    """

    tool: str
    client: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """A row of the ledger.

    Attributes:
        intent_id: 26 characters, time and 80 random bits; a human approves the intent by this id.
        state: Its current state.
        proposal: The exact terms.
        digest: Digest of the proposal, as stored when it was admitted.
        caller: The caller's tool and client.
        automatic: No human had to approve it under the policy of that moment.
        label: The label that the service sees; "" until sent.
        created: Unix seconds; so are the other times.
        sent_at: When the claim was committed, before anything left.
        changed_at: Time of the last state change.
        order_id: The service's id, once known.
        result: The service's order or subscription, as last seen.
        reason: The reason for the state.
        signature: The human's, over the digest; hexadecimal.
        key_id: Id of the approver's key.
        approved_at: Unix seconds.
        sweeps: Complete listings that did not contain it.
    """

    intent_id: str
    state: IntentState
    proposal: Proposal
    digest: str
    caller: Caller
    automatic: bool
    label: str
    created: float
    changed_at: float
    sent_at: float | None = None
    order_id: str | None = None
    result: dict[str, Any] | None = None
    reason: str = ""
    signature: str | None = None
    key_id: str | None = None
    approved_at: float | None = None
    sweeps: int = 0


def new_intent_id(now: float, home: int) -> str:
    """A ULID: 48 bits of milliseconds, then 16 bits that name the home and 64 random ones (github.com/ulid/spec).

    Args:
        now: Unix seconds.
        home: 0 to 65,535, of the ledger, which recognises its own labels at a service by it.
    """
    value = (int(now * 1000) << 80) | (home << 64) | secrets.randbits(64)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def home_of(intent_id: str) -> int | None:
    """The home number in an intent id; `None` if it is not an id of ours."""
    if len(intent_id) != _LENGTH or not all(character in _CROCKFORD for character in intent_id):
        return None
    value = 0
    for character in intent_id:
        value = value << 5 | _CROCKFORD.index(character)
    return value >> 64 & 0xFFFF


def intent_of_label(label: str | None) -> str | None:
    """The intent id in a label of ours, or in its beginning; `None` in any other label.

    The order ids of some exchanges have room for the beginning only: `htm1` and the intent id.
    """
    parts = (label or "").split(":")
    return parts[1] if len(parts) in {2, 4} and parts[0] == LABEL_PREFIX else None


def order_label(intent_id: str, digest: str, head: str) -> str:
    """The label for the exchange, 61 characters: the intent, the order's digest, and the head of our journal.

    Args:
        intent_id: Id of the intent.
        digest: Digest of its proposal.
        head: MAC of the journal's last event, which the exchange thereby stores for us.
    """
    return f"{LABEL_PREFIX}:{intent_id}:{digest[:16]}:{head[:12]}"


@dataclass(frozen=True, slots=True)
class Admission:
    """The result of admitting a proposal.

    Attributes:
        intent: `None` if the policy denied it.
        decision: The policy's; for a repeated call, that of the earlier one.
        repeated: The intent comes from an earlier call with the same terms.
        claimed: The intent was also claimed: the caller may send it, once.
    """

    intent: Intent | None
    decision: PolicyDecision
    repeated: bool = False
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The final check before an intent is sent: `GO`, or the state to move to and why."""

    to: IntentState = "SENT"
    reason: str = ""


GO: Final = Verdict()


def stop(to: IntentState, reason: str) -> Verdict:
    """Do not send it."""
    return Verdict(to, reason)


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim to send.

    Attributes:
        won: The caller may send, once; otherwise it must not.
        intent: Its current state.
        reason: Why the claim was lost, in one sentence.
    """

    won: bool
    intent: Intent
    reason: str = ""
