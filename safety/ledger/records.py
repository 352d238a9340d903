"""What the ledger hands out and takes in, besides intents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from safety.terms.facts import Decision, SwitchState
from safety.terms.intent import Intent, State


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the journal.

    Attributes:
        seq: Counts from 1 without gaps.
        at: Unix seconds.
        kind: `intent` for every move of one, `denied`, `switch`, `policy`, `approver`, `equity`, `labels`, `audit`, or
            what a caller of `record` chose.
        subject: What it is about: an intent's id, a service, an account; may be "".
        body: The rest.
        prev: MAC of the event before it, hexadecimal.
        mac: HMAC-SHA256 over all of this, hexadecimal.
    """

    seq: int
    at: float
    kind: str
    subject: str
    body: Mapping[str, Any]
    prev: str
    mac: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a proposal.

    Attributes:
        intent: `None` when the policy denied it.
        decision: The policy's; for a repeated call, the outcome that the earlier one had.
        repeated: The intent is that of an earlier call with the same terms.
    """

    intent: Intent | None
    decision: Decision
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last word before an intent is sent: `GO`, or where it goes instead and why."""

    to: State = "SENT"
    reason: str = ""


GO: Final = Verdict()


def stop(to: State, reason: str) -> Verdict:
    """Do not send it."""
    return Verdict(to, reason)


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether the caller is the one who sends.

    Attributes:
        won: Only then may anything leave, and only once.
        intent: As it stands now.
        reason: Why not, in one sentence.
    """

    won: bool
    intent: Intent
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """The kill switch.

    Attributes:
        state: ACTIVE, REDUCING or HALTED.
        reason: Why it is not ACTIVE.
        by: Who moved it last.
        since: Unix seconds; `None` when it was never moved.
    """

    state: SwitchState = "ACTIVE"
    reason: str = ""
    by: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A policy as a human signed it.

    Attributes:
        version: Rises with every signature.
        toml: The text.
        hash: Of the policy that the text means, hexadecimal.
        signature: Hexadecimal.
        key_id: Of the approver's key.
        signed_at: Unix seconds.
    """

    version: int
    toml: str
    hash: str
    signature: str
    key_id: str
    signed_at: float
