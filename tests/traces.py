"""The spellings of a secret, and a search for its remains in a text. Independent of the code that hides it."""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
import urllib.parse
from collections.abc import Callable
from typing import Final

WAYS: Final[dict[str, Callable[[str], str]]] = {
    "raw": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "hex": lambda s: s.encode().hex(),
    "hex in capitals": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 behind one byte": lambda s: base64.b64encode(f"u{s}".encode()).decode(),
    "base64 behind two bytes": lambda s: base64.b64encode(f"u:{s}".encode()).decode(),
    "base64 within more": lambda s: base64.b64encode(f'{{"key":"{s}"}}'.encode()).decode(),
    "URL": lambda s: urllib.parse.quote(s, safe=""),
    "URL, every byte": lambda s: "".join(f"%{b:02X}" for b in s.encode()),
    "JSON": json.dumps,
    "JSON, escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "a header": lambda s: f"X-API-Key: {s}\r\nAccept: */*",
    "a bearer header": lambda s: f"Authorization: Bearer {s}",
    "a URL's query": lambda s: f"https://x.example/?api_key={urllib.parse.quote(s)}&a=1",
    "a repr": repr,
}


def traces(text: str, secret: str) -> list[str]:
    """The remains of a secret in a text: any eight consecutive bytes of it, in any spelling."""
    plain = [text.lower(), urllib.parse.unquote(text).lower(), _unescaped(text).lower()]
    decoded = [_from_hex(text), *(_from_base64(text, skip) for skip in range(4))]
    parts = [secret[i : i + 8].lower() for i in range(len(secret) - 7)]
    return [part for part in parts if any(part in where for where in (*plain, *(d.lower() for d in decoded)))]


def _unescaped(text: str) -> str:
    """The text with escapes such as `\\u0041` and `\\x41` replaced by their letters, however often the backslash was
    escaped.
    """
    return re.sub(r"\\+(?:u00|x)([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)


def _from_hex(text: str) -> str:
    digits = "".join(c if c in string.hexdigits else " " for c in text).split()
    return " ".join(binascii.unhexlify(d[: len(d) // 2 * 2]).decode(errors="replace") for d in digits)


def _from_base64(text: str, skip: int) -> str:
    alphabet = string.ascii_letters + string.digits + "+/"
    runs = "".join(c if c in alphabet else " " for c in text.translate(str.maketrans("-_", "+/"))).split()
    cut = [run[skip:] for run in runs]
    return " ".join(base64.b64decode(run[: len(run) // 4 * 4]).decode(errors="replace") for run in cut)
