"""backtest_and_poll on the hosted service, which documents few of its answers and none of our additions."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from server.settings import Settings
from tests.conftest import Connect

Fields = dict[str, Any]

TRADES = [{"symbol": "BTC/USDT", "pnl": pnl} for pnl in (5.0, -3.0, 9.0, 1.0, -8.0)]
JOB: Fields = {
    "strategy_type": "signal",
    "script": "mystery(close) > 0",
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
}


class Hosted(BaseHTTPRequestHandler):
    """Runs every backtest: queued at the first poll, then running, then completed."""

    looks: list[str]
    bodies: list[Fields]

    def do_GET(self) -> None:
        """Status and results, with the few fields of the API document."""
        path = self.path.partition("/api/v1")[2].partition("?")[0]
        if path == "/backtest/status/job-1":
            state = ("queued", "running", "completed")[min(len(self.looks), 2)]
            self.looks.append(state)
            self._answer({"status": state, **({"result_id": "result-1"} if state == "completed" else {})})
        elif path == "/backtest/results/result-1":
            self._answer({"metrics": {"total_return_pct": 4.2, "num_trades": 5}, "dashboard_url": "https://x/1"})
        elif path == "/backtest/results/result-1/trades":
            self._answer({"trades": TRADES})

    def do_POST(self) -> None:
        """Execute."""
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer({"backtest_id": "job-1"})

    def _answer(self, data: Fields) -> None:
        body = json.dumps({"success": True, "data": data, "error": None, "meta": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def hosted_service() -> Generator[tuple[str, list[Fields]]]:
    """Its base URL, and the posted bodies."""
    bodies: list[Fields] = []
    handler = type("Handler", (Hosted,), {"looks": [], "bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}/api/v1", bodies
        finally:
            web.shutdown()
            thread.join()


async def test_a_sparse_service_still_gives_a_verdict(connect: Connect, tmp_path: Path) -> None:
    with hosted_service() as (url, bodies):
        async with connect(Settings(home=tmp_path, base_url=url)) as client:
            result = await client.call_tool("backtest_and_poll", JOB)
            strange = await client.call_tool("backtest_results", {"result_id": "result-1"})

    assert not result.is_error, result.content
    verdict: Fields = result.structured_content or {}
    assert verdict["status"] == "completed"
    assert verdict["metrics"] == {"total_return_pct": 4.2, "num_trades": 5}
    assert [trade["pnl"] for trade in verdict["best_trades"]] == [9.0, 5.0, 1.0]
    assert [trade["pnl"] for trade in verdict["worst_trades"]] == [-8.0, -3.0, 1.0]
    assert any("mystery" in warning for warning in verdict["warnings"])
    assert (strange.structured_content or {})["dashboard_url"] == "https://x/1"
    assert len(bodies) == 1
    assert bodies[0]["script"] == "mystery(close) > 0"
    assert not {"parameters", "mode"} & bodies[0].keys()


async def test_a_ready_strategy_travels_with_its_parameters_beside_the_others(connect: Connect, tmp_path: Path) -> None:
    body = {**JOB, "strategy_type": "dca", "parameters": {"fixed_amount": 50, "interval": "weekly"}}
    del body["script"]
    with hosted_service() as (url, bodies):
        async with connect(Settings(home=tmp_path, base_url=url)) as client:
            result = await client.call_tool("backtest_execute", body)

    assert (result.structured_content or {})["backtest_id"] == "job-1"
    assert (bodies[0]["fixed_amount"], bodies[0]["interval"]) == (50, "weekly")
    assert "parameters" not in bodies[0]
