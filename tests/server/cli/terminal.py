"""A human at a terminal: a verb in its own process, on a pseudo-terminal that tests read from and type into.

`terminal` forks that process from a warm one; `cold_terminal` starts the program as a user does, with an interpreter
and imports of its own.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from tests.server.cli import warm

PATIENCE: Final = 60.0


class Process(Protocol):
    """A verb that runs."""

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self, timeout: float) -> int:
        """Its exit code."""
        ...


class Terminal:
    """What the human sees and types."""

    def __init__(self, process: Process, handle: int) -> None:
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
    with _on_a_terminal(
        lambda inside: warm.start(*arguments, env=_environment(home, settings), terminal=inside)
    ) as human:
        yield human


@contextmanager
def cold_terminal(home: Path, *arguments: str, **settings: str) -> Generator[Terminal]:
    """The same, with an interpreter and imports of its own."""

    def start(inside: int) -> Process:
        return subprocess.Popen(
            [sys.executable, "-m", "heytraders_mcp", *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=_environment(home, settings),
            cwd=warm.ROOT,
            start_new_session=True,
        )

    with _on_a_terminal(start) as human:
        yield human


def _environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HEYTRADERS_HOME": str(home), "TERM": "dumb", **settings}


@contextmanager
def _on_a_terminal(start: Callable[[int], Process]) -> Generator[Terminal]:
    """Start a process on a new terminal, and end it at the end of the block."""
    handle, inside = pty.openpty()
    try:
        process = start(inside)
    finally:
        os.close(inside)
    try:
        yield Terminal(process, handle)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(PATIENCE)
        os.close(handle)
