"""When the ledger says that data is written, it is on the disk: proved by system calls, not by SQLite's claim."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safety.ledger import Ledger

from .books import Clock

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
from pathlib import Path
from safety.ledger import Ledger
from tests.safety.ledger.books import Clock, approved, go
clock = Clock()
ledger = Ledger.open(Path(sys.argv[1]), now=clock)
intent = approved(ledger, clock)
os.write(2, b"MARK claim\\n")
assert ledger.claim(intent.intent_id, go).won
os.write(2, b"MARK claimed\\n")
ledger.halt("stop", "a test")
os.write(2, b"MARK halted\\n")
ledger.close()
"""


def between(lines: list[str], start: str, end: str) -> list[str]:
    """The calls between two marks, by name and file."""
    first = next(number for number, line in enumerate(lines) if f"MARK {start}\\n" in line)
    last = next(number for number, line in enumerate(lines) if f"MARK {end}\\n" in line)
    found: list[str] = []
    for line in lines[first + 1 : last]:
        call = re.search(r"(fsync|fdatasync|unlink|pwrite64|write)\(.*?([^/\"<>]+)[\">]", line)
        if call is not None:
            found.append(f"{call[1].replace('fdatasync', 'fsync')} {call[2]}")
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("start", "end"), [("claim", "claimed"), ("claimed", "halted")])
def test_a_claim_and_a_halt_are_on_the_disk_before_they_return(home: Path, start: str, end: str) -> None:
    trace = home.with_name("trace")
    calls = "trace=fsync,fdatasync,unlink,pwrite64,write"
    done = subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", PROGRAM, str(home)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    steps = between(trace.read_text().splitlines(), start, end)

    written = max(number for number, step in enumerate(steps) if step == "pwrite64 safety.db")
    synced = steps.index("fsync safety.db", written)
    cleared = steps.index("pwrite64 safety.db-journal", synced)
    assert "fsync safety.db-journal" in steps[cleared:]
    assert "fsync safety.db-journal" in steps[:written]


def test_the_file_is_kept_in_the_careful_way(home: Path, clock: Clock) -> None:
    ledger = Ledger.open(home, now=clock)
    with ledger._database.read() as db:  # pyright: ignore[reportPrivateUsage] - settings of a connection show nowhere else
        found = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    ledger.close()

    assert found == {"journal_mode": "persist", "synchronous": 3}
