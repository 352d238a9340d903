"""Every way a call can fail, classed by who must act next.

HeyTradersError
├── InvalidInput            the model: change the call
│   └── NotFound            the model: use an id or symbol that exists
├── UserMustAct             the user
│   ├── NotAuthorised       key missing, wrong, expired or without the scope
│   └── Denied              a policy forbids it
├── NotNow                  only time
│   ├── RateLimited         wait `retry_after` seconds
│   └── Unavailable         the service failed; nothing was changed
└── OutcomeUnknown          not known: look before doing it again

`BY_CODE` maps the documented codes to these classes. Only `error_for` turns a code into an exception, and only
`explain` turns an exception into the text that a model reads. `show`, `closest` and `respelling` show and compare
values and words in such a text.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Literal, TypeGuard, cast, get_args

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

    def __init__(
        self, message: str, *, suggestion: str = "", code: str | None = None, corrected: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion
        self.code = code or self.default_code
        self.corrected = corrected

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle every subclass, whatever its constructor takes: an error of a worker process must reach its caller."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[HeyTradersError], args: tuple[Any, ...], state: dict[str, Any]) -> HeyTradersError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InvalidInput(HeyTradersError):
    """The model can fix it: the call was wrong and nothing happened."""

    default_code = "VALIDATION_ERROR"


class NotFound(InvalidInput):
    """The model can fix it: the id, symbol or data does not exist."""

    default_code = "DATA_UNAVAILABLE"


class UserMustAct(HeyTradersError):
    """Only the user can change this; the model should say so and stop."""


class NotAuthorised(UserMustAct):
    """The API key is missing, wrong, expired or lacks the scope."""

    default_code = "INVALID_API_KEY"


class Denied(UserMustAct):
    """The user's policy forbids it."""

    default_code = "DENIED"


class NotNow(HeyTradersError):
    """The same call may succeed later; nothing was changed."""


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
"""Codes of other API versions, for which the HTTP status does not say enough."""

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
"""The API document defines no statuses; these are the embedded engine's."""


def error_for(
    code: str, message: str, *, status: int, suggestion: str = "", retry_after: float | None = None
) -> HeyTradersError:
    """The exception for a code received over the wire; an undocumented code is classed by its HTTP status."""
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
    visible = text
    if not text.isprintable():
        shown = (c for c in text if c in "\n\r\t" or unicodedata.category(c)[0] != "C")
        visible = "".join(" " if c in "\n\r\t" else c for c in shown)
    squeezed = " ".join(visible.split())
    return squeezed if len(squeezed) <= limit else squeezed[: limit - 1] + "…"


def clean_lines(text: str, limit: int) -> str:
    """The same for our own text: its lines and columns stay, since carets point into them."""
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
    """A sentence with a final mark. `Did you mean rsi?` has one already, and a line of carets needs none."""
    text = text.rstrip()
    return text if text.endswith((".", "?", "!", "^")) else f"{text}."


MAX_SHOWN_VALUE: Final = 60

NEVER_SHOWN: Final = "secret"
"""The argument whose value no message repeats, wherever it appears."""


