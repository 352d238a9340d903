"""Time: the clock that all code reads, the API's written form of a moment, and the lengths of bars.

Bars open at multiples of their length in UTC, weeks on Monday at 00:00. Code gets the time from a `Clock`, so that
tests and demos can run faster than real time.
"""

from __future__ import annotations

import math
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CALL_ENDS: Final = ContextVar("call_ends", default=math.inf)
"""The deadline of the tool call in progress, on the event loop's clock; infinite outside of one."""


class Clock(Protocol):
    """Seconds since the epoch, UTC."""

    def now(self) -> float:
        """The current time, unix seconds."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """The current time, unix seconds."""
        return time.time()


class AcceleratedClock:
    """A clock that starts at `start` and runs `speed` times as fast as the machine's. Speed 0 stops it.

    `advance` moves it forward manually.
    """

    def __init__(self, start: float, speed: float = 0.0) -> None:
        self._start = start
        self._speed = speed
        self._origin = time.monotonic()

    def now(self) -> float:
        """The current time, unix seconds."""
        return self._start + (time.monotonic() - self._origin) * self._speed

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self._start += seconds


def iso8601(seconds: float) -> str:
    """A time as the API writes it: `2026-01-31T12:00:00Z`, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timeframe = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"]
"""API 1.0.4 has 1m, 5m, 15m, 1h, 4h and 1d; the others are additions."""

SECONDS: Final[dict[Timeframe, int]] = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
    "1w": 604_800,
}

_FIRST_MONDAY: Final = 345_600
"""1970-01-05, in unix seconds. The epoch was a Thursday."""

MomentT = TypeVar("MomentT", int, float, "NDArray[np.int64]", "NDArray[np.float64]")


def opening(moment: MomentT, timeframe: Timeframe) -> MomentT:
    """The open time of the bar that contains `moment`, in unix seconds; of each moment for an array."""
    shift, seconds = _first_opening(timeframe), SECONDS[timeframe]
    return (moment - shift) // seconds * seconds + shift


def next_opening(moment: MomentT, timeframe: Timeframe) -> MomentT:
    """The first open time of a bar at or after `moment`, in unix seconds; of each moment for an array."""
    shift, seconds = _first_opening(timeframe), SECONDS[timeframe]
    return -(-(moment - shift) // seconds) * seconds + shift


def is_multiple(timeframe: Timeframe, of: Timeframe) -> bool:
    """Whether bars of `timeframe` are made of whole bars `of` another; 8h bars are not made of 6h bars."""
    return SECONDS[timeframe] % SECONDS[of] == 0


def _first_opening(timeframe: Timeframe) -> int:
    return _FIRST_MONDAY if timeframe == "1w" else 0
