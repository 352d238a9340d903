"""The lengths of bars, and when bars open: at multiples of their length in UTC, weeks on Monday at 00:00."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

Moment = TypeVar("Moment", int, float, "NDArray[np.int64]", "NDArray[np.float64]")


def opening(moment: Moment, timeframe: Timeframe) -> Moment:
    """The open time of the bar that contains `moment`, in unix seconds; of each moment for an array."""
    shift, seconds = _first_opening(timeframe), SECONDS[timeframe]
    return (moment - shift) // seconds * seconds + shift


def next_opening(moment: Moment, timeframe: Timeframe) -> Moment:
    """The first open time of a bar at or after `moment`, in unix seconds; of each moment for an array."""
    shift, seconds = _first_opening(timeframe), SECONDS[timeframe]
    return -(-(moment - shift) // seconds) * seconds + shift


def is_multiple(timeframe: Timeframe, of: Timeframe) -> bool:
    """Whether bars of `timeframe` are made of whole bars `of` another; 8h bars are not made of 6h bars."""
    return SECONDS[timeframe] % SECONDS[of] == 0


def _first_opening(timeframe: Timeframe) -> int:
    return _FIRST_MONDAY if timeframe == "1w" else 0
