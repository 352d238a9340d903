"""Recorded candles, imported and read by an agent: the tool's indicators equal TA-Lib's on the file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from api.symbols import Instrument
from api.times import SystemClock
from engine.engine import Engine, EngineSettings
from engine.frame import Bars
from server.settings import Settings
from tests.candle_files import import_file
from tests.conftest import Connect
from tests.engine.language.test_indicator_oracles import ORACLES

BTC = Instrument("binance", "BTC", "USDT")
FROM_THE_FIRST_BAR = {"obv", "ad", "adosc", "nvi", "pvi", "pvt", "vwap", "wad", "sar"}
"""Their level depends on the start of the history, and a tool call loads only a part of it."""


def bars_of(path: Path) -> Bars:
    """The file, oldest first, read without our importer."""
    with path.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["unix"]))
    columns = (np.array([float(row[name]) for row in rows]) for name in ("open", "high", "low", "close", "volume"))
    return Bars(*columns, source="imported")


async def test_forty_indicators_of_imported_hours_are_those_of_talib(
    btc_hours: Path, settings: Settings, connect: Connect
) -> None:
    engine = await Engine.open(EngineSettings(settings.home), SystemClock())
    import_file(engine.store, btc_hours, BTC, "1h")
    await engine.aclose()
    bars = bars_of(btc_hours)
    checked: list[str] = []

    async with connect(settings) as client:
        for expression, oracle in ORACLES.items():
            if expression.partition("(")[0] in FROM_THE_FIRST_BAR:
                continue
            answer = await client.call_tool("market_evaluate", {"symbol": "BTC/USDT", "expression": expression})
            assert answer.structured_content is not None, answer
            assert answer.structured_content["source"] == "imported"
            # Answers have six significant digits; the indicators' own tests compare all digits.
            np.testing.assert_allclose(
                answer.structured_content["value"], oracle(bars)[-1], rtol=5e-6, atol=1e-9, err_msg=expression
            )
            checked.append(expression.partition("(")[0])

    assert len(set(checked)) >= 40
