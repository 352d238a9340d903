"""A human at a terminal: a verb in its own process, on a pseudo-terminal that tests read from and type into."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PATIENCE: Final = 60.0


class Terminal:
    """What the human sees and types."""

    def __init__(self, process: subprocess.Popen[bytes], handle: int) -> None:
        self._process = process
        self._handle = handle
        self._read = 0
        self.seen = ""

    def until(self, text: str) -> str:
        """Wait until `text` appears, and return the output since the last call."""
        start = self._read
        deadline = time.monotonic() + PATIENCE
        while (found := self.seen.find(text, start)) < 0:
            if not self._more(deadline):
                raise AssertionError(f"{text!r} never showed; this did: {self.seen!r}")
        self._read = found + len(text)
        return self.seen[start : self._read]

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._handle, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and the output since the last call."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self._process.wait(PATIENCE), self.seen[self._read :]

    def _more(self, deadline: float) -> bool:
        """Read new output; false at the end."""
        ready, _, _ = select.select([self._handle], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._handle, 65_536)
        except OSError:
            return False
        self.seen += data.decode().replace("\r\n", "\n")
        return bool(data)


@contextmanager
def terminal(home: Path, *arguments: str, **settings: str) -> Generator[Terminal]:
    """Run a verb on a terminal with a temporary home folder; `settings` are further environment variables."""
    handle, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "heytraders_mcp", *arguments],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={"PATH": os.environ["PATH"], "HEYTRADERS_HOME": str(home), "TERM": "dumb", **settings},
        cwd=Path(__file__).parents[3],
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield Terminal(process, handle)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(handle)
