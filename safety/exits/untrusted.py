"""Text that others wrote, on its way to a model: cleaned of what hides in it, cut to length, and named as such.

Names of tokens and strategies, posts, analyses and messages of the hosted service are data. They decide nothing here;
that a model may believe them, no server can prevent, so every result that carries such text says where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import get_annotations
from typing import Final, cast

from pydantic import BaseModel

from api.errors import is_hidden

MARK: Final = "foreign_text"
"""Field of a result that names the fields with foreign text."""

LONGEST: Final = 4_000
LONGEST_DOCUMENT: Final = 200_000
DOCUMENTS: Final = frozenset({"content", "script"})
"""Fields that hold whole documents and scripts."""

_JOINERS: Final = "\u200d\ufe0e\ufe0f"
_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]")
_EMOJI: Final = re.compile(r"[\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff#*0-9]")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+%@-]{0,80}")
"""Ids, symbols, times and words out of a fixed set: they can say nothing to a reader."""

_OURS: Final = "safety"
"""Package whose models add fields of our own to what the service answers."""


def cleaned(text: str, limit: int = LONGEST) -> str:
    """The text without terminal sequences, control, bidi, zero-width and tag characters, at most `limit` long.

    Line feeds and tabs stay, and what joins emoji where it joins any.
    """
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[: limit - 1] + "…"
    kept: list[str] = []
    for character in _ANSI.sub("", text[: limit * 4]):
        if is_hidden(character) or (character in _JOINERS and not _joins(kept)):
            continue
        kept.append(character)
    visible = "".join(kept)
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def _joins(kept: list[str]) -> bool:
    """Whether a joiner may stand here: once after an emoji, or a zero-width joiner after its variation selector."""
    if not kept:
        return False
    return _EMOJI.match(kept[-1]) is not None or (kept[-1] == "\ufe0f" and len(kept) > 1 and kept[-2] not in _JOINERS)


def cleaned_value(value: object, name: str = "") -> object:
    """The same for JSON: every string in it, names of fields included."""
    if isinstance(value, str):
        return cleaned(value, LONGEST_DOCUMENT if name in DOCUMENTS else LONGEST)
    if isinstance(value, list | tuple):
        return [cleaned_value(item, name) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {cleaned(inner_name, 100): cleaned_value(inner, inner_name) for inner_name, inner in items}
    return value


def foreign_fields(response: BaseModel) -> list[str]:
    """Where a result of the hosted service holds text that a stranger may have written, such as `posts[].title`.

    Every text counts that is more than an id, a symbol, a time or a word, except in fields that the safety layer adds.
    """
    return sorted(set(_fields(response)))


def foreign_texts(value: Mapping[str, object]) -> list[str]:
    """The same for JSON in which nothing is ours."""
    return sorted({found for name, inner in value.items() for found in _within(inner, _step(name), ours=False)})


def _fields(response: BaseModel) -> Iterator[str]:
    ours = _own_fields(type(response))
    extra = (response.model_extra or {}).items()
    for name, value in (*((name, getattr(response, name)) for name in type(response).model_fields), *extra):
        yield from _within(value, _step(name), ours=name in ours)


@cache
def _own_fields(model: type[BaseModel]) -> frozenset[str]:
    """Fields that classes of the safety layer declare themselves. What the service says in a model of its own does not
    count as ours, wherever it stands.
    """
    own = [kind for kind in model.__mro__ if kind.__module__.split(".")[0] == _OURS]
    return frozenset(name for kind in own for name in get_annotations(kind))


def _within(value: object, path: str, *, ours: bool) -> Iterator[str]:
    if isinstance(value, str):
        if not ours and _PLAIN.fullmatch(value) is None:
            yield path
    elif isinstance(value, BaseModel):
        yield from (f"{path}.{inner}" for inner in _fields(value))
    elif isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, object]", value).items():
            yield from _within(inner, f"{path}.{_step(name)}", ours=ours)
    elif isinstance(value, list | tuple):
        for inner in cast("list[object]", value):
            yield from _within(inner, f"{path}[]", ours=ours)


def _step(name: str) -> str:
    """A key of an open object as it may stand in a path; a key may itself be text."""
    return name if _PLAIN.fullmatch(name) else "*"
