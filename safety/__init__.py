"""What stands between an agent and real money. Its public face is what this module exports; it is imported when used.

Tools see this face and nothing else: what it answers, and the few things that it can be asked. The gate behind it is
built by the server alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .face import (
        HOW_TO_APPROVE,
        Answer,
        Asking,
        GatedOrder,
        GatedPost,
        GatedProfile,
        GatedSubscription,
        Halted,
        IntentReport,
        Left,
        Preview,
        SafetyDesk,
        SafetyStatus,
        Standing,
        Waiting,
    )
    from .intent import LABEL_PREFIX

__all__ = [
    "HOW_TO_APPROVE",
    "LABEL_PREFIX",
    "Answer",
    "Asking",
    "GatedOrder",
    "GatedPost",
    "GatedProfile",
    "GatedSubscription",
    "Halted",
    "IntentReport",
    "Left",
    "Preview",
    "SafetyDesk",
    "SafetyStatus",
    "Standing",
    "Waiting",
]


def __getattr__(name: str) -> Any:
    """Import the face when a name of it is first asked for, and with it the API's models."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".intent" if name == "LABEL_PREFIX" else ".face", __name__), name)
