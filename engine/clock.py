"""The engine's time. All code reads it from a `Clock`, so that tests and demos can run faster than real time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


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
