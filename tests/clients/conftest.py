"""Servers as a client meets them: real processes, in a hostile folder and environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.transports import HttpTransport

OUR_FOLDERS = ("api", "engine", "prompts", "resources", "safety", "server", "tools")


@dataclass(frozen=True, slots=True)
class Served:
    """A running HTTP server: what it printed for its clients."""

    process: subprocess.Popen[str]
    url: str
    headers: dict[str, str]

    @property
    def origin(self) -> str:
        """Scheme and authority of the URL."""
        return self.url.rpartition("/")[0]


def assert_ends_in_order(process: subprocess.Popen[str], ending: signal.Signals) -> None:
    """A signal ends a server with the code that a shell expects, and without a traceback."""
    process.send_signal(ending)

    assert process.wait(timeout=20) == 128 + ending
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """A working directory with packages that have our names and must never be imported."""
    for name in OUR_FOLDERS:
        folder = tmp_path / "hostile" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n", encoding="utf-8")
    return tmp_path / "hostile"


@pytest.fixture
def environment(tmp_path: Path, hostile_folder: Path) -> dict[str, str]:
    """Proxies that lead nowhere, a hostile module path, no certificates, a narrow encoding."""
    return {
        "PATH": os.environ["PATH"],
        "HEYTRADERS_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(hostile_folder),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "socks5://127.0.0.1:1",
        "SSL_CERT_FILE": str(tmp_path / "no-such-file"),
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "1",
    }


@pytest.fixture
def serve(environment: dict[str, str], hostile_folder: Path) -> Serve:
    """`with serve("sse") as served:` runs the server on a free port until the block ends."""

    @contextmanager
    def running(transport: HttpTransport, *options: str) -> Generator[Served]:
        command = [sys.executable, "-m", "heytraders_mcp", "serve", "--transport", transport, "--port", "0", *options]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, cwd=hostile_folder, text=True
        ) as process:
            try:
                yield _ready(process)
            finally:
                process.kill()

    return running


def _ready(process: subprocess.Popen[str]) -> Served:
    """Read the client configuration that the server prints when it listens."""
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("Ready."), first + process.stderr.read()
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stderr.readline())
    entry = json.loads("".join(lines))["mcpServers"]["heytraders"]
    return Served(process, entry["url"], entry.get("headers", {}))
