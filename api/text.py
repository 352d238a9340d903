"""How values and words are shown and compared in messages to a model."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, cast

from .errors import clean

MAX_SHOWN_VALUE: Final = 60

NEVER_SHOWN: Final = "secret"
"""The argument, wherever it stands, whose value no message repeats."""


_MAY_STAY: Final = "\n\t\u200d\ufe0e\ufe0f"
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
"""Letters without a shape, and the variation selectors: what can spell words that only a model reads."""


def is_hidden(character: str) -> bool:
    """Whether a character shows nothing or reorders others. Line feed, tab and what makes emoji may stay."""
    if character in _MAY_STAY:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or _BLANK.match(character) is not None


def fold(text: str) -> str:
    """What is left of a word once capitals, spaces, dots, dashes and underscores are dropped."""
    return re.sub(r"[\s._-]+", "", text.casefold())


def closest(word: str, choices: Iterable[str], *, count: int = 3) -> list[str]:
    """The choices that `word` was probably meant to be, best first; capitals do not matter."""
    by_folded = {c.casefold(): c for c in choices}
    near = difflib.get_close_matches(word[:100].casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[n] for n in near]


def show(value: object, limit: int = MAX_SHOWN_VALUE) -> str:
    """A value as it can stand in a message: one line of JSON, bounded, without control characters."""
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
    """Whether a call carries a secret: as an argument, or in one that is an object or the JSON text of one."""
    objects = [cast("Mapping[object, object]", v) for v in call.values() if isinstance(v, Mapping)]
    texts = [v for v in call.values() if isinstance(v, str)]
    return NEVER_SHOWN in call or any(NEVER_SHOWN in o for o in objects) or any(f'"{NEVER_SHOWN}"' in t for t in texts)
