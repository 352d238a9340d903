"""Engines in separate processes, which tests kill, and helpers to talk to them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """A running `heytraders-mcp engine`."""

    process: subprocess.Popen[str]
    web: httpx2.Client

    def post(self, path: str, body: Fields | None = None) -> Fields:
        """The data of an answer that must be a success."""
        return self._data(self.web.post(path, json=body or {}))

    def get(self, path: str) -> Fields:
        """The same for a GET."""
        return self._data(self.web.get(path))

    def until(self, job: str, reached: Callable[[Fields], bool], seconds: float = 60.0) -> Fields:
        """Poll a job until it is in the wanted state."""
        deadline = time.monotonic() + seconds
        while not reached(status := self.get(f"/backtest/status/{job}")):
            assert time.monotonic() < deadline, status
            time.sleep(0.02)  # another process works; there is nothing in this one to wait for
        return status

    @staticmethod
    def _data(answer: httpx2.Response) -> Fields:
        assert answer.status_code == 200, answer.text
        data: Fields = answer.json()["data"]
        return data


Serve = Callable[[Path], AbstractContextManager[Served]]


@pytest.fixture
def serve() -> Serve:
    """`with serve(home) as engine:` runs an engine on that home until the block ends, then kills it."""

    @contextmanager
    def running(home: Path) -> Generator[Served]:
        with subprocess.Popen(
            [sys.executable, "-m", "heytraders_mcp", "engine", "--port", "0"],
            stderr=subprocess.PIPE,
            env={"HEYTRADERS_HOME": str(home)},
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stderr is not None
            said = "".join(process.stderr.readline() for _ in range(3))
            base, key = re.findall(r"on (http\S+) ", said)[0], re.findall(r"only: (\S+)", said)[0]
            with httpx2.Client(base_url=base, headers={"X-API-Key": key}, timeout=30) as web:
                try:
                    yield Served(process, web)
                finally:
                    process.kill()

    return running
