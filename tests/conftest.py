"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def recorded_btc_csv() -> Path:
    """Recorded BTC/USD hours, 2018-2022 (MIT, Gym-Trading-Env). Not ours to redistribute, so looked for, not committed.

    `HEYTRADERS_RECORDED_CSV` names the file; without it a `shared/data` folder beside the checkout is looked into.
    """
    named = os.environ.get("HEYTRADERS_RECORDED_CSV")
    beside = Path(__file__).parents[2] / "shared" / "data" / "BTC_USD-Hourly.csv"
    path = Path(named) if named else beside
    if not path.is_file():
        pytest.skip(f"no recorded data at {path}; set HEYTRADERS_RECORDED_CSV to BTC_USD-Hourly.csv")
    return path
