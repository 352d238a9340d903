"""Lists, comparisons, reports, trades and pictures of results, checked against the plain answers and by hand."""

from __future__ import annotations

import base64
import struct
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from engine.charts.drawing import stop_path
from engine.charts.specifications import trades_chart
from engine.research.comparison import cointegration
from engine.research.report import drawdowns

from .conftest import Door

TREND = """
emit_signal(crossover(ema(close, 10), ema(close, 30)), entry(TICKER, "LONG", Weight(1), stop_loss=0.05))
emit_signal(crossunder(ema(close, 10), ema(close, 30)), exit(TICKER))
"""
BOTH = ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"]


async def test_backtests_are_found_by_word_tag_and_state(door: Door) -> None:
    await door.tested(description="A plain reversal on bitcoin #reversal", end_date="2024-03-31")
    await door.tested(script=TREND, description="Follows the trend #trend", end_date="2024-03-31")
    found = await door.data("GET", "/backtest/jobs?tag=trend")
    words = await door.data("GET", "/backtest/jobs?search=crossover%20ema&state=completed")
    none = await door.data("GET", "/backtest/jobs?state=open")

    assert [job["description"] for job in found["jobs"]] == ["Follows the trend #trend"]
    assert found["jobs"][0]["result_id"].startswith("res_")
    assert "Follows the trend #trend" in [job["description"] for job in words["jobs"]]
    assert none["jobs"] == []


async def test_a_comparison_shows_each_result_with_the_portfolio_between_them(door: Door) -> None:
    first = await door.tested()
    second = await door.tested(script=TREND)
    body = {"result_ids": [first, second], "weights": [1, 1]}
    found = await door.data("POST", "/backtest/compare", body)
    totals = [row[found["columns"].index("total_return_pct")] for row in found["rows"]]
    own = (await door.data("GET", f"/backtest/results/{first}/metrics"))["total_return_pct"]

    assert [row[0] for row in found["rows"]] == [first, second, "portfolio"]
    assert totals[0] == pytest.approx(own, rel=1e-4)
    assert totals[2] == pytest.approx((totals[0] + totals[1]) / 2, rel=1e-3)
    assert found["correlation"][0][0] == 1.0
    assert found["correlation"][0][1] == found["correlation"][1][0]
    assert found["leaders"]["total_return_pct"] == (first if totals[0] > totals[1] else second)


async def test_months_compound_to_the_whole_return_and_intervals_hold_their_median(door: Door) -> None:
    result = await door.tested()
    parts = ["months", "weekdays", "rolling", "drawdowns", "excursions", "benchmark", "regimes", "monte_carlo"]
    found = await door.data("POST", "/backtest/report", {"result_id": result, "parts": parts})
    metrics = await door.data("GET", f"/backtest/results/{result}/metrics")
    grown = np.prod([1 + m / 100 for year in found["months"].values() for m in year[:12] if m is not None])

    assert 100 * (grown - 1) == pytest.approx(metrics["total_return_pct"], abs=0.2)
    assert found["drawdowns"][0]["depth"] == pytest.approx(metrics["max_drawdown"], rel=1e-3)
    assert found["drawdowns"][0]["peak"] < found["drawdowns"][0]["lowest"]
    for interval in found["monte_carlo"]["block_bootstrap"].values():
        assert interval["low"] <= interval["median"] <= interval["high"]
    assert -1 <= found["benchmark"]["correlation"] <= 1
    assert found["excursions"]["trades"] == metrics["num_trades"]
    assert set(found["regimes"]) == {"rising", "falling", "volatile", "calm"}


