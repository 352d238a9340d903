"""Makes the pictures in docs/charts: backtests and a sweep on the simulated market, drawn by the engine.

`uv run python -m bench.pictures [FOLDER]`. The clock is fixed and the market is seeded, so the data is the same each
time.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import httpx

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.routes import create_app

NOON = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""

RSI = """
n = param("n", 14, 4, 24, 4)
edge = param("edge", 30, 20, 40, 5)
emit_signal(rsi(close, n) < edge, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.08))
emit_signal(rsi(close, n) > 100 - edge, exit(TICKER))
"""
TREND = """
emit_signal(crossover(ema(close, 20), ema(close, 60)), entry(TICKER, "LONG", Weight(0.3), stop_loss=0.06))
emit_signal(crossunder(ema(close, 20), ema(close, 60)), exit(TICKER))
"""
BREAKOUT = """
emit_signal(close > lag(highest(high, 40), 1), entry(TICKER, "LONG", Weight(0.9), stop_loss=0.04, trailing_stop=0.06))
emit_signal(close < lag(lowest(low, 20), 1), exit(TICKER))
"""
BASE: dict[str, Any] = {
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2023-01-01",
    "end_date": "2025-05-31",
    "timeframe": "4h",
}
FOUR = ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT", "BINANCE:XRP/USDT"]


class Maker:
    """The engine's REST API with the local key, and a folder for pictures."""

    def __init__(self, engine: Engine, key: str, folder: Path) -> None:
        transport = httpx.ASGITransport(create_app(engine))
        headers = {"X-API-Key": key}
        self.client = httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1", headers=headers)
        self.folder = folder

    async def data(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of one request."""
        answer = await self.client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()["data"]

    async def ended(self, path: str) -> dict[str, Any]:
        """Follow a job to its end."""
        while True:
            found = await self.data("GET", path)
            if found["status"] not in ("queued", "running"):
                return found
            await anyio.sleep(0.05)

    async def tested(self, script: str, description: str, **terms: Any) -> str:
        """Run a backtest and return its result_id."""
        body = {**BASE, "strategy_type": "signal", "script": script, "description": description, **terms}
        return await self.finished(await self.data("POST", "/backtest/execute", body))

    async def finished(self, started: dict[str, Any]) -> str:
        """The result_id of a job that was queued."""
        return (await self.ended(f"/backtest/status/{started['backtest_id']}"))["result_id"]

    async def draw(self, name: str, picture: dict[str, Any]) -> None:
        """Write one picture and print its description."""
        (self.folder / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
        print(f"{name}.png: {picture['alt']}")


async def make(folder: Path) -> None:
    """All pictures."""
    with tempfile.TemporaryDirectory() as home:
        engine = await Engine.open(EngineSettings(Path(home)), AcceleratedClock(NOON))
        try:
            await _all(Maker(engine, await engine.access.local_key(), folder))
        finally:
            await engine.aclose()


async def _all(maker: Maker) -> None:
    reversal = await maker.tested(RSI, "RSI reversal")
    trend = await maker.tested(TREND, "Trend following", universe=FOUR)
    breakout = await maker.tested(BREAKOUT, "Breakout of 40 bars")
    shares = {"result_ids": [reversal, trend, breakout], "weights": [2, 1, 1], "rebalance": "quarterly"}
    portfolio = await maker.finished(await maker.data("POST", "/backtest/portfolio", shares))
    started = await maker.data("POST", "/backtest/sweep", {**BASE, "script": RSI})
    sweep = (await maker.ended(f"/backtest/sweep/{started['sweep_id']}"))["sweep_id"]
    wanted = (
        ("equity", reversal, "equity", "light"),
        ("equity-dark", breakout, "equity", "dark"),
        ("trades", reversal, "trades", "light"),
        ("trades-dark", breakout, "trades", "dark"),
        ("months", reversal, "months", "light"),
        ("contribution", trend, "allocation", "light"),
        ("allocation", portfolio, "allocation", "light"),
        ("heatmap", sweep, "heatmap", "light"),
        ("heatmap-dark", sweep, "heatmap", "dark"),
        ("walk-forward", sweep, "walk_forward", "light"),
    )
    for name, which, kind, theme in wanted:
        body = {"result_id": which, "kind": kind, "theme": theme}
        await maker.draw(name, await maker.data("POST", "/backtest/chart", body))
    body = {"result_ids": [reversal, trend, breakout], "chart": True}
    await maker.draw("comparison", (await maker.data("POST", "/backtest/compare", body))["picture"])


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/charts")
    target.mkdir(parents=True, exist_ok=True)
    anyio.run(make, target)
