"""Backtests on data with holes, with too little history, and in named experiments: messages and thresholds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.symbols import Instrument
from engine.engine import Engine
from tests.candle_files import import_file

from .conftest import EXAMPLE, Body, Finish, Send

HOLED = Instrument("gate", "HOLE", "USDT")
BEGIN = 1_704_067_200
"""2024-01-01 00:00 UTC."""
DAYS = 60


@pytest.fixture(scope="module")
def holed(research: Engine, tmp_path_factory: pytest.TempPathFactory) -> Instrument:
    """Sixty days of hourly bars with every twentieth missing; the price rises by 0.05 an hour."""
    rows = ["time,open,high,low,close,volume"]
    for hour in range(DAYS * 24):
        if hour % 20 != 7:
            price = 100 + 0.05 * hour
            rows.append(f"{BEGIN + 3600 * hour},{price},{price + 0.05},{price},{price + 0.05},10")
    csv = tmp_path_factory.mktemp("holes") / "holed.csv"
    csv.write_text("\n".join(rows), encoding="utf-8")
    import_file(research.store, csv, HOLED, "1h", allow_gaps=True, clock=research.clock)
    return HOLED


def _body(script: str, timeframe: str = "1h", **more: Any) -> Body:
    last = datetime.fromtimestamp(BEGIN + 86_400 * (DAYS - 1), UTC).date().isoformat()
    return {**EXAMPLE, "script": script, "universe": [HOLED.ticker], "exchange": "gate", "timeframe": timeframe,
            "start_date": "2024-01-01", "end_date": last, **more}  # fmt: skip


HOLD = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(1)))'


async def _results(finish: Finish, send: Send, body: Body) -> Body:
    done = await finish(body)
    assert done["status"] == "completed", done
    found: Body = (await send("GET", f"/backtest/results/{done['result_id']}")).json()["data"]
    found["all"] = (await send("GET", f"/backtest/results/{done['result_id']}/metrics")).json()["data"]
    return found


@pytest.mark.usefixtures("holed")
async def test_missing_hours_are_counted_and_a_year_is_one_of_the_calendar(finish: Finish, send: Send) -> None:
    found = await _results(finish, send, _body(HOLD))

    assert found["assumptions"]["bars"] == DAYS * 24 * 19 // 20
    assert any(f"{DAYS * 24 // 20} of {DAYS * 24:,} bars are missing" in warning for warning in found["warnings"])
    growth = 1 + found["metrics"]["total_return_pct"] / 100
    assert found["all"]["annual_return"] == pytest.approx(growth ** (365 / DAYS) - 1)
    assert found["assumptions"]["periods_per_year"] == pytest.approx(8_760 * 19 / 20)


@pytest.mark.usefixtures("holed")
async def test_days_made_of_hours_with_holes_are_all_there_and_marked(finish: Finish, send: Send) -> None:
    found = await _results(finish, send, _body(HOLD, "1d"))

    assert found["assumptions"]["bars"] == DAYS
    assert any(f"{DAYS} of {DAYS} bars were made of fewer" in warning for warning in found["warnings"])


@pytest.mark.usefixtures("holed")
async def test_a_day_within_an_hourly_script_is_that_of_a_daily_one(finish: Finish, send: Send) -> None:
    """The hourly run reads the day's close on the first bar after the day; the daily run decides on the close."""
    rule = 'emit_signal({0} > 130 and {0} < 131.3, entry(TICKER, "LONG", Weight(1)))'
    hourly = await _results(finish, send, _body(rule.format('tf("1d", close)')))
    daily = await _results(finish, send, _body(rule.format("close"), "1d"))

    (one,), (other,) = hourly["best_trades"], daily["best_trades"]
    assert one["entry_time"] == other["entry_time"]
    assert one["entry_price"] == pytest.approx(other["entry_price"])


