"""Exactly once, under `kill -9` and a hostile exchange; and a naive client, which the same harness convicts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SEED = 20_251
ROOT = Path(__file__).parents[2]


def chaos(client: str, kills: int, *options: str) -> dict[str, Any]:
    """The report of a run. In a process of its own, since the harness forks."""
    command = [sys.executable, "-m", "tests.chaos.safety_chaos", "--client", client, "--kills", str(kills), *options]
    ran = subprocess.run([*command, "--seed", str(SEED)], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def test_a_client_that_tries_again_on_errors_duplicates_orders_in_this_harness() -> None:
    figures = chaos("naive", 30)["figures"]

    assert figures["duplicated wishes"] >= figures["wishes"] / 100
