"""The ledger on the disk says that an order is being sent before a connection to the exchange is opened."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .safety_faults import honest
from .safety_harness import ROOT, exchange
from .safety_syscalls import CALLS, Disk

ORDERS = 12
SEED = 3
OTHER_WAY_ROUND = """
import socket, sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute(f"PRAGMA journal_mode={sys.argv[4]}")
ledger.execute(f"PRAGMA synchronous={sys.argv[2]}")
ledger.execute("CREATE TABLE intents (state)")
ledger.execute("INSERT INTO intents VALUES ('SENT')")
socket.create_connection(("127.0.0.1", int(sys.argv[3]))).close()
ledger.close()
"""


def traced(home: Path, port: int, command: list[str]) -> Disk:
    """A program's system calls, and what they show about the ledger in `home`."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = home / "trace"
    options = ["-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(trace)]
    subprocess.run([strace, *options, sys.executable, *command], cwd=ROOT, check=True, timeout=120)
    return Disk(home / "safety.db", port).read(trace.read_text())


def test_the_ledger_says_sent_before_the_exchange_receives_an_order(tmp_path: Path) -> None:
    with exchange(honest(), SEED, watched_home=tmp_path) as running:
        sender = ["-m", "tests.chaos.safety_sender", running.url, str(tmp_path), str(ORDERS), "0"]
        subprocess.run([sys.executable, *sender], cwd=ROOT, check=True, timeout=120)
        truth = running.truth()

    assert [arrival.row_state for arrival in truth.arrivals] == ["SENT"] * ORDERS


@pytest.mark.long
def test_every_connection_finds_the_ledger_on_the_disk(tmp_path: Path) -> None:
    with exchange(honest(), SEED) as running:
        port = urlsplit(running.url).port
        assert port is not None
        disk = traced(tmp_path, port, ["-m", "tests.chaos.safety_sender", running.url, str(tmp_path), str(ORDERS), "0"])

    assert disk.unsynced == []
    assert len(disk.connects) > ORDERS
    assert disk.commits >= 3 * ORDERS


@pytest.mark.parametrize(
    ("mode", "synchronous", "missing"),
    [
        ("PERSIST", "EXTRA", []),
        ("PERSIST", "OFF", ["the ledger was written", "a transaction was still open"]),
        ("DELETE", "EXTRA", []),
        ("DELETE", "FULL", ["the end of the transaction"]),
        ("DELETE", "OFF", ["the ledger was written", "the end"]),
    ],
)
def test_a_program_that_does_not_sync_is_found_out(
    tmp_path: Path, mode: str, synchronous: str, missing: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = ["-c", OTHER_WAY_ROUND, str(tmp_path / "safety.db"), synchronous, str(port), mode]
        disk = traced(tmp_path, port, command)

    assert len(disk.connects) == 1
    assert len(disk.unsynced) == len(missing)
    assert all(words in found for words, found in zip(missing, disk.unsynced, strict=True))
