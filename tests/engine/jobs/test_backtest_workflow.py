"""A backtest through the REST API: the document's workflow, the known answer, every results endpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.symbols import Instrument
from engine.engine import Engine
from engine.routes import create_app
from tests.candle_files import import_file, rsi_answer

from .conftest import EXAMPLE, Body, Finish, Send

KEY_METRICS = (
    "total_return_pct",
    "max_drawdown",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "win_rate",
    "num_trades",
    "profit_factor",
)
ALL_IN = (
    'r = rsi(close, 14)\nemit_signal(r < 30, entry(TICKER, "LONG", Weight(1)))\nemit_signal(r > 70, exit(TICKER))\n'
)
BUSY: Body = {
    **EXAMPLE,
    "script": ALL_IN.replace("30", "45").replace("70", "55"),
    "universe": ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"],
    "timeframe": "1h",
}


@pytest.fixture
async def busy(finish: Finish) -> str:
    """A result with many trades on two tickers."""
    return str((await finish(BUSY))["result_id"])


async def test_the_documents_workflow_runs_as_it_is_written(finish: Finish, send: Send) -> None:
    status = await finish(EXAMPLE)
    assert status["status"] == "completed"
    assert status["progress"] == 1.0

    data = (await send("GET", f"/backtest/results/{status['result_id']}")).json()["data"]

    assert set(KEY_METRICS) <= data["metrics"].keys()
    assert data["script"] == EXAMPLE["script"]
    assert data["script_generated"] is False
    assert data["assumptions"]["trading_fee"] == 0.0005
    assert data["assumptions"]["slippage"] == 0.0005
    assert data["assumptions"]["leverage"] == 1.0
    assert data["assumptions"]["periods_per_year"] == 365 * 6
    assert data["assumptions"]["data_source"] == "simulated"
    assert "next bar's open" in data["assumptions"]["fill_timing"]
    assert data["buy_and_hold"]["total_return_pct"] is not None
    assert data["robustness"]["variants_tried"] >= 1


async def test_imported_hours_give_the_answer_of_a_plain_loop(
    finish: Finish, send: Send, imported: Instrument, btc_hours: Path
) -> None:
    status = await finish(
        {
            "strategy_type": "signal",
            "script": ALL_IN,
            "universe": [imported.ticker],
            "start_date": "2018-05-15",
            "end_date": "2022-03-01",
            "timeframe": "1h",
            "trading_fee": 0.0005,
            "slippage": 0,
        }
    )

    metrics = (await send("GET", f"/backtest/results/{status['result_id']}/metrics")).json()["data"]
    summary = (await send("GET", f"/backtest/results/{status['result_id']}")).json()["data"]

    trades, equity = rsi_answer(btc_hours, fee=0.0005)
    assert metrics["num_trades"] == trades
    assert metrics["final_equity"] == pytest.approx(equity, abs=1e-8)
    assert summary["assumptions"]["data_source"] == "imported"
    assert summary["assumptions"]["bars"] == 33_259


async def test_pages_of_trades_join_to_all_of_them(busy: str, send: Send) -> None:
    path = f"/backtest/results/{busy}/trades"
    whole = (await send("GET", f"{path}?limit=1000")).json()["data"]

    joined: list[Body] = []
    offset: int | None = 0
    while offset is not None:
        page = (await send("GET", f"{path}?limit=7&offset={offset}")).json()["data"]
        joined += page["trades"]
        offset = page["next_offset"]

    assert joined == whole["trades"]
    assert len(joined) == whole["total"] > 20
    assert [trade["trade_id"] for trade in joined] == list(range(1, len(joined) + 1))


async def test_figures_of_one_result_agree_with_each_other(busy: str, send: Send) -> None:
    found = {
        part: (await send("GET", f"/backtest/results/{busy}{part}")).json()["data"]
        for part in ("", "/metrics", "/per-ticker", "/trades?limit=1000", "/equity?resolution=full&limit=2000")
    }
    trades = found["/trades?limit=1000"]["trades"]
    metrics = found["/metrics"]
    net = metrics["final_equity"] - 10_000

    assert sum(trade["pnl"] for trade in trades) == pytest.approx(net)
    assert sum(row["pnl"] for row in found["/per-ticker"]["tickers"]) == pytest.approx(net)
    assert [row["num_trades"] for row in found["/per-ticker"]["tickers"]] == [
        sum(trade["ticker"] == row["ticker"] for trade in trades) for row in found["/per-ticker"]["tickers"]
    ]
    assert metrics["num_trades"] == len(trades)
    assert metrics["win_rate"] == sum(trade["pnl"] > 0 for trade in trades) / len(trades)
    assert found[""]["best_trades"][0]["pnl"] == max(trade["pnl"] for trade in trades)
    assert found[""]["worst_trades"][0]["pnl"] == min(trade["pnl"] for trade in trades)
    assert {name: found[""]["metrics"][name] for name in KEY_METRICS} == {name: metrics[name] for name in KEY_METRICS}


async def test_the_whole_equity_curve_can_be_paged_and_is_what_the_metrics_measure(busy: str, send: Send) -> None:
    path = f"/backtest/results/{busy}/equity"
    points: list[Body] = []
    page: Body = {"next_offset": 0}
    while (offset := page["next_offset"]) is not None:
        page = (await send("GET", f"{path}?resolution=full&limit=2000&offset={offset}")).json()["data"]
        points += page["points"]
    metrics = (await send("GET", f"/backtest/results/{busy}/metrics")).json()["data"]
    equity = np.array([point["equity"] for point in points])
    returns = np.diff(np.concatenate(([10_000.0], equity))) / np.concatenate(([10_000.0], equity[:-1]))

    assert len(points) == page["total"] == metrics["bars"] == 182 * 24
    assert points[0]["time"] == "2024-01-01T01:00:00Z"
    assert points[-1]["time"] == "2024-07-01T00:00:00Z"
    assert min(point["drawdown"] for point in points) == pytest.approx(metrics["max_drawdown"])
    assert metrics["sharpe_ratio"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(8_760))


async def test_a_thinned_curve_keeps_the_ends_and_the_extremes(busy: str, send: Send) -> None:
    metrics = (await send("GET", f"/backtest/results/{busy}/metrics")).json()["data"]

    curve = (await send("GET", f"/backtest/results/{busy}/equity")).json()["data"]

    assert len(curve["points"]) <= 200
    assert curve["thinned"] is True
    assert curve["points"][-1]["equity"] == metrics["final_equity"]
    assert min(point["drawdown"] for point in curve["points"]) == pytest.approx(metrics["max_drawdown"])


async def test_the_analysis_names_figures_of_its_own_result(busy: str, send: Send) -> None:
    metrics = (await send("GET", f"/backtest/results/{busy}/metrics")).json()["data"]

    found = (await send("GET", f"/backtest/results/{busy}/analysis")).json()["data"]

    codes = [finding["code"] for finding in found["findings"]]
    assert "simulated_data" in codes
    assert f"{metrics['num_trades']} trades" in found["analysis"]
    assert found["facts"]["delayed_pct"] is not None
    halves = (1 + found["facts"]["first_half_pct"] / 100) * (1 + found["facts"]["second_half_pct"] / 100)
    assert halves == pytest.approx(1 + metrics["total_return_pct"] / 100)
    assert all(finding["message"] in found["analysis"] for finding in found["findings"])


async def test_variants_are_counted_by_meaning_and_per_universe(finish: Finish, send: Send) -> None:
    async def tried(**changes: Any) -> tuple[int, float]:
        body = {**EXAMPLE, "universe": ["BINANCE:SOL/USDT"], "script": ALL_IN, **changes}
        result = (await finish(body))["result_id"]
        found = (await send("GET", f"/backtest/results/{result}")).json()["data"]["robustness"]
        return found["variants_tried"], found["deflated_sharpe_ratio"]

    first, _ = await tried()
    same, _ = await tried(script="# the same again\n" + ALL_IN.replace("r < 30", "r  <  30"))
    overlapping, _ = await tried(script=ALL_IN.replace("30", "35"), start_date="2024-03-01")
    third, deflated = await tried(script=ALL_IN.replace("30", "25"))
    elsewhere, alone = await tried(universe=["BINANCE:DOGE/USDT"])

    assert (first, same, overlapping, third, elsewhere) == (1, 1, 2, 3, 1)
    assert 0 <= deflated <= 1
    assert 0 <= alone <= 1


async def test_the_same_request_gives_the_same_result(finish: Finish, send: Send) -> None:
    results = [(await finish(BUSY))["result_id"] for _ in range(2)]

    first, second = [(await send("GET", f"/backtest/results/{r}/trades?limit=1000")).json()["data"] for r in results]

    assert first["trades"] == second["trades"]


async def test_results_belong_to_their_agent(busy: str, send: Send, research: Engine) -> None:
    key = (await send("POST", "/meta/register", {"display_name": "Stranger"})).json()["data"]["api_key"]
    transport = httpx.ASGITransport(create_app(research))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1") as client:
        answer = await client.get(f"/backtest/results/{busy}", headers={"X-API-Key": key})

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "BACKTEST_NOT_FOUND"


async def test_candles_imported_after_a_worker_has_started_are_what_the_next_backtest_runs_on(
    finish: Finish, send: Send, research: Engine, tmp_path: Path
) -> None:
    late = Instrument("gate", "ETH", "USDT")
    body = {**EXAMPLE, "script": ALL_IN, "universe": [late.ticker], "timeframe": "1d", "end_date": "2024-01-20"}
    rows = [f"2024-01-{day:02d},{day},{day + 1},{day - 0.5},{day + 0.5},10" for day in range(1, 31)]
    csv = tmp_path / "late.csv"
    csv.write_text("\n".join(["date,open,high,low,close,volume", *rows]), encoding="utf-8")

    before = await finish(body)
    import_file(research.store, csv, late, "1d", clock=research.clock)
    after = await finish(body)

    sources = [
        (await send("GET", f"/backtest/results/{done['result_id']}")).json()["data"]["assumptions"]["data_source"]
        for done in (before, after)
    ]
    assert sources == ["simulated", "imported"]
