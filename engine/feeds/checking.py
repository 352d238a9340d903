"""The rules for imported candles. The error names the first row that breaks one, with its values and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from api.errors import InvalidInput
from api.exchanges import EXCHANGES
from api.symbols import Instrument
from api.times import SECONDS, Timeframe, iso8601, opening
from engine.frame import Bools, Floats
from engine.store.candles import CandleBlock

from .cells import EARLIEST
from .tables import Rows

TOLERANCE: Final = 1e-9
"""Float noise allowed in a high below the open or close, or a low above it, as a fraction of the price."""

_UNCHANGED: Final = "nothing was imported"
_FAULTY: Final = f"Correct or remove the row and import again; {_UNCHANGED}"
_UNSORTED: Final = f"Sort the rows by time, without repeated ones, and import again; {_UNCHANGED}"


@dataclass(frozen=True, slots=True)
class Checked:
    """Bars that pass every rule, oldest first. `missing` counts the bars missing in gaps. `moved` counts the highs and
    lows that float noise had put inside the body, by at most `noise` of the price."""

    block: CandleBlock
    timeframe: Timeframe
    newest_first: bool
    missing: int
    left_out_open_bar: bool
    moved: int
    noise: float


def check(rows: Rows, instrument: Instrument, timeframe: Timeframe | None, *, now: float, allow_gaps: bool) -> Checked:
    """Check the rows of a table. Without a `timeframe`, it is inferred from the distance between bars.

    Raises:
        InvalidInput: Names the first bad row (line, values, rule) and how many more there are.
    """
    rows, moved, noise = _without_noise(rows)
    for broken, rule in _value_rules(rows.block, instrument, now):
        _demand(rows, broken, rule)
    steps = np.diff(rows.block[0], prepend=np.nan)
    newest_first = bool((steps < 0).sum() > (steps > 0).sum())
    steps = -steps if newest_first else steps
    _demand(rows, steps == 0, "no two rows have the same time")
    order = "newest first" if newest_first else "oldest first"
    _demand(rows, steps < 0, f"rows are sorted by time, and this file is mostly {order}", _UNSORTED)
    timeframe = _timeframe(steps[1:], rows.name, timeframe)
    seconds = SECONDS[timeframe]
    rule = "Monday 00:00 UTC" if timeframe == "1w" else f"a multiple of {timeframe} in UTC"
    _demand(rows, opening(rows.block[0], timeframe) != rows.block[0], f"a {timeframe} bar opens at {rule}")
    missing = int((steps[1:] / seconds - 1).sum())
    if missing and not allow_gaps:
        raise _gap(rows, steps > seconds, missing)
    block = rows.block[:, ::-1] if newest_first else rows.block
    is_open = bool(block[0, -1] + seconds > now)
    return Checked(block[:, :-1] if is_open else block, timeframe, newest_first, missing, is_open, moved, noise)


def _without_noise(rows: Rows) -> tuple[Rows, int, float]:
    """Highs and lows that miss the open or close by float noise are moved to it."""
    _, opens, high, low, close, _ = rows.block
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    under = (high < top) & (high >= top * (1 - TOLERANCE)) & (top > 0)
    over = (low > bottom) & (low <= bottom * (1 + TOLERANCE)) & (bottom > 0)
    moved = int(under.sum() + over.sum())
    if not moved:
        return rows, 0, 0.0
    missed = [*(1 - high[under] / top[under]), *(low[over] / bottom[over] - 1)]
    block = rows.block.copy()
    block[2] = np.where(under, top, high)
    block[3] = np.where(over, bottom, low)
    return replace(rows, block=block), moved, float(max(missed))


def _value_rules(block: CandleBlock, instrument: Instrument, now: float) -> Iterator[tuple[Bools, str]]:
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


def _timeframe(steps: Floats, name: str, wanted: Timeframe | None) -> Timeframe:
    """The timeframe that matches the usual distance between bars; it must equal `wanted` if given."""
    if not len(steps):
        if wanted is None:
            raise InvalidInput(f"{name} holds one bar, which does not tell its length", suggestion="Add --timeframe")
        return wanted
    typical = int(np.sort(steps)[(len(steps) - 1) // 2])
    known: Timeframe | None = next((each for each, seconds in SECONDS.items() if seconds == typical), None)
    if known is not None and wanted in {None, known}:
        return known
    apart = f"{name} holds bars that are {known or f'{typical} s'} apart"
    raise InvalidInput(
        f"{apart}, not {wanted}" if wanted else apart,
        suggestion=f"Import it as {known}; {_UNCHANGED}" if known else f"Supported: {', '.join(SECONDS)}; {_UNCHANGED}",
    )


def _demand(rows: Rows, broken: Bools, rule: str, cure: str = _FAULTY) -> None:
    if broken.any():
        raise _refusal(rows, broken, rule, cure)


def _gap(rows: Rows, after_gap: Bools, missing: int) -> InvalidInput:
    at = int(np.argmax(after_gap))
    since, until = (iso8601(edge) for edge in sorted(rows.block[0, at - 1 : at + 1].tolist()))
    return InvalidInput(
        f"{rows.place} {rows.line[at]} of {rows.name}: bars are missing between {since} and {until};"
        f" the file lacks {missing} bars in {int(after_gap.sum())} gaps",
        suggestion=f"Complete the file, or allow gaps (--allow-gaps), which then stay empty; {_UNCHANGED}",
    )


def _refusal(rows: Rows, broken: Bools, rule: str, cure: str) -> InvalidInput:
    at = int(np.argmax(broken))
    time, opens, high, low, close, volume = (float(value) for value in rows.block[:, at])
    shown_time = iso8601(time) if EARLIEST <= time < 1e11 else f"{time:g}"
    others = int(broken.sum()) - 1
    return InvalidInput(
        f"{rows.place} {rows.line[at]} of {rows.name} (time {shown_time}, open {opens!r}, high {high!r}, low {low!r},"
        f" close {close!r}, volume {volume!r}) breaks a rule: {rule}"
        + (f"; so do {others} more {rows.place}s" if others else ""),
        suggestion=cure,
    )
