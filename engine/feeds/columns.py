"""The columns of a table: which is what, and their values, read batch by batch with the line of every row.

A layout is recognised by content: by the names in a header, or without one by the number of columns and what they
hold. A value that could be read in two ways is refused, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from api.errors import InvalidInput, clean
from api.timeframes import SECONDS, Timeframe
from engine.frame import Floats
from engine.frame import Times as Integers
from engine.store.candles import FIELDS, Block

from .cells import (
    EARLIEST,
    LATEST,
    Decimal,
    Readings,
    Times,
    epoch_seconds,
    is_clock,
    is_date,
    is_number,
    is_time,
    localised,
    number_parsers,
    zone_named,
)

FIELD_NAMES: Final = ("time", "open", "high", "low", "close", "volume")
MAX_ROWS: Final = 10_000_000

_SHOWN: Final = 60
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
            "t",
        ),
    ),
    "open": ("open", "openprice", "openingprice", "o"),
    "high": ("high", "highprice", "max", "h"),
    "low": ("low", "lowprice", "min", "l"),
    "close": ("close", "closeprice", "last", "tradeprice", "price", "c"),
    "volume": (
        *("volume", "basevolume", "volumebase", "vol", "v", "volumefrom", "candleacctradevolume", "tickvol"),
        "tickvolume",
    ),
}
"""Names in lower case without punctuation, the preferred first. Adjusted closes and quote volumes are not taken."""

_INDEX_NAMES: Final = frozenset({"", "unnamed0", "index", "level0"})
_SYMBOL_NAMES: Final = frozenset({"symbol", "ticker", "pair", "market"})


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the user says that a table is to be read; what is None is recognised.

    `columns` maps fields to header names or column numbers from 1, `-` to leave one out: `time=Date,volume=-`; or it
    names all columns in order: `time,low,high,open,close,volume`. `timezone` is of times that carry none.
    """

    columns: str | None = None
    timezone: str | None = None
    decimal: Decimal | None = None
    timeframe: Timeframe | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a table was taken for: its layout, which column is what, how times are written, and remarks."""

    layout: str
    columns: str
    times: str
    notes: tuple[str, ...] = ()
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's rows in its own order: a (6, n) block, and the line of the file (or row of the table) of each."""

    block: Block
    line: Integers
    place: str
    """What `line` counts: `line` for text, `row` for tables."""
    name: str
    origin: Origin


@dataclass(slots=True)
class Grid:
    """Rows of text cells. `batches` gives rows with their line numbers, and the raw lines where they are plain."""

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
        """How many columns there are."""
        return len(self.header) if self.header is not None else len(self.sample[0])


@dataclass(slots=True)
class Layout:
    """Positions of the fields; `clock` of a time of day beside the date, `ticks` of a second volume, `symbol`."""

    name: str
    positions: dict[str, int]
    clock: int | None = None
    ticks: int | None = None
    symbol: int | None = None
    notes: list[str] = field(default_factory=list[str])

    def told(self, header: Sequence[str] | None) -> str:
        """Which column is what, for the user."""
        shown = {**self.positions, **({} if self.clock is None else {"time of day": self.clock})}
        return ", ".join(f"{f}={header[at] or 'index' if header else at + 1}" for f, at in shown.items())


def plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\d+\.\s*", "", name.strip().lower()))


def recognised(grid: Grid, options: ReadOptions) -> Layout:
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


def _with_header(header: Sequence[str], first: Sequence[str], name: str, line: int, options: ReadOptions) -> Layout:
    plain = [plain_name(cell) for cell in header]
    mapped = _mapped(options.columns, header, name)
    base = plain_name(options.base or "")
    names = {**_NAMES, "volume": ((f"volume{base}", f"{base}volume") if base else ()) + _NAMES["volume"]}
    where = f"{name}, line {line}"
    positions = {f: mapped[f] for f in mapped if f in FIELD_NAMES and mapped[f] >= 0}
    for each in FIELD_NAMES:
        if each not in mapped and (at := _position(each, plain, names[each], where)) is not None:
            positions[each] = at
    is_metatrader = any(cell.strip().startswith("<") for cell in header)
    layout = Layout("MetaTrader export" if is_metatrader else "table with named columns", positions)
    _find_time(layout, plain, first)
    layout.symbol = next((i for i, cell in enumerate(plain) if cell in _SYMBOL_NAMES), None)
    ticks = next((i for i, cell in enumerate(plain) if cell in {"tickvol", "tickvolume"}), None)
    layout.ticks = ticks if ticks != layout.positions.get("volume") else None
    if "volume" not in mapped:
        _doubt_volume(layout, header, plain, name)
    return layout


