"""Exactly once, under `kill -9` and a hostile exchange; the same harness convicts a naive client."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from .safety_harness import ROOT

SEED = 20_251


def chaos(client: str, kills: int, labels: str = "echoed") -> dict[str, Any]:
    """The report of a run, in a separate process because the harness forks."""
    options = ["--client", client, "--kills", str(kills), "--labels", labels, "--seed", str(SEED)]
    command = [sys.executable, "-m", "tests.chaos.safety_chaos", *options]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def check(report: dict[str, Any], kills: int) -> None:
    """No violation, and enough events that violations were possible."""
    assert report["violations"] == []
    assert report["killed"]["kills"] >= kills
    assert report["figures"]["intents ACKED"] >= kills / 10
    assert len(report["fates"]) > 5


@pytest.mark.long
@pytest.mark.parametrize("labels", ["echoed", "dropped"])
def test_no_order_is_doubled_or_misreported_however_often_its_process_is_killed(labels: str) -> None:
    check(chaos("gated", 60, labels), 60)


def test_a_client_that_tries_again_on_errors_duplicates_orders_in_this_harness() -> None:
    figures = chaos("naive", 30)["figures"]

    assert figures["duplicated wishes"] >= figures["wishes"] / 100


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["echoed", "dropped"])
def test_nor_after_two_thousand_kills(labels: str) -> None:
    """`uv run pytest -m slow tests/chaos/test_safety_chaos.py`"""
    check(chaos("gated", 2_000, labels), 2_000)