_MAY_STAY: Final = "\n\t\u200d\ufe0e\ufe0f"
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible letters and variation selectors: they can spell words that only a model reads."""


def is_hidden(character: str) -> bool:
    """Whether a character is invisible or reorders others. Line feeds, tabs and the parts of emoji may stay."""
    if character in _MAY_STAY:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or _BLANK.match(character) is not None


def fold(text: str) -> str:
    """A word without capitals, spaces, dots, dashes and underscores."""
    return re.sub(r"[\s._-]+", "", text.casefold())


def closest(word: str, choices: Iterable[str], *, count: int = 3) -> list[str]:
    """The choices most like `word`, best first: candidates to show, never a replacement."""
    by_folded = {c.casefold(): c for c in choices}
    near = difflib.get_close_matches(word[:100].casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[n] for n in near]


_TYPO_ONE: Final = 3
_TYPO_TWO: Final = 8
"""Minimum length of a word for one, or two, wrong letters to leave no doubt."""

_GENERAL: Final = frozenset({"id", "ids", "name", "date", "type", "list", "kind", "value", "the", "my"})
"""Words that may be dropped from a name, or added to it, without changing its meaning."""

_WORDS_OF_THEIR_OWN: Final = frozenset(
    """ask base best bid buy close cost day days entry exit fast fee first free from hedge high hold last level limit
    long low mark market max mean min mode net note open own pay post price quote rate same sell short side size slow
    start step stop subscribe tag take test tick time to top trade trail unsubscribe value""".split()  # noqa: SIM905
)
"""Never taken for a typing error: `size` does not mean `side`."""


def respelling(word: str, choices: Iterable[str]) -> str | None:
    """The one choice that `word` spells in another way, or `None`.

    Capitals, separators, general words such as `id` and typing errors do not matter. Every other word counts:
    `quote_amount` is not `amount`, and `stop_price` is not `price`. So a repair that uses the answer keeps the meaning.
    """
    known = list(choices)
    folded, written = fold(word[:100]), _words(word[:100])
    hits = [c for c in known if fold(c) == folded] or [c for c in known if _means(written, _words(c))]
    if len(hits) > 1:
        hits = [c for c in hits if len(_words(c)) == len(written)]
    return hits[0] if len(hits) == 1 else None


def _words(name: str) -> list[str]:
    return [part for part in re.split(r"[\s._-]+", name.casefold()) if part]


def _means(written: list[str], choice: list[str]) -> bool:
    if len(written) != len(choice):
        written, choice = ([w for w in words if w not in _GENERAL] or words for words in (written, choice))
    return len(written) == len(choice) and all(map(_is_typo, written, choice))


def _is_typo(written: str, meant: str) -> bool:
    """Whether two words are equal except for a typing error: one letter, or two in a long word."""
    if written == meant:
        return True
    if written in _WORDS_OF_THEIR_OWN or min(len(written), len(meant)) < _TYPO_ONE:
        return False
    allowed = 1 if max(len(written), len(meant)) < _TYPO_TWO else 2
    return abs(len(written) - len(meant)) <= allowed and _edits(written, meant) <= allowed


def _edits(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour (optimal string alignment distance)."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]


def show(value: object, limit: int = MAX_SHOWN_VALUE) -> str:
    """A value in a form for messages: one line of JSON, bounded, without control characters."""
    if isinstance(value, str):
        return json.dumps(clean(value[: limit * 2], limit), ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 77 digits"
    if isinstance(value, dict | list | tuple):
        return _show_container(cast("dict[object, object] | list[object] | tuple[object, ...]", value), limit)
    return clean(str(value)[: limit * 2], limit)


def _show_container(value: dict[object, object] | list[object] | tuple[object, ...], limit: int) -> str:
    """A list or an object, cut after its first items so that a huge one costs nothing."""
    if isinstance(value, dict):
        inner = ", ".join(f"{show(k, 30)}: {_hidden(k, v)}" for k, v in list(value.items())[:4])
        body = f"{{{inner}{', …' if len(value) > 4 else ''}}}"
    else:
        inner = ", ".join(show(v, 30) for v in value[:4])
        body = f"[{inner}{', …' if len(value) > 4 else ''}]"
    return clean(body, limit * 2)


def _hidden(key: object, value: object) -> str:
    return "…" if key == NEVER_SHOWN else show(value, 30)


def holds_secret(call: Mapping[str, object]) -> bool:
    """Whether a call carries a secret: as an argument, or inside an object or its JSON text."""
    objects = [cast("Mapping[object, object]", v) for v in call.values() if isinstance(v, Mapping)]
    texts = [v for v in call.values() if isinstance(v, str)]
    return NEVER_SHOWN in call or any(NEVER_SHOWN in o for o in objects) or any(f'"{NEVER_SHOWN}"' in t for t in texts)


NO_EFFECT: Final = "VALIDATION_ERROR"
"""The code of a failure that changed nothing. It is the code of a refusal: with `INTERNAL_ERROR`, the caller would have
to assume that the order or the job may exist."""


@contextmanager
def before_any_effect(said: str) -> Generator[None]:
    """Give a temporary failure the code `NO_EFFECT`, because nothing has been changed yet.

    Args:
        said: What did not happen, such as "the order was not sent".

    Raises:
        Unavailable: The block failed with an error that may pass.
    """
    try:
        yield
    except NotNow as error:
        message = f"{error.message}; {said}"
        raise Unavailable(message, suggestion=error.suggestion, code=NO_EFFECT) from error