async def test_the_parts_of_a_report_are_those_that_pandas_computes_from_the_equity_curve(door: Door) -> None:
    pd: Any = import_module("pandas")
    result = await door.tested()
    found = await door.data(
        "POST", "/backtest/report", {"result_id": result, "parts": ["months", "weekdays", "rolling"]}
    )
    curve = await door.data("GET", f"/backtest/results/{result}/equity?resolution=full&limit=5000")
    whole = await door.data("POST", "/backtest/report", {"result_id": result, "parts": []})
    points = pd.DataFrame(curve["points"])
    equity: Any = pd.Series(points["equity"].astype(float).to_numpy(), index=pd.to_datetime(points["time"], utc=True))
    opened = equity.index - pd.Timedelta(hours=4)
    bars = equity.pct_change().fillna(equity.iloc[0] / 10_000 - 1)
    days = equity.groupby(opened.date).last()
    returns = days.pct_change().fillna(days.iloc[0] / 10_000 - 1)
    months = equity.groupby([opened.year, opened.month]).last()
    grown = 100 * (months / months.shift(1).fillna(10_000) - 1)
    sharpe = returns.rolling(90).mean() / returns.rolling(90).std() * np.sqrt(365.25)

    assert found["months"]["2024"][:12] == pytest.approx(grown.to_list(), abs=0.011)
    assert list(found["weekdays"]["weekday"].values()) == pytest.approx(
        (100 * bars.groupby(opened.day_of_week).mean()).to_list(), rel=1e-3, abs=1e-6
    )
    assert list(found["weekdays"]["hour"].values()) == pytest.approx(
        (100 * bars.groupby(opened.hour).mean()).to_list(), rel=1e-3, abs=1e-6
    )
    assert found["rolling"]["highest"] == pytest.approx(sharpe.max(), rel=1e-3)
    assert found["rolling"]["lowest"] == pytest.approx(sharpe.min(), rel=1e-3)
    assert {"months", "drawdowns", "monte_carlo"} <= {name for name, part in whole.items() if part is not None}


async def test_a_comparison_says_when_results_share_no_currency_or_no_day(door: Door) -> None:
    first = await door.tested()
    korean = await door.tested(universe=["UPBIT:BTC/KRW"], start_date="2023-01-01", end_date="2023-06-30")
    found = await door.data("POST", "/backtest/compare", {"result_ids": [first, korean]})

    assert found["overlap_days"] == 0
    assert any("no two days in common" in said for said in found["warnings"])
    assert any("in KRW and USDT" in said for said in found["warnings"])


@pytest.mark.parametrize("path", ["/backtest/compare", "/backtest/portfolio"])
async def test_a_single_result_is_refused_with_the_number_that_it_takes(door: Door, path: str) -> None:
    answer = await door.send("POST", path, {"result_ids": ["res_one"]})

    assert answer.json()["error"]["message"] == 'result_ids ["res_one"] must have at least 2 items'


async def test_excursions_reach_the_stop_or_the_target_that_closed_a_trade_and_no_further(door: Door) -> None:
    """A target fills at 3 % exactly; a stop at 2 % fills with 0.05 % of slippage, or further away after a gap."""
    script = 'emit_signal(rsi(close, 5) < 40, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.02, take_profit=0.03))'
    result = await door.tested(script=script, slippage=0.0005)
    found = (await door.data("POST", "/backtest/report", {"result_id": result, "parts": ["excursions"]}))["excursions"]

    assert found["trades"] > 30
    assert found["mfe_pct_winners"]["median"] == pytest.approx(3.0, abs=1e-3)
    assert found["mfe_pct_losers"]["90 %"] < 3.0
    assert found["mae_pct_losers"]["median"] == pytest.approx(100 * (1 - 0.98 * 0.9995), abs=1e-3)
    assert 0.0 <= found["mae_pct_winners"]["90 %"] < 2.0


async def test_trades_are_chosen_by_day_and_ticker_and_sorted(door: Door) -> None:
    result = await door.tested(script=TREND, universe=BOTH)
    path = f"/backtest/results/{result}/trades"
    whole = (await door.data("GET", path + "?limit=1000"))["trades"]
    spring = await door.data("GET", path + "?start_date=2024-03-01&end_date=2024-05-31&ticker=ETH/USDT&sort=best")
    expected = [t for t in whole if t["ticker"] == BOTH[1] and "2024-03-01" <= t["entry_time"] < "2024-06-01"]

    assert expected
    assert [t["trade_id"] for t in spring["trades"]] == [
        t["trade_id"] for t in sorted(expected, key=lambda t: -t["pnl"])
    ]
    assert spring["total"] == len(expected)


async def test_pictures_are_png_and_svg_of_a_fitting_size_and_say_what_they_show(door: Door) -> None:
    result = await door.tested(script=TREND, universe=BOTH)
    for kind in ("equity", "trades", "months", "allocation"):
        picture = await door.data("POST", "/backtest/chart", {"result_id": result, "kind": kind, "theme": "dark"})
        data = base64.b64decode(picture["data"])
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(b"\x89PNG")
        assert 400 <= width <= 900
        assert 150 <= height <= 560
        assert len(picture["alt"]) > 40
    vector = await door.data("POST", "/backtest/chart", {"result_id": result, "format": "svg"})
    assert vector["data"].startswith("<svg")


