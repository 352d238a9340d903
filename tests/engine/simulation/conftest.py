"""Recorded BTC hours for the tests that compare the kernel with other engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.frame import Frame
from tests.engine.simulation.worlds import PERPETUAL, recorded_hours


@pytest.fixture(scope="session")
def recorded(btc_hours: Path) -> Frame:
    """BTC/USD hours of 2018 to 2022, as a perpetual so that shorts are possible; read-only."""
    frame = recorded_hours(btc_hours, PERPETUAL)
    for column in (frame.bars[PERPETUAL].open, frame.bars[PERPETUAL].close, np.asarray(frame.time)):
        column.flags.writeable = False
    return frame
