"""Every way a call can fail, classed by who must act next.

HeyTradersError
├── InvalidInput            the model: change the call
│   └── NotFound            the model: use an id or symbol that exists
├── UserMustAct             the user
│   ├── NotAuthorised       key missing, wrong, expired or without the scope
│   ├── Denied              a policy forbids it
│   └── ApprovalNeeded      a human has to approve first
├── NotNow                  nobody but time
│   ├── RateLimited         wait `retry_after` seconds
│   └── Unavailable         the service failed; nothing was changed
└── OutcomeUnknown          nobody knows: look before doing it again

The documented codes map onto these classes in `BY_CODE`; `error_for` is the only way from a code to an exception
and `explain` the only way from an exception to the text that a model reads.
"""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar, Final, Literal, TypeGuard, get_args

ErrorCode = Literal[
    "VALIDATION_ERROR",
    "BACKTEST_NOT_FOUND",
    "STRATEGY_NOT_FOUND",
    "SUBSCRIPTION_NOT_FOUND",
    "ORDER_NOT_FOUND",
    "INVALID_API_KEY",
    "EXPIRED_API_KEY",
    "INSUFFICIENT_PERMISSIONS",
    "RATE_LIMITED",
    "INTERNAL_ERROR",
    "DATA_UNAVAILABLE",
    "TA_OUT_OF_RANGE",
]
"""The 11 codes of API 1.0.4, and TA_OUT_OF_RANGE (a period longer than the history) of its neighbours."""

CODES: Final[frozenset[str]] = frozenset(get_args(ErrorCode))

MAX_FOREIGN_TEXT: Final = 300