async def test_a_report_is_one_page_that_needs_no_other_file(door: Door) -> None:
    result = await door.tested(script=TREND)
    page = (await door.data("POST", "/backtest/chart", {"result_id": result, "format": "html"}))["data"]

    assert page.count("<svg") >= 3
    assert "crossover(ema(close, 10)" in page
    for outside in ("<script", "<link", 'src="http', "url(http"):
        assert outside not in page


async def test_a_sweep_has_a_heat_map_and_a_walk_forward(door: Door) -> None:
    found = await door.swept()
    for kind in ("heatmap", "walk_forward"):
        picture = await door.data("POST", "/backtest/chart", {"result_id": found["sweep_id"], "kind": kind})
        assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")


async def test_correlation_of_a_symbol_with_another_is_symmetric_and_below_one(door: Door) -> None:
    body = {"symbols": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "bars": 200}
    found = await door.data("POST", "/market/correlation", body)

    matrix = np.array(found["matrix"])
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(np.diag(matrix), 1.0)
    assert len(found["pairs"]) == 3


def test_a_drawdown_is_dated_from_its_peak_to_its_recovery() -> None:
    day = 86_400
    found = drawdowns(np.arange(1, 7) * day, np.array([110.0, 99.0, 88.0, 110.0, 120.0, 108.0]), 100.0)

    assert [(fall["depth"], fall["peak"][:10], fall["lowest"][:10]) for fall in found] == [
        (-0.2, "1970-01-02", "1970-01-04"),
        (-0.1, "1970-01-06", "1970-01-07"),
    ]
    assert found[0]["recovered"].startswith("1970-01-05")
    assert found[1]["recovered"] is None


def test_two_series_that_share_a_walk_are_cointegrated_and_two_walks_are_not() -> None:
    rng = np.random.default_rng(4)
    walk = np.cumsum(rng.normal(0, 1, 600))
    tied = cointegration(2.0 * walk + rng.normal(0, 1, 600), walk)
    loose = [cointegration(np.cumsum(rng.normal(0, 1, 400)), np.cumsum(rng.normal(0, 1, 400))) for _ in range(60)]

    assert tied["cointegrated"]
    assert tied["hedge_ratio"] == pytest.approx(2.0, abs=0.05)
    assert sum(each["cointegrated"] for each in loose) <= 8


def test_a_stop_follows_the_best_price_before_a_bar_and_is_never_below_the_fixed_one() -> None:
    """Bought at 100: fixed stop 90, trailing 5 % of the best price so far: 95, 95, then 0.95 x 120, 0.95 x 130."""
    highs = np.array([100.0, 120.0, 110.0, 130.0, 125.0])
    long = stop_path(1.0, 100.0, 0.10, 0.05, highs)
    short = stop_path(-1.0, 100.0, 0.03, None, 100.0 - np.arange(3.0))

    assert long == pytest.approx([95.0, 95.0, 114.0, 114.0, 123.5])
    assert short == pytest.approx([103.0, 103.0, 103.0])
    assert stop_path(1.0, 100.0, None, None, highs) == []


def test_candles_keep_half_of_the_height_and_a_far_stop_is_described_in_words() -> None:
    """Candles between 99 and 106: a stop at 97 is drawn, one at 60 would squeeze them."""
    candles = [
        {"time": f"2024-01-{d:02d}", "open": 100, "high": 101 + d / 4, "low": 99, "close": 101} for d in range(1, 21)
    ]
    times = {"entry_time": "2024-01-05", "exit_time": "2024-01-15"}
    trades = [{**times, "entry_price": 100.0, "exit_price": 104.0, "exit_reason": "signal"}]
    levels = [
        {"time": "2024-01-05", "price": price, "kind": "stop level", "trade": trade}
        for trade, price in ((0, 97.0), (1, 60.0))
    ]
    chart = trades_chart("Strategy", candles, trades, levels, "20 bars")
    bars, steps = chart.specification["layer"][:2]
    low, high = bars["layer"][0]["encoding"]["y"]["scale"]["domain"]

    assert high - low <= 2 * (106 - 99)
    assert [each["price"] for each in steps["data"]["values"]] == [97.0]
    assert chart.alt == "Strategy. 20 bars; dashes: stop level; not drawn: stop level 60."
    assert bars["layer"][1]["mark"]["size"] >= 5
