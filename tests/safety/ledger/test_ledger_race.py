"""Sixteen processes against one daily limit: the admitted orders add up to exactly the limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def raced(home: Path, *, attempts: int, limit: int, seed: int) -> dict[str, Any]:
    """The report of `limit_race`."""
    arguments = [str(home), "--attempts", str(attempts), "--limit", str(limit), "--seed", str(seed)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.safety.ledger.limit_race", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_exact(report: dict[str, Any], *, attempts: int, limit: int) -> None:
    """Every process finished, the sum is the limit, and the journal has every attempt: of the denials of one hour the
    first 1,000, and one entry that there were more."""
    assert report["codes"] == [0] * 16
    assert report["sum"] == str(limit)
    assert sum(report["admitted_by_process"]) == report["booked"]
    assert report["denied"] == min(16 * attempts - report["booked"], 1_001)
    assert report["breaks"] == []


def test_sixteen_processes_fill_one_limit_exactly(home: Path) -> None:
    assert_exact(raced(home, attempts=15, limit=1_500, seed=1), attempts=15, limit=1_500)


@pytest.mark.slow
def test_so_they_do_with_a_thousand_attempts_each(home: Path) -> None:
    assert_exact(raced(home, attempts=1_000, limit=20_000, seed=2), attempts=1_000, limit=20_000)
