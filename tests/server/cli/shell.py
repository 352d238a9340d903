"""A user's shell: a verb with an environment, a folder and input of its own; returns its output and exit code.

`run_here` runs the verb in the test's process, which saves the seconds that a start takes. `run_process` starts a
process, for what only a process shows: the entry point, the exit code, signals and what is left when it ends.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final
from unittest.mock import patch

from server.cli import main

ROOT: Final = Path(__file__).parents[3]
Done = subprocess.CompletedProcess[str]


def run_here(*arguments: str, env: Mapping[str, str], folder: Path = ROOT, typed: str = "") -> Done:
    """Run a verb in this process."""
    stdin, stdout, stderr = _stream(typed), _stream(), _stream()
    words = ["heytraders-mcp", *arguments]
    with (
        _own_log(),
        chdir(folder),
        patch.dict(os.environ, _environment(env), clear=True),
        patch.object(sys, "argv", words),
        patch.object(sys, "stdin", stdin),
        patch.object(sys, "excepthook", sys.excepthook),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception as error:  # noqa: BLE001 - as the interpreter does
            sys.excepthook(type(error), error, error.__traceback__)
            code = 1
    return subprocess.CompletedProcess(words, code, _text(stdout), _text(stderr))


def run_process(*arguments: str, env: Mapping[str, str], folder: Path = ROOT, typed: str = "") -> Done:
    """Run a verb in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "heytraders_mcp", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=_environment({"PYTHONPATH": str(ROOT), **env}),
        check=False,
        cwd=folder,
    )


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """No setting of the user who runs the tests reaches a verb, and no verb writes into that user's home."""
    return {**{name: os.environ[name] for name in ("PATH", "XDG_STATE_HOME")}, **given}


def _stream(text: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def _own_log() -> Generator[None]:
    """A verb directs the log of its process to its own stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
