"""Detects the layout of a table: the meaning of each column.

It uses the names in a header or, without one, the number of columns and their contents. A volume that may be in money,
or a column order that fits in two ways, is refused, not guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.errors import InvalidInput
from api.times import Timeframe

from .cells import Decimal, is_clock, is_date, is_number, is_time

FIELD_NAMES: Final = ("time", "open", "high", "low", "close", "volume")


MONEY_CURE: Final = "Say which column counts coins with --columns volume=NAME, or leave it out with --columns volume=-"

_NO_COLUMN: Final = "-"


_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        *("unix", "unixtimestamp", "opentime", "timeopen", "candledatetimeutc", "timestamp", "time", "datetime"),
        *(
            "datetimeutc",
            "timeutc",
            "gmttime",
            "localtime",
            "dateutc",
            "date",
            "epoch",
            "ts",
            "start",
            "starttime",
            "startat",
            "t",
            "mts",
            *("datum", "zeit", "fecha", "heure", "data", "tijd"),
        ),
    ),
    "open": (
        *("open", "openprice", "openingprice", "o"),
        *("eroffnung", "eroffnungskurs", "erster", "apertura", "ouverture", "ouv", "abertura"),
    ),
    "high": (
        *("high", "highprice", "max", "h", "hoch", "hochstkurs", "maximo", "haut", "plushaut", "massimo", "maxima"),
    ),
    "low": ("low", "lowprice", "min", "l", "tief", "tiefstkurs", "minimo", "bas", "plusbas", "minima"),
    "close": (
        *("close", "closeprice", "last", "tradeprice", "price", "c"),
        *("schluss", "schlusskurs", "zuletzt", "cierre", "cloture", "chiusura", "ultimo", "dernier", "fechamento"),
    ),
    "volume": (
        *("volume", "basevolume", "volumebase", "vol", "v", "volumefrom", "candleacctradevolume", "tickvol"),
        *("tickvolume", "volumen", "stuck", "volumes"),
    ),
}
"""Names in lower case without punctuation, in order of preference. Adjusted closes and quote volumes are not used."""


_INDEX_NAMES: Final = frozenset({"", "unnamed0", "index", "level0"})


_SYMBOL_NAMES: Final = frozenset({"symbol", "ticker", "pair", "market"})


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The user's options for reading a table; a value of None is detected.

    `columns` maps fields to header names or column numbers from 1, `-` to leave one out: `time=Date,volume=-`; or it
    names all columns in order: `time,low,high,open,close,volume`. `timezone` applies to times without one.
    """

    columns: str | None = None
    timezone: str | None = None
    decimal: Decimal | None = None
    timeframe: Timeframe | None = None
    base: str | None = None


@dataclass(slots=True)
class TextRows:
    """Rows of text cells. `batches` gives rows with their line numbers, and the raw lines if they are plain."""

    name: str
    place: str
    header: list[str] | None
    sample: list[list[str]]
    batches: Iterable[tuple[list[list[str]], list[int], list[str] | None]]
    delimiter: str = ""
    header_line: int = 1
    symbol: str | None = None

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.header) if self.header is not None else len(self.sample[0])


@dataclass(slots=True)
class FieldLayout:
    """Positions of the fields; `clock` of a time of day beside the date, `ticks` of a second volume, `symbol`."""

    name: str
    positions: dict[str, int]
    clock: int | None = None
    ticks: int | None = None
    symbol: int | None = None
    notes: list[str] = field(default_factory=list[str])

    def told(self, header: Sequence[str] | None) -> str:
        """The meaning of each column, for the user."""
        shown = {**self.positions, **({} if self.clock is None else {"time of day": self.clock})}
        return ", ".join(f"{f}={header[at] or 'index' if header else at + 1}" for f, at in shown.items())


def plain_name(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.strip().lower())
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\d+\.\s*", "", folded))


def recognised(grid: TextRows, options: ReadOptions) -> FieldLayout:
    if grid.header is None:
        layout = _without_header(grid, options)
    else:
        layout = _with_header(grid.header, grid.sample[0], grid.name, grid.header_line, options)
    missing = [name for name in FIELD_NAMES[:-1] if name not in layout.positions]
    if missing:
        names = ", ".join(map(repr, grid.header)) if grid.header else f"{grid.width} columns without names"
        where = f"{grid.name}, line {grid.header_line}" if grid.place == "line" else grid.name
        raise InvalidInput(
            f"{where}: no column for {', '.join(missing)} among {names}",
            suggestion="Name the columns time,open,high,low,close,volume, or say which is which with --columns",
        )
    if "volume" not in layout.positions:
        layout.notes.append("There is no volume: it is 0 on every bar, so volume indicators have nothing to read.")
    return layout


