"""An engine whose strategies move only when a test says so; it allows webhooks to this machine."""

from __future__ import annotations

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings

LIVE = LiveSettings(in_background=False, webhooks_to_loopback=True)


@pytest.fixture
async def engine(tmp_path: Path, clock: AcceleratedClock) -> AsyncIterator[Engine]:
    """A new engine; `engine.live.runner.tick()` advances its strategies."""
    opened = await Engine.open(EngineSettings(tmp_path / "home", live=LIVE), clock)
    yield opened
    await opened.aclose()


@dataclass
class Receiver:
    """A webhook receiver on this machine: the requests received, and the statuses to answer (then 200)."""

    url: str = ""
    answers: list[int] = field(default_factory=list[int])
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    state = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((dict(self.headers.items()), body))
            self.send_response(state.answers.pop(0) if state.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