@pytest.mark.usefixtures("holed")
async def test_bars_that_could_decide_nothing_are_reported_and_left_out_of_holding(finish: Finish, send: Send) -> None:
    script = 'emit_signal(close > sma(close, 400), entry(TICKER, "LONG", Weight(1)))'
    # Weight(1) of these thin bars exceeds the share of their volume that may trade; other tests cover that limit.
    found = await _results(finish, send, {**_body(script), "max_volume_share": 0})

    (said,) = [warning for warning in found["warnings"] if "could not decide" in warning]
    assert "The first 399 of 1,368 bars" in said
    assert found["metrics"]["total_return_pct"] == pytest.approx(found["buy_and_hold"]["total_return_pct"], abs=0.2)


@pytest.mark.usefixtures("holed")
async def test_a_named_experiment_counts_its_own_tries(finish: Finish, send: Send) -> None:
    script = 'emit_signal(close > sma(close, {0}), entry(TICKER, "LONG", Weight(0.{0})))'
    tried = [
        (await _results(finish, send, _body(script.format(n), experiment=name)))["robustness"]["variants_tried"]
        for n, name in ((3, "first"), (4, "first"), (5, "second"), (6, "first"))
    ]

    assert tried == [1, 2, 1, 3]


@pytest.mark.parametrize(("base", "minutes", "longer"), [("15m", 15, "4h"), ("30m", 30, "12h")])
async def test_longer_bars_over_irregular_holes_are_those_of_pandas(
    research: Engine, finish: Finish, send: Send, tmp_path: Path, base: Any, minutes: int, longer: str
) -> None:
    pandas: Any = import_module("pandas")
    rng, days = np.random.default_rng(minutes), 16
    size, step = days * 1_440 // minutes, 60 * minutes
    close = np.round(0.0317 * np.exp(np.cumsum(rng.normal(0.0, 0.004, size))), 7)
    opened = np.concatenate([[0.0317], close[:-1]])
    kept = rng.random(size) > 0.07
    kept[size // 3 : size // 3 + 540 // minutes] = False
    kept[[0, -1]] = True
    table = pandas.DataFrame({"time": BEGIN + step * np.arange(size), "open": opened, "high": np.maximum(opened, close),
                              "low": np.minimum(opened, close), "close": close, "volume": 1e9})[kept]  # fmt: skip
    table.to_csv(tmp_path / "thin.csv", index=False)
    thin = Instrument("gate", f"THIN{minutes}", "USDT")
    import_file(research.store, tmp_path / "thin.csv", thin, base, allow_gaps=True, clock=research.clock)

    line = f"tf('{longer}', close)", f"tf('{longer}', sma(close, 3))"
    script = "emit_signal({0} > {1}, entry(TICKER, 'LONG', Weight(0.5)))\nemit_signal({0} < {1}, exit(TICKER))"
    last = (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=days - 1)).date().isoformat()
    body = {**_body(script.format(*line), base), "universe": [thin.ticker], "end_date": last, "max_volume_share": 0}
    found = await _results(finish, send, body)
    trades = (await send("GET", f"/backtest/results/{found['result_id']}/trades?limit=500")).json()["data"]["trades"]

    closes = table.set_index(pandas.to_datetime(table["time"], unit="s", utc=True))["close"]
    bars = closes.resample(longer).last().dropna()
    rising = (bars - bars.rolling(3).mean()).dropna()
    known = rising.shift(freq=longer)  # a bar is known at its end
    at_close = (closes.index + pandas.Timedelta(minutes=minutes)).rename("time")
    side = np.sign(known.reindex(at_close, method="ffill").to_numpy())
    wanted: list[str] = []
    held = False
    for bar, now in enumerate(side[:-1]):
        if (now > 0 and not held) or (now < 0 and held):
            held = not held
            if held:
                wanted.append(closes.index[bar + 1].strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert len(wanted) > 3
    assert [trade["entry_time"] for trade in trades] == wanted
    assert any(f"{size - int(kept.sum())} of {size:,} bars are missing" in warning for warning in found["warnings"])
