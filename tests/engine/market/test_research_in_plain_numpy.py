"""A scan and a ranking over every simulated symbol agree with a plain NumPy version."""

from __future__ import annotations

import numpy as np
import pytest

from api.exchanges import EXCHANGES, ExchangeId
from engine.engine import Engine
from engine.frame import Floats
from tests.engine.conftest import Call

BARS = 60


@pytest.fixture
def closes_and_volumes(engine: Engine) -> dict[ExchangeId, dict[str, tuple[Floats, Floats]]]:
    """The last bars of every symbol with enough of them, by exchange."""
    found: dict[ExchangeId, dict[str, tuple[Floats, Floats]]] = {}
    for exchange in EXCHANGES:
        instruments = [listing.instrument for listing in engine.feed.listings(exchange)]
        candles = [engine.feed.candles(instrument, "1h", limit=BARS) for instrument in instruments]
        found[exchange] = {c.instrument.symbol: (c.bars.close, c.bars.volume) for c in candles if len(c) == BARS}
    return found


async def test_a_scan_of_every_symbol(
    call: Call, closes_and_volumes: dict[ExchangeId, dict[str, tuple[Floats, Floats]]]
) -> None:
    # A margin of 0.1 % keeps unchanged prices off the edge, where the last bit of a mean would decide.
    condition = (
        "close > 1.001 * sma(close, 20) and volume > 1.001 * sma(volume, 20) or close < 0.97 * highest(close, 24)"
    )
    seen = 0
    for exchange, symbols in closes_and_volumes.items():
        body = {"universe": list(symbols), "exchange": exchange, "condition": condition}
        data = (await call("POST", "/market/scan", json=body)).json()["data"]
        holds = {
            symbol
            for symbol, (close, volume) in symbols.items()
            if (close[-1] > 1.001 * close[-20:].mean() and volume[-1] > 1.001 * volume[-20:].mean())
            or close[-1] < 0.97 * close[-24:].max()
        }

        assert set(data["matched"]) == holds
        assert data["scanned_count"] == len(symbols)
        seen += len(symbols)
    assert seen >= 200


async def test_a_ranking_of_every_symbol(
    call: Call, closes_and_volumes: dict[ExchangeId, dict[str, tuple[Floats, Floats]]]
) -> None:
    expression = "roc(close, 7) - zscore(close, 30)"
    for exchange, symbols in closes_and_volumes.items():
        body = {"universe": list(symbols), "exchange": exchange, "expression": expression, "limit": 500}
        data = (await call("POST", "/market/rank", json=body)).json()["data"]
        scores = {symbol: _score(close) for symbol, (close, _) in symbols.items()}
        finite = {symbol: score for symbol, score in scores.items() if np.isfinite(score)}

        assert {r["symbol"] for r in data["ranked"]} == set(finite)
        assert [r["score"] for r in data["ranked"]] == sorted((r["score"] for r in data["ranked"]), reverse=True)
        for row in data["ranked"]:
            assert row["score"] == pytest.approx(finite[row["symbol"]], rel=1e-9, abs=1e-9)
            assert row["price"] == symbols[row["symbol"]][0][-1]


def _score(close: Floats) -> float:
    rate = (close[-1] / close[-8] - 1) * 100
    window = close[-30:]
    return float(rate - (close[-1] - window.mean()) / window.std()) if np.ptp(window) > 0 else np.nan
