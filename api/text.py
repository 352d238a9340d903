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
    """The choices that look most like `word`, best first: candidates to show, never to put in its place."""
    by_folded = {c.casefold(): c for c in choices}
    near = difflib.get_close_matches(word[:100].casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[n] for n in near]


_TYPO_ONE: Final = 3
_TYPO_TWO: Final = 8
"""Letters that a word needs before one, or two, wrong letters still leave no doubt about it."""

_GENERAL: Final = frozenset({"id", "ids", "name", "date", "type", "list", "kind", "value", "the", "my"})
"""Words that may be left out of a name, or added to it, without changing what it names."""

_WORDS_OF_THEIR_OWN: Final = frozenset(
    """ask base best bid buy close cost day days entry exit fast fee first free from hedge high hold last level limit
    long low mark market max mean min mode net note open own pay post price quote rate same sell short side size slow
    start step stop subscribe tag take test tick time to top trade trail unsubscribe value""".split()  # noqa: SIM905
)
"""Never taken for a typing error: `size` does not mean `side`."""


def respelling(word: str, choices: Iterable[str]) -> str | None:
    """The one choice that `word` spells in another way, or `None`.

    Capitals, separators, general words such as `id` and typing errors do not matter. Every other word counts:
    `quote_amount` is not `amount`, and `stop_price` is not `price`. So a repair made from the answer keeps the meaning.
    """
    known = list(choices)
    same = [c for c in known if fold(c) == fold(word[:100])]
    hits = same or [c for c in known if _means(_words(word[:100]), _words(c))]
    if len(hits) > 1:
        hits = [c for c in hits if len(_words(c)) == len(_words(word[:100]))]
    return hits[0] if len(hits) == 1 else None


def _words(name: str) -> list[str]:
    return [part for part in re.split(r"[\s._-]+", name.casefold()) if part]


def _means(written: list[str], choice: list[str]) -> bool:
    if len(written) != len(choice):
        written, choice = ([w for w in words if w not in _GENERAL] or words for words in (written, choice))
    return len(written) == len(choice) and all(map(_is_typo, written, choice))


def _is_typo(written: str, meant: str) -> bool:
    """Whether two words are equal but for a typing error: one letter, or two in a long word."""
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
