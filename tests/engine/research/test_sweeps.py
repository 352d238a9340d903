"""Sweeps through the REST API: each variant equals its single backtest, and the search is judged."""

from __future__ import annotations

import pytest

from .conftest import SWEEP, Door


async def test_a_row_of_a_sweep_is_the_backtest_of_these_values_alone(door: Door) -> None:
    found = await door.swept(grid={"n": [5, 15], "edge": {"low": 20, "high": 40, "step": 10}}, top=6)

    assert found["status"] == "completed", found
    assert found["variants"] == 6
    n, edge = found["rows"][2][:2]
    script = SWEEP["script"].replace('"n", 14', f'"n", {n}').replace('"edge", 30', f'"edge", {edge}')
    result = await door.tested(script=script)
    metrics = await door.data("GET", f"/backtest/results/{result}/metrics")
    row = dict(zip(found["columns"], found["rows"][2], strict=True))
    for name in ("total_return_pct", "sharpe_ratio", "max_drawdown", "num_trades", "win_rate", "profit_factor"):
        assert row[name] == pytest.approx(metrics[name], rel=1e-5)


async def test_rows_come_best_first_and_the_search_is_judged(door: Door) -> None:
    found = await door.swept(objective="total_return_pct")

    totals = [row[found["columns"].index("total_return_pct")] for row in found["rows"]]
    assert found["variants"] == 30
    assert totals == sorted(totals, reverse=True)
    assert 0 <= found["probability_of_backtest_overfitting"] <= 1
    assert 0 <= found["deflated_sharpe_ratio"] <= 1
    assert found["out_of_sample"]["days"] < 366
    assert found["equity"][0][0] < found["equity"][-1][0] <= "2025-01-01T00:00Z"
    assert found["recommendation"].startswith("None of these") or found["recommended"]


async def test_every_variant_counts_as_tried(door: Door) -> None:
    await door.swept(grid={"n": [5, 10, 15]}, universe=["BINANCE:SOL/USDT"])
    result = await door.tested(universe=["BINANCE:SOL/USDT"])
    verdict = await door.data("GET", f"/backtest/results/{result}")

    assert verdict["robustness"]["variants_tried"] == 4


async def test_a_sweep_run_again_has_tried_nothing_new(door: Door) -> None:
    first, again, wider = [
        await door.swept(grid={"n": values}, universe=["BINANCE:XRP/USDT"])
        for values in ([5, 10, 15], [5, 10, 15], [5, 10, 15, 20])
    ]

    assert first["deflated_sharpe_ratio"] == again["deflated_sharpe_ratio"]
    assert not any("were tried" in said for said in (*again["warnings"], *wider["warnings"]))
    assert any("own values (n=14) are not among the variants" in said for said in wider["warnings"])


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"grid": {"n": 5}}, "grid.n.values 5 must be a list"),
        ({"grid": {"n": {"low": 5, "high": 30, "step": 0}}}, "grid.n.range.step 0 must be above 0"),
        ({"grid": {"m": [1, 2]}}, "no parameter 'm'"),
        ({"grid": {"n": [5, 99]}}, "n=99 is outside 5 to 30"),
        ({"grid": {"n": [5]}}, "one variant"),
        ({"grid": {"n": [5.5, 6.5]}}, "no variant can run; n=5.5: rsi: period must be a whole number, not 5.5"),
        ({"max_variants": 10}, "30 variants, more than max_variants=10"),
        ({"script": 'emit_signal(close > open, entry(TICKER, "LONG", Weight(1)))'}, "declares no parameter"),
    ],
)
async def test_what_cannot_be_swept_is_refused_at_once(door: Door, terms: dict[str, object], said: str) -> None:
    answer = await door.send("POST", "/backtest/sweep", SWEEP | terms)

    assert answer.status_code == 400
    assert said in answer.text


async def test_variants_that_the_script_refuses_are_named_and_the_others_run(door: Door) -> None:
    halves = await door.swept(grid={"n": [5.5, 10, 15]})
    averages = """
fast = param("fast", 10, 5, 50)
slow = param("slow", 30, 5, 50)
emit_signal(ema(close, fast) > ema(close, slow), entry(TICKER, "LONG", Weight(1)))
emit_signal(rsi(close, slow - fast) > 60, exit(TICKER))
"""
    crossed = await door.swept(script=averages, grid={"fast": [5, 20, 40], "slow": [10, 30, 50]})

    refused = [said for found in (halves, crossed) for said in found["warnings"] if "could not run" in said]
    assert halves["variants"] == 3
    assert {row[0] for row in halves["rows"] if row[1] is not None} == {10, 15}
    assert "1 of 3 variants could not run; the first: n=5.5: rsi: period must be a whole number" in refused[0]
    assert crossed["status"] == "completed"
    assert "3 of 9 variants could not run; the first: fast=20, slow=10: rsi" in refused[1]


async def test_a_sweep_without_a_trade_and_one_that_only_loses_are_reported_as_such(door: Door) -> None:
    never = await door.swept(script=SWEEP["script"].replace("r < edge", "r < edge - 100"))
    losing = SWEEP["script"].replace("r < edge", "r > -1").replace("r > 100 - edge", "r > -1")
    lost = await door.swept(script=losing, objective="total_return_pct", grid={"n": [5, 10]}, trading_fee=0.01)

    assert "it never traded" in never["recommendation"]
    assert "what was chosen made nothing out of sample" in never["recommendation"]
    assert "No variant traded in this range." in never["warnings"]
    assert lost["rows"][0][1] == lost["rows"][1][1] < -50
    assert lost.get("shape") is None
    assert "spike" not in lost["recommendation"]


async def test_a_random_search_is_the_same_sample_each_time(door: Door) -> None:
    first, second = [await door.swept(search="random", max_variants=8, top=8) for _ in range(2)]

    assert first["variants"] == 8
    assert first["rows"] == second["rows"]


async def test_a_cancelled_sweep_ends_and_ten_thousand_variants_are_stated_below_a_gigabyte(door: Door) -> None:
    grid = {"n": {"low": 5, "high": 30, "step": 0.25}, "edge": {"low": 20, "high": 40, "step": 0.2}}
    terms = {"timeframe": "1h", "max_variants": 20_000, "grid": grid}
    started = await door.data("POST", "/backtest/sweep", SWEEP | terms)
    assert started["variants"] == 101 * 101
    assert 300 < started["memory_mb"] < 1_000
    await door.data("POST", f"/backtest/cancel/{started['sweep_id']}")

    assert (await door.ended(f"/backtest/sweep/{started['sweep_id']}"))["status"] == "cancelled"
