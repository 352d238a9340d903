"""Backtests on data with holes, with too little history, and in named experiments: messages and thresholds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api.symbols import Instrument
from engine.engine import Engine
from engine.feeds.importing import import_file

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
async def test_bars_that_could_decide_nothing_are_told_and_left_out_of_holding(finish: Finish, send: Send) -> None:
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
