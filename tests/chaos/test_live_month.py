"""A simulated day of live strategies with killed processes: `pytest -m slow tests/chaos/test_live_month.py`.

`python -m tests.chaos.live_month` runs a month.
"""

from __future__ import annotations

import pytest

from .live_month import run


@pytest.mark.slow
def test_a_day_of_kills_and_outages_loses_no_signal_and_doubles_no_order() -> None:
    assert run(days=1, speed=14_400, seed=2, count=6) == []
