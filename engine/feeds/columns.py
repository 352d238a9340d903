"""The values of a table's columns, read batch by batch with the line of every row.

An ambiguous value is refused, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from api.errors import InvalidInput, clean
from api.times import SECONDS, Timeframe
from engine.frame import Floats
from engine.frame import Times as Integers
from engine.store.candles import FIELDS, CandleBlock

from .cells import (
    EARLIEST,
    LATEST,
    Readings,
    TimeColumn,
    epoch_seconds,
    is_date,
    is_naive,
    localised,
    number_parsers,
    zone_named,
)
from .layouts import FIELD_NAMES, MONEY_CURE, FieldLayout, ReadOptions, TextRows

MAX_ROWS: Final = 10_000_000

_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """How a table was interpreted: its layout, columns, time format, and remarks."""

    layout: str
    columns: str
    times: str
    notes: tuple[str, ...] = ()
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's rows in file order: a (6, n) block, and the line of the file (or row of the table) for each."""

    block: CandleBlock
    line: Integers
    place: str
    """The unit of `line`: `line` for text, `row` for tables."""
    name: str
    origin: TableOrigin


class TableColumns:
    """The columns of a table as they are read, batch by batch, under every reading that still fits."""

    def __init__(self, grid: TextRows, layout: FieldLayout, options: ReadOptions) -> None:
        comma = grid.delimiter not in {"", ","} and layout.name != "MetaTrader export"
        self._grid, self._layout, self._options = grid, layout, options
        self.times = TimeColumn()
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
        """Add a batch of rows."""
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
            self._refuse_money(volumes, lines)
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

    def _refuse_money(self, volumes: Sequence[str], lines: Sequence[int]) -> None:
        """A volume with a currency sign is in money. A price may have the sign."""
        if "$" in "".join(volumes):
            at = next(i for i, text in enumerate(volumes) if "$" in text)
            raise InvalidInput(
                f"{self._grid.place} {lines[at]} of {self._grid.name}: volume {quoted(volumes[at])} counts money, not "
                "coins",
                suggestion=MONEY_CURE,
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
            f"{named} {quoted(texts[wrong])} is not a {kind}",
            suggestion=f"{cure}; nothing was imported",
        )

    def block(self) -> tuple[CandleBlock, Integers, list[str]]:
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
        """Each batch of prices holds all opens, then all highs, and so on; this rearranges them into four rows."""
        out = np.empty((4, self.count))
        begin = 0
        for part in self.lines:
            out[:, begin : begin + len(part)] = prices[4 * begin : 4 * (begin + len(part))].reshape(4, -1)
            begin += len(part)
        return out

    def _style(self, line: Integers) -> str:
        """Decimal point or comma.

        Raises:
            InvalidInput: Both fit all numbers but give different values.
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
                f"{other:g} with a decimal comma, and nothing in the file shows which",
                suggestion="Say so with --decimal point or --decimal comma; nothing was imported",
            )
        return both[0]

    def _moments(self, line: Integers, notes: list[str]) -> Floats:
        found = self.times.readings.joined()
        options, place = self._options, f"{self._grid.place} {{}} of {self._grid.name}"
        name, seconds = one_reading(found, options.timeframe, place, line)
        as_epoch = name == "numbers" and not is_naive(self.times.units)
        if not as_epoch and self.times.naive and self.times.zoned:
            raise InvalidInput(
                f"{self._grid.name}: some times have a timezone and others do not", suggestion="Write all in one way"
            )
        if options.timezone is None:
            if self.times.naive and not as_epoch:
                notes.append("The times have no timezone and were read as UTC; --timezone names another.")
            return seconds
        if as_epoch or self.times.zoned:
            raise InvalidInput(
                f"{self._grid.name}: its times are unix times or have a timezone, so --timezone has no effect",
                suggestion="Leave --timezone out",
            )
        return in_zone(seconds, options.timezone, options.timeframe, place, line)


class PlainColumns:
    """The fast path, for lines of plain numbers with decimal points and epoch times; other lines are rejected."""

    def __init__(self, grid: TextRows, layout: FieldLayout, options: ReadOptions) -> None:
        special = (layout.clock, layout.ticks, layout.symbol, options.timezone)
        self._fits = grid.delimiter == "," and options.decimal != "comma" and all(each is None for each in special)
        self._separators = grid.width - 1
        self._delimiter = grid.delimiter
        self._positions = [layout.positions[name] for name in FIELD_NAMES if name in layout.positions]
        self.blocks: list[CandleBlock] = []
        self.lines: list[Integers] = []
        self.units: set[str] = set()

    def take(self, batch: list[str], lines: list[int]) -> bool:
        """Read a batch; false if it holds anything but plain numbers, valid or not."""
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
        if is_naive(units):
            return False
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
        InvalidInput: A time that the zone's clocks skip, or that they show twice and no neighbour resolves.
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
    """The reading if all give the same times, or the only one with evenly spaced bars.

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
        f"{place.format(line[at])}: the date may be {' or '.join(names)}, and the file does not show which",
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
    """The median distance between neighbours."""
    steps = np.sort(np.abs(np.diff(seconds)))
    return int(steps[(len(steps) - 1) // 2]) if len(steps) else 0
