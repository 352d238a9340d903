"""A process that has imported the verbs of a human already, and forks one process for each that a test starts.

The interpreter and the imports take most of the time of such a verb. What a test observes stays a process of its own:
with its terminal, environment, folder, session, signals and exit code, entered through the program's own `main`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).parents[3]
IMPORTED: Final = (
    "heytraders_mcp.__main__",
    "safety.ledger",
    "server.cli.approve",
    "server.cli.halt",
    "server.cli.login",
    "server.cli.policy",
)


class Started:
    """A verb that was started on a terminal."""

    def __init__(self, report: TextIO) -> None:
        self._report = report
        self._code: int | None = None
        self.pid = int(report.readline())

    def kill(self) -> None:
        """End it at once, unless it is known to have ended."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Its exit code; below zero, the signal that ended it."""
        if self._code is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise TimeoutError(f"process {self.pid} still runs after {timeout} seconds")
            with self._report:
                self._code = int(self._report.readline())
        return self._code


def start(*arguments: str, env: Mapping[str, str], terminal: int) -> Started:
    """Start a verb with a terminal as its input and output."""
    ours, theirs = os.pipe()
    words = json.dumps({"arguments": arguments, "env": dict(env)})
    try:
        socket.send_fds(_door(), [words.encode() + b"\n"], [terminal, theirs])
    finally:
        os.close(theirs)
    return Started(os.fdopen(ours))


@functools.cache
def _door() -> socket.socket:
    """Starts the warm process of this test process, which ends with it."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.cli.warm", str(theirs.fileno())],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(door: socket.socket) -> None:
    """Fork for each request, until the test process ends. Returns in a child as well, ready to run its verb."""
    for name in IMPORTED:
        import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    while True:
        words, fds, _, _ = socket.recv_fds(door, 65_536, 2)
        if not words:
            os._exit(0)
        while not words.endswith(b"\n"):
            words += door.recv(65_536)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            door.close()
            _keep(*fds)
            return _become(**json.loads(words))
        for fd in fds:
            os.close(fd)


def _keep(terminal: int, report: int) -> None:
    """Fork the verb, say its number and how it ended; returns in the verb alone."""
    pid = os.fork()
    if pid == 0:
        os.close(report)
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(terminal, fd)
        return os.close(terminal)
    os.close(terminal)
    os.write(report, f"{pid}\n".encode())
    os.write(report, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    os._exit(0)


def _become(arguments: list[str], env: dict[str, str]) -> None:
    """Be as a new process with these arguments and this environment."""
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["heytraders-mcp", *arguments]
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(fd, "w", encoding="utf-8", buffering=1, closefd=False) for fd in (1, 2))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    entry: Any = import_module("heytraders_mcp.__main__")
    entry.main()
