"""Filters all outgoing text: redacts secrets, and cleans, shortens and marks text that others wrote.

A process has one set of secrets, and all output passes this module. It finds known secrets in plain text, base64,
hexadecimal and URL encoding, in upper or lower case. It finds unknown secrets if they look like a key.

Names of tokens and strategies, posts, analyses and messages of the hosted service are data; no decision here depends on
them. No server can stop a model from believing them, so every result with such text says which fields hold it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from inspect import get_annotations
from typing import Final, cast

from pydantic import BaseModel

from api.errors import is_hidden

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8
"""Minimum length of a secret that is searched for: a shorter one would also match ordinary words."""

_KEY_SHAPES: Final = re.compile(
    r"\bht_(?:live|prov|test|local|trade|read|api)_(?=[a-z_-]*[0-9])[a-z0-9_-]{10,}"
    r"|(?<=bearer )[a-z0-9._~+/-]{16,}=*"
    r"|(?<=x-api-key: )[\x21-\x7e]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    re.IGNORECASE,
)
_HINTS: Final = ("ht_", "bearer ", "x-api-key", "private key")
"""Any text that looks like a key contains one of these. Checking for them first keeps large results cheap."""


class _Secret:
    """One secret in every encoding that is searched for."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._forms = frozenset(form.lower() for form in _forms(secret))

    def hidden_in(self, text: str) -> str:
        """The text with `[redacted]` in place of this secret."""
        lowered = text.lower()
        escaped = "%" in lowered or "\\" in lowered
        if any(form in lowered for form in self._forms) or (escaped and self._start.search(text)):
            return self._whole.sub(REDACTED, text)
        return text

    @cached_property
    def _start(self) -> re.Pattern[str]:
        """The first characters of the secret. This pattern compiles several times as fast as the whole one."""
        return re.compile("".join(map(_spelled, self._secret[:SHORTEST])), re.IGNORECASE)

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        encoded = map(re.escape, sorted(self._forms, key=len, reverse=True))
        return re.compile("|".join(("".join(map(_spelled, self._secret)), *encoded)), re.IGNORECASE)


class Redactor:
    """Finds the secrets that were registered with `know`."""

    def __init__(self) -> None:
        self._secrets: tuple[tuple[str, _Secret], ...] = ()

    def know(self, secret: str) -> None:
        """Redact this secret from now on. Secrets too short to tell from a word are ignored."""
        if len(secret) < SHORTEST or any(secret == known for known, _ in self._secrets):
            return
        # Longest first, so that a secret that contains another one is replaced as a whole.
        both = (*self._secrets, (secret, _Secret(secret)))
        self._secrets = tuple(sorted(both, key=lambda each: len(each[0]), reverse=True))

    def text(self, text: str) -> str:
        """The text with `[redacted]` in place of every known secret and of anything that looks like a key."""
        text, lowered = self.known(text), text.lower()
        return _KEY_SHAPES.sub(REDACTED, text) if any(hint in lowered for hint in _HINTS) else text

    def known(self, text: str) -> str:
        """The text with `[redacted]` in place of every known secret."""
        for _, secret in self._secrets:
            text = secret.hidden_in(text)
        return text

    def value(self, value: object) -> object:
        """The same for JSON: every string in it, names of fields included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in cast("Iterable[object]", value)]
        if isinstance(value, dict):
            items = cast("dict[object, object]", value).items()
            return {self.text(name) if isinstance(name, str) else name: self.value(inner) for name, inner in items}
        return value


_PROCESS: Final = Redactor()


def know(secret: str) -> None:
    """Redact this secret from all output of this process."""
    _PROCESS.know(secret)


def holds_known_secret(text: str) -> bool:
    """Whether the text holds a secret of this process, in any encoding that is searched for."""
    return _PROCESS.known(text) != text


def redacted(text: str) -> str:
    """The text as it may leave this process."""
    return _PROCESS.text(text)


def redacted_value(value: object) -> object:
    """JSON as it may leave this process."""
    return _PROCESS.value(value)


def _forms(secret: str) -> set[str]:
    """The secret in plain text, and encoded as a whole."""
    raw = secret.encode()
    return {secret, raw.hex(), *_base64_forms(raw)}


def _spelled(character: str) -> str:
    """A pattern for one character: plain, quoted any number of times, URL-encoded, or as a JSON escape."""
    plain = r"\\+" if character == "\\" else rf"\\*{re.escape(character)}"
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    return rf"(?:{plain}|{percent}|\\+u{ord(character):04x}|\\+x{ord(character):02x})"


def _base64_forms(raw: bytes) -> set[str]:
    """The base64 forms of the bytes at any offset in a longer text, such as `user:key`, in both alphabets.

    Three bytes become four characters, so there are three possible offsets. The characters at both ends also depend on
    the neighbouring bytes and are left out.
    """
    forms: set[str] = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first = -(-8 * before // 6)
        last = (8 * (before + len(raw))) // 6
        forms |= {encoded[first:last], encoded[first:last].replace("+", "-").replace("/", "_")}
    return forms


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
"""Ids, symbols, times and words from a fixed set: they cannot carry a message."""

_OURS: Final = "safety"
"""Package whose models add our fields to the service's responses."""


def cleaned(text: str, limit: int = LONGEST) -> str:
    """The text without terminal sequences, control, bidi, zero-width and tag characters, at most `limit` long.

    Line feeds, tabs and joiners between emoji are kept.
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
    """The fields of a hosted result that hold text a stranger may have written, such as `posts[].title`.

    Counts every text except ids, symbols, times, single words and the fields that the safety layer adds.
    """
    return sorted(set(_fields(response)))


def foreign_texts(value: Mapping[str, object]) -> list[str]:
    """The same for JSON without fields of ours."""
    return sorted({found for name, inner in value.items() for found in _within(inner, _step(name), ours=False)})


def _fields(response: BaseModel) -> Iterator[str]:
    ours = _own_fields(type(response))
    extra = (response.model_extra or {}).items()
    for name, value in (*((name, getattr(response, name)) for name in type(response).model_fields), *extra):
        yield from _within(value, _step(name), ours=name in ours)


@cache
def _own_fields(model: type[BaseModel]) -> frozenset[str]:
    """Fields that the safety layer's classes declare. Fields in the service's own models never count as ours."""
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
    """A key of an open object, made safe for a path; a key may itself be foreign text."""
    return name if _PLAIN.fullmatch(name) else "*"
