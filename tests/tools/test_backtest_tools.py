"""Backtests as an agent uses them: one call to a verdict, handles that resume, resources, both protocol eras."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult, ResourceTemplateReference, TextContent, TextResourceContents

from api.outputs import table_rows
from server.settings import Settings
from tests.conftest import Connect

Fields = dict[str, Any]

SCRIPT = """
r = rsi(close, 14)
emit_signal(r < 35, entry(TICKER, "LONG", Weight(1)))
emit_signal(r > 65, exit(TICKER))
"""
JOB: Fields = {
    "strategy_type": "signal",
    "script": SCRIPT,
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
}
LONG_JOB: Fields = {
    **JOB,
    "script": """
emit_signal(bars_in_position > 3, exit(TICKER))
emit_signal(cash > 0, entry(TICKER, "LONG", Weight(1)))
""",
    "timeframe": "1m",
    "end_date": "2024-12-31",
}
"""It reads the account, so it decides bar by bar: half a million bars."""


def told(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def called(client: Client, tool: str, **arguments: Any) -> Fields:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, told(result)
    assert result.structured_content is not None
    return result.structured_content


async def test_one_call_runs_a_backtest_to_a_verdict_that_leads_on(connect: Connect) -> None:
    async with connect() as client:
        verdict = await called(client, "backtest_and_poll", **JOB)
        found = {
            tool: await called(client, f"backtest_{tool}", result_id=verdict["result_id"])
            for tool in ("results", "metrics", "per_ticker", "trades", "equity", "analysis")
        }
        read: Fields = {}
        for uri in verdict["resources"]:
            [content] = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            read[uri.rpartition("/")[2]] = content.text
        completion = await client.complete(
            ResourceTemplateReference(uri="heytraders://backtests/{result_id}/summary"),
            argument={"name": "result_id", "value": verdict["result_id"][:8]},
        )

    assert verdict["status"] == "completed"
    assert verdict["metrics"]["num_trades"] > 3
    assert "total_return_pct" in verdict["buy_and_hold"]
    assert verdict["robustness"]["variants_tried"] >= 1
    assert 0 <= verdict["robustness"]["deflated_sharpe_ratio"] <= 1
    assert len(verdict["best_trades"]) == 3
    assert verdict["assumptions"]["data_source"] == "simulated"
    assert any("simulated" in warning for warning in verdict["warnings"])
    assert len(json.dumps(verdict)) < 8_000
    assert found["results"]["metrics"]["num_trades"] == found["trades"]["total"] == found["metrics"]["num_trades"]
    assert len(found["equity"]["points"]["rows"]) <= 200
    assert found["analysis"]["analysis"].startswith("What drove it")
    check_resources(verdict, read)
    assert verdict["result_id"] in completion.completion.values


def check_resources(verdict: Fields, read: Fields) -> None:
    """The resources contain the full data that the verdict sums up."""
    rows = list(csv.DictReader(io.StringIO(read["trades.csv"])))
    trades = table_rows(json.loads(read["trades.json"]))
    curve = list(csv.DictReader(io.StringIO(read["equity"])))
    assert len(rows) == len(trades) == verdict["metrics"]["num_trades"]
    assert [float(row["pnl"]) for row in rows] == [trade["pnl"] for trade in trades]
    assert len(curve) == verdict["assumptions"]["bars"]
    assert float(curve[-1]["equity"]) == verdict["metrics"]["final_equity"]
    assert read["script"] == SCRIPT.strip()
    assert json.loads(read["summary"])["result_id"] == verdict["result_id"]


async def test_a_wait_that_is_too_short_or_broken_off_leaves_a_handle(connect: Connect, settings: Settings) -> None:
    reported: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (total, bool(message)) == (100.0, True)
        reported.append(progress)
        if len(reported) > 5:
            scope.cancel()

    async with connect(settings) as client:
        first = await called(client, "backtest_and_poll", **LONG_JOB, wait_seconds=1)
        job = first["backtest_id"]
        status = await called(client, "backtest_status", backtest_id=job)
        with anyio.CancelScope() as scope:
            await client.call_tool("backtest_and_poll", {"backtest_id": job}, progress_callback=note)
        second = await called(client, "backtest_and_poll", backtest_id=job, wait_seconds=1)
        cancelled = await called(client, "backtest_cancel", backtest_id=job)
        after = await called(client, "backtest_and_poll", backtest_id=job)

    assert scope.cancelled_caught
    assert reported == sorted(set(reported))
    assert "backtest_and_poll(backtest_id=" in first["next_step"]
    assert [found["status"] in ("queued", "running") for found in (first, status, second)] == [True] * 3
    assert (cancelled["status"], after["status"]) == ("cancelled", "cancelled")
    assert "cancelled on request" in after["message"]


SWEPT: Fields = {
    **LONG_JOB,
    "script": LONG_JOB["script"].replace("3", 'param("n", 3, 1, 9, 1)'),
    "end_date": "2025-02-28",
}


@pytest.mark.parametrize(
    ("tool", "job", "handle"),
    [
        ("backtest_execute", LONG_JOB, "backtest_id"),
        pytest.param("backtest_and_poll", {**LONG_JOB, "wait_seconds": 1}, "backtest_id", marks=pytest.mark.long),
        pytest.param("backtest_sweep", {**SWEPT, "wait_seconds": 1}, "sweep_id", marks=pytest.mark.long),
    ],
)
async def test_the_same_call_finds_the_job_that_runs_and_starts_another_once_it_has_ended(
    tool: str, job: Fields, handle: str, connect: Connect, settings: Settings
) -> None:
    async with connect(settings) as client:
        first = await called(client, tool, **job)
        again = await called(client, tool, **job)
        other = await called(client, tool, **{**job, "initial_cash": 9_000})
        opened = await called(client, "backtest_list", state="open")
        await called(client, "backtest_cancel", backtest_id=first[handle])
        once_more = await called(client, tool, **job)
        for each in (other, once_more):
            await called(client, "backtest_cancel", backtest_id=each[handle])

    assert again[handle] == first[handle]
    assert again["warnings"][0].startswith("The same job is ")
    assert "no second one was started" in again["warnings"][0]
    assert len({each[handle] for each in (first, other, once_more)}) == 3
    assert {row[opened["jobs"]["columns"].index("id")] for row in opened["jobs"]["rows"]} == {
        first[handle],
        other[handle],
    }
    assert "no second one" not in json.dumps([first, other, once_more])


async def test_errors_of_a_script_are_told_at_once_and_all_together(connect: Connect) -> None:
    broken = 'a = rsii(close, 14) < 30\nemit_signal(a && (close > 0), entry(TICKER, "LONG", Weight(0.5)))\n'
    async with connect() as client:
        checked = await called(client, "script_check", script=broken)
        refused = await client.call_tool("backtest_and_poll", {**JOB, "script": broken})

    assert checked["valid"] is False
    assert [d["line"] for d in checked["diagnostics"] if d["severity"] == "error"] == [1, 2]
    assert all("^" in d["excerpt"] for d in checked["diagnostics"])
    assert refused.is_error
    assert "rsi" in told(refused)
    assert "line 2" in told(refused)


async def test_a_check_says_what_a_script_would_do(connect: Connect) -> None:
    async with connect() as client:
        checked = await called(client, "script_check", script=SCRIPT, start_date="2024-01-01", end_date="2024-01-01")

    assert checked["valid"] is True
    assert checked["tickers"] == ["BINANCE:BTC/USDT"]
    assert any("next bar's open" in line for line in checked["plan"])
    assert checked["warmup_bars"] == 14


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backtest_id": "bt_x", "script": SCRIPT}, "backtest_id names an existing job"),
        ({}, "strategy_type is missing"),
        ({**JOB, "wait_seconds": 46}, "wait_seconds 46 must be at most 45"),
        ({**JOB, "scirpt": "x"}, "The arguments are: strategy_type, script, universe"),
        ({k: v for k, v in JOB.items() if k != "universe"} | {"unverse": ["BTC/USDT"]}, "Did you mean universe?"),
        ({k: v for k, v in JOB.items() if k != "start_date"}, "start_date: "),
        ({**JOB, "leverage": 0.5}, "leverage 0.5 must be at least 1"),
        ({**JOB, "script": "x = rsii(close)\ny = smaa(close, 2)"}, "the script has 2 errors\n"),
        ({**JOB, "script": "emit_signal(@, exit(TICKER))"}, "the script has 1 error\n"),
        ({"backtest_id": "bt_x"}, "BACKTEST_NOT_FOUND"),
        ({**JOB, "end_date": "2023-01-01"}, "Swap the two dates"),
    ],
)
async def test_wrong_calls_say_how_to_fix_them(arguments: Fields, said: str, connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("backtest_and_poll", arguments)

    assert result.is_error
    assert said in told(result)
