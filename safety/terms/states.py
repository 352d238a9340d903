"""The life of an intent. The table is all there is: what is not in it cannot happen.

PENDING ──approve──> APPROVED ──claim──> SENT ──> ACKED | REJECTED | UNKNOWN | NOT_SENT
   │                    │                          UNKNOWN ──> ACKED | ABSENT        ABSENT ──> ACKED (late: halts)
   └──> DECLINED | EXPIRED | EXPIRED_DRIFT | HALTED <──┘       NOT_SENT ──> SENT | DECLINED | EXPIRED (no byte had left)
"""

from __future__ import annotations

from typing import Final, Literal

State = Literal[
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

MOVES: Final[dict[State, frozenset[State]]] = {
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

UNDECIDED: Final[frozenset[State]] = frozenset({"PENDING", "APPROVED", "NOT_SENT"})
"""Nothing has been sent yet, and something still may be."""

COUNTED: Final[frozenset[State]] = frozenset({"PENDING", "APPROVED", "NOT_SENT", "SENT", "UNKNOWN", "ABSENT", "ACKED"})
"""What the limits count: everything that has, or may have, or may yet have an effect. ABSENT counts for 24 hours."""


def may_move(current: State, to: State) -> bool:
    """Whether an intent may go from one state to another."""
    return to in MOVES[current]
