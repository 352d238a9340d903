"""Parses the cells of a file: numbers and times in the formats that files use.

A column can have more than one reading: `42.000` is forty-two with a decimal point and forty-two thousand with a
decimal comma; `3/4/2024` is in March or in April. All readings that fit every cell so far are kept in parallel.
`Readings.only` returns the one that is left, or reports that two different ones remain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from api.errors import InvalidInput
from api.times import iso8601
from engine.frame import Bools, Floats

Decimal = Literal["point", "comma"]

EARLIEST: Final = 631_152_000
"""1990-01-01. Smaller numbers are not times of candles."""

LATEST: Final = 4_102_444_800
"""2100-01-01. Larger numbers are dates without separators, such as 20240131235900."""

_UNITS: Final = ((1e17, 1e9, "nanoseconds"), (1e14, 1e6, "microseconds"), (1e11, 1e3, "milliseconds"))
"""At or above the first number an epoch counts nano-, micro- or milliseconds; below, seconds."""

_SECONDS_A_DAY: Final = 86_400
_EXCEL: Final = (32_874, 73_051)
"""1990-01-01 and 2100-01-01 in Excel days (1900 system). As epoch times they would be in January 1970."""
_EXCEL_EPOCH: Final = 25_569
"""1970-01-01, in Excel days."""

_TICKS: Final = (627_667_488_000_000_000, 662_380_416_000_000_000)
"""1990-01-01 and 2100-01-01 in .NET ticks: 100 ns since year 1. As nanoseconds they would be in 1989 and 1990."""
_TICKS_EPOCH: Final = 621_355_968_000_000_000
"""1970-01-01, in .NET ticks."""

_SPACES: Final = str.maketrans("", "", " \u00a0\u202f'\u2019")
_SUFFIX: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SHAPES: Final[dict[Decimal, re.Pattern[str]]] = {
    "point": re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+(?=[.eE]|$)|(?=\.\d))(?:\.\d*)?(?:[eE][+-]?\d{1,3})?"),
    "comma": re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+(?=[,eE]|$)|(?=,\d))(?:,\d*)?(?:[eE][+-]?\d{1,3})?"),
}
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f'\u2019]\d{3})+(?:[.,]\d*)?")


@dataclass(slots=True)
class Readings:
    """One column under every reading that still fits, and the first cell that ruled out each other reading.

    `failed` is the position of the first cell that does not fit a reading, counted over all cells.
    """

    parsers: dict[str, Callable[[Sequence[str]], Floats | int]]
    values: dict[str, list[Floats]] = field(default_factory=dict[str, list[Floats]])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    count: int = 0

    def add(self, texts: Sequence[str]) -> int | None:
        """Add cells; returns the position within `texts` of a cell that fits no reading."""
        at: list[int] = []
        for name, parse in self.parsers.items():
            if name in self.failed:
                continue
            parsed = parse(texts)
            if isinstance(parsed, int):
                self.failed[name] = self.count + parsed
                self.values.pop(name, None)
                at.append(parsed)
            else:
                self.values.setdefault(name, []).append(parsed)
        self.count += len(texts)
        return max(at, default=0) if len(self.failed) == len(self.parsers) else None

    def joined(self) -> dict[str, Floats]:
        """The whole column under each reading that fits."""
        return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in self.values.items()}


def number_parsers(*, comma: bool, suffixes: bool) -> dict[str, Callable[[Sequence[str]], Floats | int]]:
    """Readings of numbers: with a decimal point and, if `comma` is true, also with a decimal comma.

    With `suffixes`, as in volumes, 1.2K is 1,200.
    """
    styles: tuple[Decimal, ...] = ("point", "comma") if comma else ("point",)
    return {style: lambda texts, style=style: _numbers(texts, style, suffixes=suffixes) for style in styles}


def _numbers(texts: Sequence[str], style: Decimal, *, suffixes: bool) -> Floats | int:
    """The numbers, or the position of the first cell that is empty or no number. NaN and infinity are checked later."""
    if style == "point":
        joined = "".join(texts)
        if "_" not in joined and joined.isascii():
            try:
                return np.array([float(text) for text in texts])
            except ValueError:
                pass
    numbers = np.empty(len(texts))
    for at, text in enumerate(texts):
        number = _number(text, style, suffixes=suffixes)
        if number is None:
            return at
        numbers[at] = number
    return numbers


def _number(text: str, style: Decimal, *, suffixes: bool) -> float | None:
    written = text.strip().removeprefix("$").strip()
    if written.lower() in {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}:
        return float(written)
    factor = 1.0
    if suffixes and written[-1:].upper() in _SUFFIX and written[:-1]:
        factor, written = _SUFFIX[written[-1].upper()], written[:-1]
    if _GROUPED.fullmatch(written):
        written = written.translate(_SPACES)
    if not written or not written.isascii() or not _SHAPES[style].fullmatch(written):
        return None
    plain = written.replace(",", "") if style == "point" else written.replace(".", "").replace(",", ".")
    return float(plain) * factor


def is_number(text: str) -> bool:
    """Whether a cell is a number under any reading."""
    return any(_number(text, style, suffixes=True) is not None for style in _SHAPES)


_CLOCK: Final = r"(?:[ T,]+(?P<H>\d{1,2})(?::?(?P<M>\d{2})(?::?(?P<S>\d{2}(?:\.\d+)?))?)?(?:[ -]?(?P<p>[AaPp][Mm]))?)?"
_ZONE: Final = r"(?: ?(?:UTC|GMT)?(?P<z>Z|[+-]\d{2}:?\d{2}(?::\d{2})?)| ?(?P<u>UTC|GMT))?"
_YEAR, _MONTH, _DAY, _NAME = r"(?P<Y>\d{4})", r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})", r"(?P<b>[A-Za-z]{3,9})"
_SHORT: Final = r"(?P<Y>\d{2})"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIMES: Final[dict[str, re.Pattern[str]]] = {
    name: re.compile(date + _CLOCK + _ZONE)
    for name, date in {
        "year-month-day": rf"{_YEAR}(?P<sep>[-/.]){_MONTH}(?P=sep){_DAY}",
        "yearmonthday": rf"{_YEAR}(?P<m>\d{{2}})(?P<d>\d{{2}})",
        "day/month/year": rf"{_DAY}(?P<sep>[/-]){_MONTH}(?P=sep){_YEAR}",
        "month/day/year": rf"{_MONTH}(?P<sep>[/-]){_DAY}(?P=sep){_YEAR}",
        "day/month/year of two digits": rf"{_DAY}(?P<sep>[/-]){_MONTH}(?P=sep){_SHORT}",
        "month/day/year of two digits": rf"{_MONTH}(?P<sep>[/-]){_DAY}(?P=sep){_SHORT}",
        "year of two digits/month/day": rf"{_SHORT}(?P<sep>[/-]){_MONTH}(?P=sep){_DAY}",
        "day.month.year of two digits": rf"{_DAY}\.{_MONTH}\.{_SHORT}",
        "day.month.year": rf"{_DAY}\.{_MONTH}\.{_YEAR}",
        "day month-name year": rf"{_DAY}[ -]{_NAME}\.?[ -]{_YEAR}",
        "month-name day, year": rf"{_NAME}\.? {_DAY},? {_YEAR}",
    }.items()
}
_AROUND: Final = re.compile(r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +)?(.*?)(?: +\([^()]*\))?", re.IGNORECASE)
"""A date after the day of the week or before the name of its timezone, as JavaScript and mails write it."""

_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})(?::(\d{2}))?")
_COMPACT: Final = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(slots=True)
class TimeColumn:
    """A column of times, read batch by batch: unix seconds for each reading, and how they were written.

    `naive` is true once a text without a timezone was read; its seconds count as if it were UTC, until `localised`.
    """

    readings: Readings = field(default_factory=lambda: Readings({}))
    units: set[str] = field(default_factory=set[str])
    naive: bool = False
    zoned: bool = False

    def add(self, texts: Sequence[str]) -> int | None:
        """Add cells; returns the position of a cell that fits no reading."""
        if not self.readings.parsers:
            shapes = [name for name, pattern in _TIMES.items() if pattern.fullmatch(_date_in(texts[0]))]
            self.readings.parsers["numbers"] = self._epochs
            for name in shapes:
                self.readings.parsers[name] = lambda cells, name=name: self._texts(cells, name)
        return self.readings.add(texts)

    def _epochs(self, texts: Sequence[str]) -> Floats | int:
        numbers = _numbers(texts, "point", suffixes=False)
        if isinstance(numbers, int):
            return numbers
        if (compact := self._compact(texts)) is not None:
            return compact
        seconds, units = epoch_seconds(numbers)
        self.naive |= is_naive(units)
        self.units |= units
        return seconds

    def _compact(self, texts: Sequence[str]) -> Floats | None:
        """20240131 and 20240131235900: dates without separators. As epoch times they would be outside all candles."""
        shape = _COMPACT.get(len(texts[0].strip()))
        if shape is None or not texts[0].strip().startswith(("19", "20")):
            return None
        try:
            moments = [datetime.strptime(text.strip(), shape).replace(tzinfo=UTC) for text in texts]
        except ValueError:
            return None
        self.naive = True
        self.units.add("dates as YYYYMMDD")
        return np.array([moment.timestamp() for moment in moments])

    def _texts(self, texts: Sequence[str], name: str) -> Floats | int:
        pattern = _TIMES[name]
        if name == "year-month-day" and (fast := _iso_without_zone(texts)) is not None:
            self.naive = True
            return fast
        seconds = np.empty(len(texts))
        for at, text in enumerate(texts):
            found = pattern.fullmatch(_date_in(text))
            moment = None if found is None else _moment(found)
            if moment is None:
                return at
            self.naive |= moment[1]
            self.zoned |= not moment[1]
            seconds[at] = moment[0]
        return seconds


def _iso_without_zone(texts: Sequence[str]) -> Floats | None:
    """A fast path for ISO texts of one length without timezone, as unix seconds; None for other input."""
    length = len(texts[0])
    plain = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?")
    if any(len(text) != length or not plain.fullmatch(text) for text in texts):
        return None
    try:
        moments = np.array(texts, dtype="datetime64[us]")
    except ValueError:
        return None
    return None if np.isnat(moments).any() else moments.astype(np.int64) / 1e6


def _date_in(text: str) -> str:
    written = text.strip()
    if written[:1].isdigit() and not written.endswith(")"):
        return written
    found = _AROUND.fullmatch(written)
    return written if found is None else found[1]


def is_time(text: str) -> bool:
    """Whether a cell can be a time: a number, or a date in a known format."""
    return is_number(text) or any(pattern.fullmatch(_date_in(text)) for pattern in _TIMES.values())


def is_clock(text: str) -> bool:
    """Whether a cell is a time of day, such as 17:00, 5:00:00 PM or 170000."""
    return re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(\s?[AaPp][Mm])?|\d{4}|\d{6}", text.strip()) is not None


def is_date(text: str) -> bool:
    """Whether a cell is a date without a time of day."""
    if text.strip().isdigit():
        return len(text.strip()) == 8
    found = next((match for p in _TIMES.values() if (match := p.fullmatch(_date_in(text)))), None)
    return found is not None and found.groupdict()["H"] is None


def _moment(found: re.Match[str]) -> tuple[float, bool] | None:
    """Unix seconds, and whether the text had no timezone; None for a date that does not exist."""
    part = found.groupdict()
    month = _MONTHS.index(part["b"][:3].lower()) + 1 if (part.get("b") or "")[:3].lower() in _MONTHS else None
    try:
        month = month or int(part["m"])
        hour, minute, second = int(part["H"] or 0), int(part["M"] or 0), float(part["S"] or 0)
        if part["p"]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if part["p"].lower() == "pm" else 0)
        year = int(part["Y"]) + (0 if len(part["Y"]) == 4 else 2000)
        day = datetime(year, month, int(part["d"]), hour, minute, tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    if second >= 60:
        return None
    seconds = day.timestamp() + second
    if part["z"] and (offset := _OFFSET.fullmatch(part["z"])) is not None:
        sign, hours, minutes, more = offset.groups()
        seconds -= (1 if sign == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60 + int(more or 0))
    return seconds, not (part["z"] or part["u"])


def epoch_seconds(numbers: Floats) -> tuple[Floats, set[str]]:
    """Epoch numbers of any unit as seconds, and the units. Some files change unit midway, so each is read on its own.

    Ticks of .NET and days of Excel are dates without a timezone; days of Excel are read to the second.
    """
    if len(numbers) and bool(((numbers >= _TICKS[0]) & (numbers < _TICKS[1])).all()):
        return (numbers - _TICKS_EPOCH) / 1e7, {"dates as .NET ticks"}
    if len(numbers) and bool(((numbers >= _EXCEL[0]) & (numbers < _EXCEL[1])).all()):
        return np.round((numbers - _EXCEL_EPOCH) * _SECONDS_A_DAY), {"dates as days of Excel, counted from 1900"}
    divisor = np.ones(len(numbers))
    units: set[str] = {"seconds"} if bool((numbers < _UNITS[-1][0]).any()) else set()
    for at, (least, per_second, unit) in enumerate(_UNITS):
        below = _UNITS[at - 1][0] if at else np.inf
        chosen = (numbers >= least) & (numbers < below)
        divisor[chosen] = per_second
        if chosen.any():
            units.add(unit)
    return numbers / divisor, units


def is_naive(units: set[str]) -> bool:
    """Whether numbers in these units are dates, which carry no timezone, and not epochs."""
    return any(unit.startswith("dates") for unit in units)


def localised(seconds: Floats, zone: ZoneInfo, step: int) -> Floats | tuple[int, str]:
    """Local times (seconds as if UTC) as unix seconds, or the position of an ambiguous one, and why.

    When a clock shows an hour twice, the neighbours decide: each bar follows the previous one by `step`.
    """
    early = np.array([_utc(moment, zone, 0) for moment in seconds.tolist()])
    late = np.array([_utc(moment, zone, 1) for moment in seconds.tolist()])
    back = np.array([_local(moment, zone) for moment in early.tolist()])
    if (lost := back != seconds).any():
        at = int(np.argmax(lost))
        return at, f"the clocks of {zone.key} skip {iso8601(seconds[at])[:-1]}"
    out = early.copy()
    newest_first = len(seconds) > 1 and seconds[0] > seconds[-1]
    order = range(len(out) - 1, -1, -1) if newest_first else range(len(out))
    doubtful: Bools = early != late
    previous: int | None = None
    for at in order:
        if doubtful[at]:
            fitting = [x for x in (early[at], late[at]) if previous is not None and x == out[previous] + step]
            if not fitting:
                return at, f"the clocks of {zone.key} show {iso8601(seconds[at])[:-1]} twice"
            out[at] = fitting[0]
        previous = at
    return out


def _utc(moment: float, zone: ZoneInfo, fold: int) -> float:
    wall = datetime.fromtimestamp(moment, UTC).replace(tzinfo=zone, fold=fold)
    return wall.timestamp()


def _local(moment: float, zone: ZoneInfo) -> float:
    here = datetime.fromtimestamp(moment, zone)
    return moment + (here.utcoffset() or timedelta()).total_seconds()


def zone_named(name: str) -> ZoneInfo:
    """The timezone of this name.

    Raises:
        InvalidInput: No such column.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            f"timezone {name!r} is not known", suggestion="Name one such as UTC, Europe/Berlin or America/New_York"
        ) from error