def _find_time(layout: Layout, plain: Sequence[str], first: Sequence[str]) -> None:
    """An index without a name is the time, if it holds times; a date and a time of day are one time together."""
    at = layout.positions.get("time")
    if at is None and plain[0] in _INDEX_NAMES and first and is_time(first[0]):
        layout.positions["time"] = 0
    if "date" in plain and "time" in plain:
        date, clock = plain.index("date"), plain.index("time")
        if max(date, clock) < len(first) and is_date(first[date]) and is_clock(first[clock]) and at in {date, clock}:
            layout.positions["time"], layout.clock = date, clock


def _doubt_volume(layout: Layout, header: Sequence[str], plain: Sequence[str], name: str) -> None:
    """Refuse a volume that may count money instead of coins, rather than guess."""
    counted = [header[i] for i, cell in enumerate(plain) if "vol" in cell]
    cure = "Say which column counts coins with --columns volume=NAME, or leave it out with --columns volume=-"
    if "volume" not in layout.positions and counted:
        raise InvalidInput(f"{name}: which of {', '.join(counted)} is the volume in coins?", suggestion=cure)
    if "volume" in layout.positions and "marketcap" in plain:
        raise InvalidInput(f"{name}: beside a market cap, a volume counts money, not coins", suggestion=cure)


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


def _without_header(grid: Grid, options: ReadOptions) -> Layout:
    width, sample = grid.width, [row for row in grid.sample if len(row) == grid.width]
    mapped = _mapped(options.columns, None, grid.name, width)
    if mapped:
        kept = {each: at for each, at in mapped.items() if at >= 0 and each in FIELD_NAMES}
        return Layout("table with the columns you named", kept, clock=mapped.get("clock"))
    first = sample[0]
    if is_date(first[0]) and len(first) > 1 and is_clock(first[1]) and width in {6, 7, 8}:
        positions: dict[str, int] = dict(zip(FIELD_NAMES, (0, 2, 3, 4, 5, 6)[: width - 1], strict=False))
        return Layout("MetaTrader 4 export without a header", positions, clock=1)
    name, places = _known_width(sample, width)
    if name is None:
        raise InvalidInput(
            f"{grid.name} has no header, and {width} columns are no layout that is known",
            suggestion="Name the columns in order: --columns time,open,high,low,close,volume,- (- leaves one out)",
        )
    layout = Layout(name, dict(zip(FIELD_NAMES, places, strict=False)))
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
"""Other orders in which exchanges give candles; the places of open, high, low and close in each."""