class HeyTradersError(Exception):
    """A failed call: a stable code, what was wrong with which value, and what to do.

    Args:
        message: What was wrong, with the value.
        suggestion: What to do next.
        code: A documented code, or one of our own in the same style.
        corrected: A call that would be accepted, as `tool(argument=value)`, where one is known.
    """

    default_code: ClassVar[str] = "INTERNAL_ERROR"
    next_actor: ClassVar[str] = "nobody"

    def __init__(
        self, message: str, *, suggestion: str = "", code: str | None = None, corrected: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion
        self.code = code or self.default_code
        self.corrected = corrected


class InvalidInput(HeyTradersError):
    """The model can fix it: the call was wrong and nothing happened."""

    default_code = "VALIDATION_ERROR"
    next_actor = "model"


class NotFound(InvalidInput):
    """The model can fix it: the id, symbol or data does not exist."""

    default_code = "DATA_UNAVAILABLE"


class UserMustAct(HeyTradersError):
    """Only the user can change this; the model should say so and stop."""

    next_actor = "user"


class NotAuthorised(UserMustAct):
    """The API key is missing, wrong, expired or lacks the scope."""

    default_code = "INVALID_API_KEY"


class Denied(UserMustAct):
    """A policy of the user's forbids it."""

    default_code = "DENIED"


class ApprovalNeeded(UserMustAct):
    """A human has to approve before it happens."""

    default_code = "APPROVAL_NEEDED"


class NotNow(HeyTradersError):
    """The same call may succeed later; nothing was changed."""

    next_actor = "time"


class RateLimited(NotNow):
    """Too many requests. `retry_after` is the wait in seconds, where the service said it."""

    default_code = "RATE_LIMITED"

    def __init__(
        self, message: str, *, suggestion: str = "", code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, suggestion=suggestion, code=code)
        self.retry_after = retry_after


class Unavailable(NotNow):
    """The service could not answer, and the call changed nothing."""

    default_code = "INTERNAL_ERROR"


class OutcomeUnknown(HeyTradersError):
    """The call may or may not have happened. Look at the state before doing anything again."""

    default_code = "OUTCOME_UNKNOWN"
    next_actor = "nobody knows"


BY_CODE: Final[dict[ErrorCode, type[HeyTradersError]]] = {
    "VALIDATION_ERROR": InvalidInput,
    "BACKTEST_NOT_FOUND": NotFound,
    "STRATEGY_NOT_FOUND": NotFound,
    "SUBSCRIPTION_NOT_FOUND": NotFound,
    "ORDER_NOT_FOUND": NotFound,
    "INVALID_API_KEY": NotAuthorised,
    "EXPIRED_API_KEY": NotAuthorised,
    "INSUFFICIENT_PERMISSIONS": NotAuthorised,
    "RATE_LIMITED": RateLimited,
    "INTERNAL_ERROR": Unavailable,
    "DATA_UNAVAILABLE": NotFound,
    "TA_OUT_OF_RANGE": InvalidInput,
}

_NEIGHBOURS: Final[dict[str, type[HeyTradersError]]] = {
    "FREE_QUOTA_EXCEEDED": NotAuthorised,
    "ACCOUNT_REQUIRED": NotAuthorised,
    "AGENT_REQUIRED": NotAuthorised,
    "NOT_OWNER": NotAuthorised,
    "AGENT_LIMIT_REACHED": NotAuthorised,
    "QUOTA_EXCEEDED": RateLimited,
    "REGISTRATION_LIMIT": RateLimited,
    "NO_BACKTEST": NotFound,
}
"""Codes of other versions of the API whose HTTP status does not say enough."""

HTTP_STATUS: Final[dict[ErrorCode, int]] = {
    "VALIDATION_ERROR": 400,
    "BACKTEST_NOT_FOUND": 404,
    "STRATEGY_NOT_FOUND": 404,
    "SUBSCRIPTION_NOT_FOUND": 404,
    "ORDER_NOT_FOUND": 404,
    "INVALID_API_KEY": 401,
    "EXPIRED_API_KEY": 401,
    "INSUFFICIENT_PERMISSIONS": 403,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "DATA_UNAVAILABLE": 404,
    "TA_OUT_OF_RANGE": 400,
}
"""The API document fixes no statuses; these are the embedded engine's."""


def error_for(
    code: str, message: str, *, status: int, suggestion: str = "", retry_after: float | None = None
) -> HeyTradersError:
    """The exception for a code that came over the wire; one that nobody documents is classed by its HTTP status."""
    kind = BY_CODE[code] if _is_documented(code) else _NEIGHBOURS.get(code) or _by_status(status)
    shown = code if re.fullmatch(r"[A-Z][A-Z0-9_]{1,39}", code) else None
    if kind is RateLimited:
        return RateLimited(message, suggestion=suggestion, code=shown, retry_after=retry_after)
    return kind(message, suggestion=suggestion, code=shown)


def _is_documented(code: str) -> TypeGuard[ErrorCode]:
    return code in CODES


def _by_status(status: int) -> type[HeyTradersError]:
    if status in {401, 403}:
        return NotAuthorised
    if status == 404:
        return NotFound
    if status == 429:
        return RateLimited
    return InvalidInput if 400 <= status < 500 and status != 408 else Unavailable


def clean(text: str, limit: int = MAX_FOREIGN_TEXT) -> str:
    """Make foreign text safe to show: one line, no control, bidi or zero-width characters, bounded."""
    visible = "".join(" " if c in "\n\r\t" else c for c in text if c in "\n\r\t" or unicodedata.category(c)[0] != "C")
    squeezed = " ".join(visible.split())
    return squeezed if len(squeezed) <= limit else squeezed[: limit - 1] + "…"


def clean_lines(text: str, limit: int) -> str:
    """The same for text of our own: its lines and columns stay, since carets point into them."""
    visible = "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def explain(error: HeyTradersError) -> str:
    """The text a model reads: code, what was wrong with which value, what to do next, a corrected call.

    One line, unless the message has several.
    """
    parts = [f"{error.code}: {ended(error.message)}"]
    if error.suggestion:
        parts.append(ended(error.suggestion))
    if isinstance(error, RateLimited) and error.retry_after is not None:
        parts.append(f"Wait {error.retry_after:g} s.")
    if isinstance(error, OutcomeUnknown):
        parts.append("It may have happened: look first.")
    if error.corrected:
        parts.append(f"Try: {error.corrected}")
    return ("\n" if "\n" in error.message else " ").join(parts)


def ended(text: str) -> str:
    """A sentence with a mark at its end. `Did you mean rsi?` has one already, and a line of carets wants none."""
    text = text.rstrip()
    return text if text.endswith((".", "?", "!", "^")) else f"{text}."
