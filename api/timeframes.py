"""The bar lengths of the API document."""

from __future__ import annotations

from typing import Final, Literal

Timeframe = Literal["1m", "5m", "15m", "1h", "4h", "1d"]

SECONDS: Final[dict[Timeframe, int]] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
