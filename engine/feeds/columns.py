"""Which column of a file is what, by the names that exchanges and data vendors use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.errors import InvalidInput
from api.symbols import Instrument
from engine.frame import Times
from engine.store.candles import Block

FIELD_NAMES: Final = ("time", "open", "high", "low", "close", "volume")

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": ("unix", "timestamp", "unixtimestamp", "opentime", "time", "datetime", "date", "epoch", "ts", "start", "t"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "basevolume", "volumebase", "vol", "v"),
}
"""Names in lower case without punctuation, the preferred first. Adjusted closes and quote volumes are not taken."""

_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Rows:
    """A file's rows in the file's order: a (6, n) block, and the line of the file (or row of the table) of each."""

    block: Block
    line: Times
    place: str
    """What `line` counts: `line` for text, `row` for tables."""


def recognise(header: Sequence[str], instrument: Instrument, where: str) -> tuple[int, ...]:
    """Positions of time, open, high, low, close and volume in `header`.

    Raises:
        InvalidInput: A column is missing or named twice; the message lists what was found.
    """
    plain = [_PUNCTUATION.sub("", name.lower()) for name in header]
    base = _PUNCTUATION.sub("", instrument.base.lower())
    names = {**_NAMES, "volume": (f"volume{base}", f"{base}volume", *_NAMES["volume"])}
    chosen = {field: _position(field, plain, names[field], where) for field in FIELD_NAMES}
    missing = [field for field, position in chosen.items() if position is None]
    if missing:
        raise InvalidInput(
            f"{where}: no column for {', '.join(missing)} among {', '.join(map(repr, header)) or 'nothing'}",
            suggestion="The first line names the columns: time,open,high,low,close,volume in any order",
        )
    return tuple(position for position in chosen.values() if position is not None)


def _position(field: str, plain: Sequence[str], names: Sequence[str], where: str) -> int | None:
    for name in names:
        found = [i for i, column in enumerate(plain) if column == name]
        if len(found) > 1:
            raise InvalidInput(
                f"{where}: columns {found[0] + 1} and {found[1] + 1} are both named {name!r}: which is the {field}?",
                suggestion="Rename or remove one of them",
            )
        if found:
            return found[0]
    return None