def _with_header(
    header: Sequence[str], first: Sequence[str], name: str, line: int, options: ReadOptions
) -> FieldLayout:
    plain = ["" if _is_capital_twin(cell, header) else plain_name(cell) for cell in header]
    mapped = _mapped(options.columns, header, name)
    base = plain_name(options.base or "")
    names = {**_NAMES, "volume": ((f"volume{base}", f"{base}volume") if base else ()) + _NAMES["volume"]}
    where = f"{name}, line {line}"
    positions = {f: mapped[f] for f in mapped if f in FIELD_NAMES and mapped[f] >= 0}
    for each in FIELD_NAMES:
        if each not in mapped and (at := _position(each, plain, names[each], where)) is not None:
            positions[each] = at
    is_metatrader = any(cell.strip().startswith("<") for cell in header)
    layout = FieldLayout("MetaTrader export" if is_metatrader else "table with named columns", positions)
    _find_time(layout, plain, first)
    layout.symbol = next((i for i, cell in enumerate(plain) if cell in _SYMBOL_NAMES), None)
    ticks = next((i for i, cell in enumerate(plain) if cell in {"tickvol", "tickvolume"}), None)
    layout.ticks = ticks if ticks != layout.positions.get("volume") else None
    if "volume" not in mapped and layout.positions.keys() >= {*FIELD_NAMES} - {"volume"}:
        _doubt_volume(layout, header, plain, name)
    return layout


def _is_capital_twin(cell: str, header: Sequence[str]) -> bool:
    """Whether it is `T` beside `t`, as exchanges write it: the time, the low and the volume are the small letters."""
    return len(cell) == 1 and cell.isupper() and cell.lower() in header


def _find_time(layout: FieldLayout, plain: Sequence[str], first: Sequence[str]) -> None:
    """An unnamed index is the time, if it holds times; a date and a time of day together make one time."""
    at = layout.positions.get("time")
    if at is None and plain[0] in _INDEX_NAMES and first and is_time(first[0]):
        layout.positions["time"] = 0
    if "date" in plain and "time" in plain:
        date, clock = plain.index("date"), plain.index("time")
        if max(date, clock) < len(first) and is_date(first[date]) and is_clock(first[clock]) and at in {date, clock}:
            layout.positions["time"], layout.clock = date, clock


def _doubt_volume(layout: FieldLayout, header: Sequence[str], plain: Sequence[str], name: str) -> None:
    """Refuse a volume that may be in money instead of coins, rather than guess."""
    counted = [header[i] for i, cell in enumerate(plain) if "vol" in cell]
    if "volume" not in layout.positions and counted:
        raise InvalidInput(f"{name}: which of {', '.join(counted)} is the volume in coins?", suggestion=MONEY_CURE)
    if "volume" in layout.positions and "adjclose" in plain:
        layout.notes.append(
            "Yahoo counts the volume of coins in money. If this is Yahoo's, import with --columns volume=- instead."
        )
    if "volume" in layout.positions and "marketcap" in plain:
        raise InvalidInput(f"{name}: beside a market cap, a volume counts money, not coins", suggestion=MONEY_CURE)


def _position(which: str, plain: Sequence[str], names: Sequence[str], where: str) -> int | None:
    for name in names:
        found = [i for i, column in enumerate(plain) if column == name]
        if len(found) > 1:
            raise InvalidInput(
                f"{where}: columns {found[0] + 1} and {found[1] + 1} are both named {name!r}: which is the {which}?",
                suggestion=f"Say so with --columns {which}={found[0] + 1}",
            )
        if found:
            return found[0]
    return None


def _without_header(grid: TextRows, options: ReadOptions) -> FieldLayout:
    width, sample = grid.width, [row for row in grid.sample if len(row) == grid.width]
    mapped = _mapped(options.columns, None, grid.name, width)
    if mapped:
        kept = {each: at for each, at in mapped.items() if at >= 0 and each in FIELD_NAMES}
        return FieldLayout("table with the columns you named", kept, clock=mapped.get("clock"))
    first = sample[0]
    if is_date(first[0]) and len(first) > 1 and is_clock(first[1]) and width in {6, 7, 8}:
        positions: dict[str, int] = dict(zip(FIELD_NAMES, (0, 2, 3, 4, 5, 6)[: width - 1], strict=False))
        return FieldLayout("MetaTrader 4 export without a header", positions, clock=1)
    name, places = _known_width(sample, width)
    if name is None:
        raise InvalidInput(
            f"{grid.name} has no header, and {width} columns match no known layout",
            suggestion="Name the columns in order: --columns time,open,high,low,close,volume,- (- leaves one out)",
        )
    layout = FieldLayout(name, dict(zip(FIELD_NAMES, places, strict=False)))
    _doubt_order(grid, sample, places)
    return layout


