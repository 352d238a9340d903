"""Research as an agent does it: a sweep in one call and few tokens, pictures beside the text, jobs found again."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.types import BlobResourceContents, ImageContent, TextContent, TextResourceContents

from api.outputs import table_rows
from bench.tokens import tokens
from server.cli.backtest import backtest, market
from tests.calls import refusal, result
from tests.conftest import Connect, Era

SCRIPT = """
n = param("n", 12, 6, 30, 6)
oversold = param("oversold", 30, 20, 40, 5)
size = param("size", 1, 0.25, 1, 0.25)
emit_signal(rsi(close, n) < oversold, entry(TICKER, "LONG", Weight(size)))
emit_signal(rsi(close, n) > 70, exit(TICKER))
"""
SWEEP: dict[str, Any] = {
    "script": SCRIPT,
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2023-01-01",
    "end_date": "2024-12-31",
    "timeframe": "4h",
}
LONG_SWEEP: dict[str, Any] = {**SWEEP, "timeframe": "5m", "start_date": "2019-01-01"}


@pytest.fixture
def era() -> Era:
    """One protocol era; the tests of the other tools cover the differences."""
    return "auto"


async def backtested(client: Client, script: str) -> str:
    terms = {**SWEEP, "script": script, "end_date": "2023-06-30"}
    return str((await result(client, "backtest_and_poll", **terms))["result_id"])


async def test_several_expressions_as_of_a_moment_come_as_one_table(connect: Connect) -> None:
    async with connect() as client:
        found = await result(
            client,
            "market_evaluate",
            symbol="BTC/USDT",
            expressions=["close", "close > open", "rsi(close, 14)"],
            as_of="2024-03-01",
        )
        single = await result(client, "market_evaluate", symbol="BTC/USDT", expression="close", as_of="2024-03-01")

    place = found["values"]["columns"].index("value")
    values = [row[place] for row in found["values"]["rows"]]
    assert found["as_of"] == "2024-03-01T00:00:00Z"
    assert values[0] == found["price"] == single["value"]
    assert isinstance(values[1], bool)
    assert 0 < values[2] < 100
    assert "values" not in single


async def test_a_sweep_of_a_hundred_variants_with_walk_forward_is_one_call_of_few_tokens(connect: Connect) -> None:
    async with connect() as client:
        found = await result(
            client, "backtest_sweep", **SWEEP, walk_forward={"train_days": 240, "test_days": 90, "anchored": False}
        )

    assert found["status"] == "completed"
    assert found["variants"] == 5 * 5 * 4
    assert found["default_rank"] >= 1
    assert found["recommendation"]
    assert found["out_of_sample"]["days"] <= 731 - 240
    assert tokens({**SWEEP}) + tokens(found) <= 3_000


async def test_a_sweep_shows_its_heat_map_as_an_image_with_words(connect: Connect) -> None:
    async with connect() as client:
        answer = await client.call_tool(
            "backtest_sweep", {**SWEEP, "grid": {"n": [6, 12], "oversold": [20, 30]}, "chart": True}
        )
    text, image = answer.content

    assert isinstance(text, TextContent)
    assert isinstance(image, ImageContent)
    assert base64.b64decode(image.data).startswith(b"\x89PNG")
    shown = json.loads(text.text)["picture"]
    assert "The best cell is" in shown["alt"]
    assert "data" not in shown


async def test_a_sweep_that_no_picture_can_show_keeps_its_findings(connect: Connect) -> None:
    never = {**SWEEP, "script": SCRIPT.replace("< oversold", "< oversold - 100"), "grid": {"n": [6, 12]}}
    async with connect() as client:
        found = await result(client, "backtest_sweep", **never, chart=True)

    assert found["status"] == "completed"
    assert "No picture: no variant has a score." in found["warnings"]
    assert "never traded" in found["recommendation"]


async def test_a_sweep_whose_call_was_broken_off_is_found_and_cancelled(connect: Connect) -> None:
    async with connect() as client:
        with anyio.move_on_after(1.0):
            await client.call_tool("backtest_sweep", LONG_SWEEP)
        listed = await result(client, "backtest_list", state="open")
        [job] = table_rows(listed["jobs"])
        with anyio.fail_after(5):
            await result(client, "backtest_cancel", backtest_id=job["id"])
            ended = await result(client, "backtest_sweep", sweep_id=job["id"])

    assert job["id"].startswith("sw_")
    assert ended["status"] == "cancelled"


async def test_five_results_compare_in_few_tokens_with_one_picture(connect: Connect) -> None:
    scripts = [SCRIPT.replace('"n", 12', f'"n", {n}') for n in (6, 10, 14, 18, 22)]
    async with connect() as client:
        ids = [await backtested(client, script) for script in scripts]
        answer = await client.call_tool("backtest_compare", {"result_ids": ids, "chart": True})

    assert [type(block) for block in answer.content] == [TextContent, ImageContent]
    assert answer.structured_content is not None
    assert len(answer.structured_content["rows"]) == 5
    assert tokens(answer.structured_content) <= 1_500


async def test_a_result_has_a_chart_and_a_report_to_read(connect: Connect) -> None:
    async with connect() as client:
        made = await backtested(client, SCRIPT)
        [png] = (await client.read_resource(f"heytraders://backtests/{made}/chart.png")).contents
        [page] = (await client.read_resource(f"heytraders://backtests/{made}/report.html")).contents

    assert isinstance(png, BlobResourceContents)
    assert base64.b64decode(png.blob).startswith(b"\x89PNG")
    assert isinstance(page, TextResourceContents)
    assert page.text.startswith("<!doctype html>")
    assert page.text.count('class="light"><svg') == page.text.count('class="dark"><svg') > 1
    assert "prefers-color-scheme:dark" in page.text
    ids = re.findall(r'\bid="([^"]+)"', page.text)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page.text)) <= set(ids)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"grid": {"m": [1, 2]}}, "no parameter 'm'"),
        ({"sweep_id": "sw_x"}, "would change nothing"),
        ({"objective": "luck"}, "objective"),
    ],
)
async def test_wrong_sweeps_say_how_to_fix_them(connect: Connect, terms: dict[str, Any], said: str) -> None:
    async with connect() as client:
        assert said in await refusal(client, "backtest_sweep", **SWEEP, **terms)


@pytest.mark.long
def test_a_shell_sweeps_and_reads_the_table(tmp_path: Path) -> None:
    file = tmp_path / "idea.signal"
    file.write_text(SCRIPT.replace("size = param", "_size = param").replace("Weight(size)", "Weight(1)"))
    done = subprocess.run(
        [sys.executable, "-m", "heytraders_mcp", "backtest", "sweep", file.name, "--start", "2024-01-01",
         "--end", "2024-03-31", "--random", "6", "--top", "3"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HEYTRADERS_HOME": str(tmp_path / "home"),
             "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:2] == ["n", "oversold"]
    assert "6 variants." in done.stdout


def test_a_verb_shows_a_table_and_a_refusal_is_its_words_alone(tmp_path: Path) -> None:
    runner = CliRunner(env={"HEYTRADERS_HOME": str(tmp_path)})
    shown = runner.invoke(market, ["evaluate", "BTC/USDT", "close", "close > 0", "--as-of", "2024-03-01"])
    refused = runner.invoke(market, ["evaluate", "BTC/USDT", "rsj(close)"])

    script = tmp_path / "rsi.dsl"
    script.write_text(SCRIPT)
    days = ["--start", "2023-01-01", "--end", "2024-12-31", "--anchored", "--train-days", "100"]
    halved = runner.invoke(backtest, ["sweep", str(script), *days])

    assert halved.exit_code == 1
    assert "walk_forward.test_days is missing" in halved.output
    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.output.splitlines()[:2]] == ["expression", "close"]
    assert "at 2024-03-01T00:00:00Z" in shown.output
    assert refused.exit_code == 1
    assert "unknown function `rsj`" in refused.output
    assert "Traceback" not in refused.output


async def test_calculated_values_have_six_significant_digits_and_prices_stay_whole(connect: Connect) -> None:
    asked = ["rsi(close, 14)", "stddev(roc(close, 1), 20)"]
    async with connect() as client:
        one = await result(client, "market_evaluate", symbol="BTC/USDT", expression=asked[0])
        several = await result(client, "market_evaluate", symbol="BTC/USDT", expressions=asked)
        scan = await result(client, "market_scan", universe="top30", condition="rsi(close, 14) > 50")
        rank = await result(client, "market_rank", universe="top30", expression="roc(close, 24)")
        candles = await result(client, "market_ohlcv", symbol="BTC/USDT", limit=1)

    values = [one["value"], *(row["value"] for row in table_rows(several["values"]))]
    values += [row["score"] for row in table_rows(rank["ranked"])]
    assert len(values) > 20
    assert [value for value in values if float(f"{value:.6g}") != value] == []
    details = table_rows(scan["details"])
    assert all(inner == float(f"{inner:.8g}") for row in details for inner in row["values"].values())
    assert one["price"] == candles["candles"][0][4]
