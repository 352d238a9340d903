"""No secret leaves: not in a result, an error, the log, the journal or a line of the terminal.

A process has one set of secrets, and every exit asks this module. What it knows is found raw, in base64, hexadecimal
and URL encoding, in any capitals; what it does not know is still found where it has the shape of a key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final, cast

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8
"""Characters of the shortest secret that is looked for: shorter ones would take ordinary words along."""

_KEY_SHAPES: Final = re.compile(
    r"\bht_(?:live|prov|test|local|trade|read|api)_(?=[a-z_-]*[0-9])[a-z0-9_-]{10,}"
    r"|(?<=bearer )[a-z0-9._~+/-]{16,}=*"
    r"|(?<=x-api-key: )[\x21-\x7e]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    re.IGNORECASE,
)
_HINTS: Final = ("ht_", "bearer ", "x-api-key", "private key")
"""One of these stands in every text with a key's shape; looking for them first makes large results cheap."""


class Redactor:
    """Finds the secrets that it was told of."""

    def __init__(self) -> None:
        self._forms: frozenset[str] = frozenset()
        self._spellings: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None

    def know(self, secret: str) -> None:
        """Look for this secret from now on. One that is too short to be told from a word is passed over."""
        if len(secret) < SHORTEST or secret.lower() in self._forms:
            return
        self._forms |= frozenset(form.lower() for form in _forms(secret))
        self._spellings = (*self._spellings, "".join(map(_spelled, secret)))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join((*self._spellings, *map(re.escape, longest_first))), re.IGNORECASE)

    def text(self, text: str) -> str:
        """The text with every secret as `[redacted]`, known or of the shape of a key."""
        text, lowered = self.known(text), text.lower()
        return _KEY_SHAPES.sub(REDACTED, text) if any(hint in lowered for hint in _HINTS) else text

    def known(self, text: str) -> str:
        """The text with every known secret as `[redacted]`."""
        return self._pattern.sub(REDACTED, text) if self._pattern is not None and self._may_hold(text) else text

    def _may_hold(self, text: str) -> bool:
        """A quick look, for large results: escapes, or a secret as it is."""
        lowered = text.lower()
        return "%" in lowered or "\\" in lowered or any(form in lowered for form in self._forms)

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
    """Let no exit of this process show this secret."""
    _PROCESS.know(secret)


def redacted(text: str) -> str:
    """The text as it may leave this process."""
    return _PROCESS.text(text)


def redacted_value(value: object) -> object:
    """JSON as it may leave this process."""
    return _PROCESS.value(value)


def _forms(secret: str) -> set[str]:
    """The secret as it is, and encoded as a whole."""
    raw = secret.encode()
    return {secret, raw.hex(), *_base64_forms(raw)}


def _spelled(character: str) -> str:
    """One character as a pattern: as it is, quoted any number of times, URL-encoded, or as an escape of JSON."""
    plain = r"\\+" if character == "\\" else rf"\\*{re.escape(character)}"
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    return rf"(?:{plain}|{percent}|\\+u{ord(character):04x}|\\+x{ord(character):02x})"


def _base64_forms(raw: bytes) -> set[str]:
    """What base64 makes of the bytes wherever they stand in a longer text, as in `user:key`, in both alphabets.

    Three bytes become four characters, so there are three ways to begin; the characters at both ends also depend on the
    neighbours and are left out.
    """
    forms: set[str] = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first = -(-8 * before // 6)
        last = (8 * (before + len(raw))) // 6
        forms |= {encoded[first:last], encoded[first:last].replace("+", "-").replace("/", "_")}
    return forms