def _known_width(sample: Sequence[Sequence[str]], width: int) -> tuple[str | None, tuple[int, ...]]:
    plain = (0, 1, 2, 3, 4, 5)
    if width in {11, 12} and all(is_number(row[6]) and _float(row[6]) > _float(row[0]) for row in sample):
        return f"Binance klines without a header ({width} columns)", plain
    if width == 9 and all(row[8] in {"0", "1"} for row in sample):
        return "OKX candles (9 columns)", plain
    if width == 8 and all(row[7] in {"true", "false"} for row in sample):
        return "Gate candles (8 columns)", (0, 5, 3, 4, 2, 6)
    if width == 8 and all(_float(row[3]) <= _float(row[5]) <= _float(row[2]) or _float(row[6]) == 0 for row in sample):
        return "Kraken candles with a mean price (8 columns)", (0, 1, 2, 3, 4, 6)
    names = {
        7: "candles without a header (7 columns: a count or turnover last, as in Kraken OHLCVT)",
        6: "candles without a header (6 columns, as ccxt has them)",
        5: "candles without a header and without volume (5 columns)",
    }
    return names.get(width), plain[:width]


_ORDERS: Final[dict[str, tuple[int, int, int, int]]] = {
    "time,open,close,high,low,volume": (1, 3, 4, 2),
    "time,low,high,open,close,volume": (3, 2, 1, 4),
    "time,volume,close,high,low,open": (5, 3, 4, 2),
}
"""Other column orders used by exchanges: the positions of open, high, low and close."""


def _doubt_order(grid: TextRows, sample: Sequence[Sequence[str]], places: tuple[int, ...]) -> None:
    """Refuse rows that are valid candles only in an unusual column order."""
    if _encloses(sample, places[1:5]):
        return
    fitting = [order for order, p in _ORDERS.items() if grid.width > max(p) and _encloses(sample, p)]
    if fitting:
        raise InvalidInput(
            f"{grid.name}: the first rows are not candles as time,open,high,low,close, but they are as {fitting[0]}",
            suggestion=f"If that is the order, import with --columns {fitting[0]}",
        )


def _encloses(sample: Sequence[Sequence[str]], places: Sequence[int]) -> bool:
    for row in sample:
        try:
            opened, high, low, close = (_float(row[at]) for at in places)
        except IndexError:
            return False
        if not low * (1 - 1e-9) <= min(opened, close) <= max(opened, close) <= high * (1 + 1e-9):
            return False
    return True


def _float(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return float("nan")


def _mapped(columns: str | None, header: Sequence[str] | None, name: str, width: int | None = None) -> dict[str, int]:
    """`--columns` as positions; -1 omits a field."""
    if not columns:
        return {}
    items = [item.strip() for item in columns.split(",")]
    if not any("=" in item for item in items):
        items = [f"{item}={at}" for at, item in enumerate(items, 1) if item != _NO_COLUMN]
    mapped: dict[str, int] = {}
    for item in items:
        which, _, wanted = item.partition("=")
        which = which.strip().lower()
        if which not in {*FIELD_NAMES, "clock"}:
            raise InvalidInput(
                f"--columns: {which!r} is not a field",
                suggestion=(f"Fields are {', '.join(FIELD_NAMES)}, clock (and - )"),
            )
        mapped[which] = -1 if wanted == _NO_COLUMN else _numbered(wanted, header, name, width)
    return mapped


def _numbered(wanted: str, header: Sequence[str] | None, name: str, width: int | None) -> int:
    exact = [] if header is None else [i for i, cell in enumerate(header) if cell.strip() == wanted]
    folded = [] if header is None else [i for i, cell in enumerate(header) if plain_name(cell) == plain_name(wanted)]
    if found := exact or folded:
        return found[0]
    if wanted.isdigit() and 1 <= int(wanted) <= (len(header) if header is not None else width or 0):
        return int(wanted) - 1
    known = ", ".join(map(repr, header)) if header is not None else f"1 to {width}"
    raise InvalidInput(f"--columns: {name} has no column {wanted!r}", suggestion=f"Its columns are {known}")
