"""The curl lines of the API document, sections 1-3 and 5.5, against a real server; only the host changes."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from engine.engine import Engine, EngineSettings
from engine.routes import create_app

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
async def base_url(tmp_path: Path) -> AsyncIterator[str]:
    """A server on a free local port."""
    engine = await Engine.open(EngineSettings(tmp_path))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(engine), log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        server.should_exit = True
        await serving
    await engine.aclose()


async def curl(*arguments: str) -> str:
    """The output of curl."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "--noproxy", "*", "--max-time", "20", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_the_documents_curl_lines_work_with_only_the_host_changed(base_url: str) -> None:
    async def post(path: str, body: dict[str, Any], *headers: str) -> dict[str, Any]:
        json_header = ("-H", "Content-Type: application/json")
        return json.loads(await curl("-X", "POST", *headers, *json_header, "-d", json.dumps(body), base_url + path))

    registered = await post("/meta/register", {"display_name": "My Bot", "risk_profile": "moderate"})
    key = ("-H", f"X-API-Key: {registered['data']['api_key']}")
    health = json.loads(await curl(f"{base_url}/meta/health"))
    capabilities = json.loads(await curl(*key, f"{base_url}/meta/capabilities"))
    tickers = json.loads(await curl(f"{base_url}/market/tickers?category=top_market_cap&limit=5"))
    candles = json.loads(await curl(*key, f"{base_url}/market/ohlcv?symbol=BTC/USDT&limit=2"))
    value = await post("/market/evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}, *key)
    universe = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    condition = "rsi(close, 14) < 30 and volume > sma(volume, 20)"
    scan = await post("/market/scan", {"universe": universe, "condition": condition}, *key)
    rank = await post("/market/rank", {"universe": universe, "expression": "roc(close, 7)"}, *key)
    no_key = await post("/market/scan", {"universe": universe, "condition": condition})

    succeeded = (registered, health, capabilities, tickers, candles, value, scan, rank)
    assert all(answer["success"] for answer in succeeded)
    assert len(tickers["data"]["tickers"]) == 5
    assert scan["data"]["scanned_count"] == 3
    assert [r["rank"] for r in rank["data"]["ranked"]] == [1, 2, 3]
    assert no_key["error"]["code"] == "INVALID_API_KEY"


@pytest.mark.parametrize("slug", ["signal-dsl", "operators", "data"])
async def test_the_documents_are_fetched_as_raw_markdown(base_url: str, slug: str) -> None:
    text = await curl("-H", "Accept: text/markdown", f"{base_url}/docs/{slug}")

    assert text.startswith("# ")