def _doubt_order(grid: Grid, sample: Sequence[Sequence[str]], places: tuple[int, ...]) -> None:
    """Refuse rows that are candles only if the columns are in another order than the usual one."""
    if _encloses(sample, places[1:5]):
        return
    fitting = [order for order, p in _ORDERS.items() if grid.width > max(p) and _encloses(sample, p)]
    if fitting:
        raise InvalidInput(
            f"{grid.name}: the first rows are no candles as time,open,high,low,close, but they are as {fitting[0]}",
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
    """`--columns` as positions; -1 leaves a field out."""
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
                f"--columns: {which!r} is no field", suggestion=f"Fields are {', '.join(FIELD_NAMES)}, clock (and - )"
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


class Columns:
    """The columns of a table as they are read, batch by batch, under every reading that still fits."""

    def __init__(self, grid: Grid, layout: Layout, options: ReadOptions) -> None:
        comma = grid.delimiter not in {"", ","} and layout.name != "MetaTrader export"
        self._grid, self._layout, self._options = grid, layout, options
        self.times = Times()
        self.prices = Readings(self._parsers(comma=comma, suffixes=False))
        self.volume = Readings(self._parsers(comma=comma, suffixes=True))
        self.ticks = Readings(number_parsers(comma=False, suffixes=False))
        self.lines: list[Integers] = []
        self.symbols: set[str] = set()
        self.count = 0

    def _parsers(self, *, comma: bool, suffixes: bool) -> Any:
        chosen = self._options.decimal
        parsers = number_parsers(comma=comma or chosen == "comma", suffixes=suffixes)
        return parsers if chosen is None else {chosen: parsers[chosen]}

    def add(self, rows: list[list[str]], lines: list[int]) -> None:
        """Take a batch of rows."""
        grid, layout, at = self._grid, self._layout, self._layout.positions
        least = max(*at.values(), layout.clock or 0, layout.ticks or 0) + 1
        for line, row in zip(lines, rows, strict=True):
            if len(row) < least or len(row) > grid.width:
                whole = "header" if grid.header is not None else "first row"
                raise InvalidInput(
                    f"{grid.place} {line} of {grid.name} has {len(row)} fields, the {whole} has {grid.width}: "
                    f"{quoted(row)}",
                    suggestion="Complete or remove it and import again; nothing was imported",
                )
        if grid.delimiter == "," and not self.count and any("," in cell for row in rows for cell in row):
            self._allow_commas()
        texts = [row[at["time"]] for row in rows]
        if layout.clock is not None:
            texts = [f"{date} {row[layout.clock]}" for date, row in zip(texts, rows, strict=True)]
        self._take(self.times.add(texts), "time", texts, lines)
        prices = [row[at[each]] for each in FIELD_NAMES[1:5] for row in rows]
        self._take(self.prices.add(prices), None, prices, lines)
        if "volume" in at:
            volumes = [row[at["volume"]] for row in rows]
            self._take(self.volume.add(volumes), "volume", volumes, lines)
        if layout.ticks is not None:
            ticks = [row[layout.ticks] for row in rows]
            self._take(self.ticks.add(ticks), "tick volume", ticks, lines)
        if layout.symbol is not None:
            self.symbols.update(row[layout.symbol] for row in rows if len(row) > layout.symbol)
        self.lines.append(np.array(lines))
        self.count += len(rows)
        if self.count > MAX_ROWS:
            raise InvalidInput(
                f"{grid.name} has more than {MAX_ROWS:,} rows", suggestion="Split it, and import the parts one by one"
            )

    def _allow_commas(self) -> None:
        """Quoted cells may hold commas, for thousands or decimals."""
        if self._options.decimal is None:
            self.prices = Readings(number_parsers(comma=True, suffixes=False))
            self.volume = Readings(number_parsers(comma=True, suffixes=True))

    def _take(self, wrong: int | None, which: str | None, texts: Sequence[str], lines: Sequence[int]) -> None:
        if wrong is None:
            return
        named = which or FIELD_NAMES[1 + wrong // len(lines)]
        kind = "time" if named == "time" else "number"
        cure = {
            "time": "Write times as epoch seconds (or ms, us, ns) or ISO 8601 such as 2024-01-31T12:00:00Z",
            "number": "Write numbers such as 43221.71, all in one way",
        }[kind]
        raise InvalidInput(
            f"{self._grid.place} {lines[wrong % len(lines)]} of {self._grid.name}: "
            f"{named} {quoted(texts[wrong])} is no {kind}",
            suggestion=f"{cure}; nothing was imported",
        )

    def block(self) -> tuple[Block, Integers, list[str]]:
        """The columns under the one reading that is left, their lines, and remarks."""
        line = np.concatenate(self.lines)
        notes: list[str] = []
        style = self._style(line)
        prices = self._by_row(self.prices.joined()[style])
        volume = self.volume.joined().get(style, np.zeros(len(line)))
        if self._layout.ticks is not None and not volume.any():
            volume = self.ticks.joined()["point"]
            notes.append("The volume is 0 on every row: the tick volume was taken, which counts price changes.")
        time = self._moments(line, notes)
        return np.vstack((time, prices, volume)), line, notes

    def _by_row(self, prices: Floats) -> Floats:
        """Prices come batch by batch, each all opens, then all highs, and so on; this puts them in four rows."""
        out = np.empty((4, self.count))
        begin = 0
        for part in self.lines:
            out[:, begin : begin + len(part)] = prices[4 * begin : 4 * (begin + len(part))].reshape(4, -1)
            begin += len(part)
        return out

    def _style(self, line: Integers) -> str:
        """Decimal point or comma.

        Raises:
            InvalidInput: Both fit all numbers, and give others.
        """
        prices, volume = self.prices.joined(), self.volume.joined()
        both = [s for s in prices if "volume" not in self._layout.positions or s in volume]
        if not both:
            raise InvalidInput(
                f"{self._grid.name}: prices and volume write decimals in two ways",
                suggestion="Write numbers in one way, such as 43221.71",
            )
        if len(both) == 1:
            return both[0]
        point, comma = self._by_row(prices["point"]), self._by_row(prices["comma"])
        differs = (point != comma).any(axis=0)
        if volume:
            differs |= volume["point"] != volume["comma"]
        if differs.any():
            at = int(np.argmax(differs))
            pairs = [*zip(point[:, at], comma[:, at], strict=True)]
            if volume:
                pairs.append((volume["point"][at], volume["comma"][at]))
            one, other = next((float(a), float(b)) for a, b in pairs if a != b)
            raise InvalidInput(
                f"{self._grid.place} {line[at]} of {self._grid.name}: a number is {one:g} with a decimal point and "
                f"{other:g} with a decimal comma, and nothing in the file tells which",
                suggestion="Say so with --decimal point or --decimal comma; nothing was imported",
            )
        return both[0]

    def _moments(self, line: Integers, notes: list[str]) -> Floats:
        found = self.times.readings.joined()
        options, place = self._options, f"{self._grid.place} {{}} of {self._grid.name}"
        name, seconds = one_reading(found, options.timeframe, place, line)
        as_epoch = name == "numbers" and not any(unit.startswith("dates") for unit in self.times.units)
        if not as_epoch and self.times.naive and self.times.zoned:
            raise InvalidInput(
                f"{self._grid.name}: some times carry a timezone and others none", suggestion="Write all in one way"
            )
        if options.timezone is None:
            if self.times.naive and not as_epoch:
                notes.append("The times carry no timezone and were read as UTC; --timezone names another.")
            return seconds
        if as_epoch or self.times.zoned:
            raise InvalidInput(
                f"{self._grid.name}: its times are unix times or carry a timezone, so --timezone has no meaning",
                suggestion="Leave --timezone out",
            )
        return in_zone(seconds, options.timezone, options.timeframe, place, line)


class PlainColumns:
    """The fast way, for lines of bare numbers with decimal points and epoch times; other lines are not taken."""

    def __init__(self, grid: Grid, layout: Layout, options: ReadOptions) -> None:
        special = (layout.clock, layout.ticks, layout.symbol, options.timezone)
        self._fits = grid.delimiter == "," and options.decimal != "comma" and all(each is None for each in special)
        self._separators = grid.width - 1
        self._delimiter = grid.delimiter
        self._positions = [layout.positions[name] for name in FIELD_NAMES if name in layout.positions]
        self.blocks: list[Block] = []
        self.lines: list[Integers] = []
        self.units: set[str] = set()

    def take(self, batch: list[str], lines: list[int]) -> bool:
        """Read a batch; false where anything but plain numbers occurs, be it wrong or only different."""
        if not self._fits or "".join(batch).count(self._delimiter) != len(batch) * self._separators:
            return False
        try:
            read = np.loadtxt(batch, delimiter=self._delimiter, usecols=self._positions, ndmin=2, comments=None)
        except ValueError:
            return False
        if len(read) != len(batch) or is_date(batch[0].split(self._delimiter)[self._positions[0]]):
            return False
        block = np.zeros((FIELDS, len(read)))
        block[: read.shape[1]] = read.T
        block[0], units = epoch_seconds(block[0])
        if bool(((block[0] < EARLIEST) | (block[0] > LATEST)).any()):
            return False
        self.units |= units
        self.blocks.append(block)
        self.lines.append(np.array(lines))
        return True


def quoted(value: str | Sequence[str]) -> str:
    text = value if isinstance(value, str) else ",".join(value)
    return repr(clean(text, _SHOWN))


def in_zone(seconds: Floats, zone: str, timeframe: Timeframe | None, place: str, line: Integers) -> Floats:
    """Local times as unix seconds.

    Raises:
        InvalidInput: A time that the zone's clocks skip, or show twice without a neighbour that tells which it is.
    """
    step = SECONDS[timeframe] if timeframe else _typical_step(seconds)
    local = localised(seconds, zone_named(zone), step)
    if isinstance(local, tuple):
        at, why = local
        raise InvalidInput(
            f"{place.format(line[at])}: {why}",
            suggestion="Name the zone in which the times were written, or export them in UTC; nothing was imported",
        )
    return local


def one_reading(
    found: Mapping[str, Floats], timeframe: Timeframe | None, place: str, line: Integers
) -> tuple[str, Floats]:
    """The reading of the times that all others agree with, or the only one whose bars follow one another evenly.

    Raises:
        InvalidInput: Two readings differ, and neither or both are even.
    """
    names = list(found)
    if all(np.array_equal(found[names[0]], found[name]) for name in names[1:]):
        return names[0], found[names[0]]
    even = [name for name in names if _is_even(found[name], timeframe)]
    if len(even) == 1:
        return even[0], found[even[0]]
    differs = np.any([found[names[0]] != found[name] for name in names[1:]], axis=0)
    at = int(np.argmax(differs))
    raise InvalidInput(
        f"{place.format(line[at])}: the date may be {' or '.join(names)}, and the file does not tell which",
        suggestion="Write dates as 2024-01-31; nothing was imported",
    )


def _is_even(seconds: Floats, timeframe: Timeframe | None) -> bool:
    steps = np.diff(seconds)
    if not len(steps):
        return False
    typical = _typical_step(seconds)
    lengths = {SECONDS[timeframe]} if timeframe else set(SECONDS.values())
    return typical in lengths and bool((np.abs(steps) == typical).mean() > 0.5) and len(set(np.sign(steps))) == 1


def _typical_step(seconds: Floats) -> int:
    """The middle one of the distances between neighbours."""
    steps = np.sort(np.abs(np.diff(seconds)))
    return int(steps[(len(steps) - 1) // 2]) if len(steps) else 0
