"""The rules that imported candles keep. The first row that breaks one is named with its values and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from api.errors import InvalidInput
from api.exchanges import EXCHANGES
from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe, opening
from engine.clock import iso8601
from engine.frame import Bools, Floats
from engine.store.candles import Block

from .columns import Rows

EARLIEST: Final = 631_152_000
"""1990-01-01. Smaller numbers are not times of candles."""

_UNMENDED: Final = "nothing was imported"
_FAULTY: Final = f"Correct or remove the row and import again; {_UNMENDED}"


@dataclass(frozen=True, slots=True)
class Checked:
    """Bars that keep every rule, oldest first. `missing` counts the bars that gaps leave out."""

    block: Block
    newest_first: bool
    missing: int
    left_out_open_bar: bool


def check(
    rows: Rows, path: Path, instrument: Instrument, timeframe: Timeframe, *, now: float, allow_gaps: bool
) -> Checked:
    """Judge the rows of a file.

    Raises:
        InvalidInput: Names the first offending row: its line, its values, the rule, and how many more there are.
    """
    for broken, rule in _value_rules(rows.block, instrument, now):
        _demand(rows, path, broken, rule)
    steps = np.diff(rows.block[0], prepend=np.nan)
    newest_first = bool((steps < 0).sum() > (steps > 0).sum())
    steps = -steps if newest_first else steps
    _demand(rows, path, steps == 0, "no two rows have the same time")
    order = "newest first" if newest_first else "oldest first"
    _demand(rows, path, steps < 0, f"rows are sorted by time, and this file is mostly {order}")
    _check_timeframe(steps[1:], path, timeframe)
    seconds = SECONDS[timeframe]
    rule = "Monday 00:00 UTC" if timeframe == "1w" else f"a multiple of {timeframe} in UTC"
    _demand(rows, path, opening(rows.block[0], timeframe) != rows.block[0], f"a {timeframe} bar opens at {rule}")
    missing = int((steps[1:] / seconds - 1).sum())
    if missing and not allow_gaps:
        raise _gap(rows, path, steps > seconds, missing)
    block = rows.block[:, ::-1] if newest_first else rows.block
    is_open = bool(block[0, -1] + seconds > now)
    return Checked(block[:, :-1] if is_open else block, newest_first, missing, is_open)


def _value_rules(block: Block, instrument: Instrument, now: float) -> Iterator[tuple[Bools, str]]:
    time, opens, high, low, close, volume = block
    yield ~np.isfinite(block.sum(axis=0)), "every value is a finite number, and none is empty"
    yield (
        (time < EARLIEST) | (time > now),
        "a bar opens between 1990 and now; times are epoch seconds, ms, us or ns, or ISO 8601",
    )
    yield block[1:5].min(axis=0) <= 0, "prices are above 0"
    yield volume < 0, "volume is not negative"
    yield high < low, "a bar's high is not below its low"
    yield (high < opens) | (high < close), "a bar's high is not below its open or close"
    yield (low > opens) | (low > close), "a bar's low is not above its open or close"
    if EXCHANGES[instrument.exchange].market_type == "prediction":
        yield high > 1, "a prediction token's price is a probability, at most 1"


def _check_timeframe(steps: Floats, path: Path, timeframe: Timeframe) -> None:
    typical = int(np.sort(steps)[(len(steps) - 1) // 2]) if len(steps) else SECONDS[timeframe]
    if typical == SECONDS[timeframe]:
        return
    known = next((name for name, seconds in SECONDS.items() if seconds == typical), None)
    raise InvalidInput(
        f"{path.name} holds bars that are {known or f'{typical} s'} apart, not {timeframe}",
        suggestion=f"Import it as {known}; {_UNMENDED}" if known else f"Supported: {', '.join(SECONDS)}; {_UNMENDED}",
    )


def _demand(rows: Rows, path: Path, broken: Bools, rule: str) -> None:
    if broken.any():
        raise _refusal(rows, path, broken, rule)


def _gap(rows: Rows, path: Path, after_gap: Bools, missing: int) -> InvalidInput:
    at = int(np.argmax(after_gap))
    since, until = (iso8601(edge) for edge in sorted(rows.block[0, at - 1 : at + 1].tolist()))
    return InvalidInput(
        f"{rows.place} {rows.line[at]} of {path.name}: bars are missing between {since} and {until};"
        f" the file lacks {missing} bars in {int(after_gap.sum())} gaps",
        suggestion=f"Complete the file, or allow gaps (--allow-gaps), which then stay empty; {_UNMENDED}",
    )


def _refusal(rows: Rows, path: Path, broken: Bools, rule: str) -> InvalidInput:
    at = int(np.argmax(broken))
    time, opens, high, low, close, volume = (float(value) for value in rows.block[:, at])
    shown_time = iso8601(time) if EARLIEST <= time < 1e11 else f"{time:g}"
    others = int(broken.sum()) - 1
    return InvalidInput(
        f"{rows.place} {rows.line[at]} of {path.name} (time {shown_time}, open {opens!r}, high {high!r}, low {low!r},"
        f" close {close!r}, volume {volume!r}) breaks a rule: {rule}"
        + (f"; so do {others} more {rows.place}s" if others else ""),
        suggestion=_FAULTY,
    )
