"""With an exchange's data, every tool that reads the market shows the exchange's prices, or says why it has none."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from click.testing import CliRunner
from mcp.types import CallToolResult

from api.outputs import table_rows
from engine.feeds import market
from engine.venues.exchange import session
from server.cli.data import data as data_verb
from server.settings import Settings
from tests.calls import result
from tests.conftest import Connect, Era

from .fake_binance import FakeBinance
from .fake_venue import serving, truth

pytest.importorskip("ccxt")

HOUR, DAY = 3_600, 86_400
SPOT, PERPETUAL = "BINANCE:BTC/USDT", "BINANCEFUTURESUSD:BTC/USDT:USDT"
SCRIPT = (
    'n = param("n", 5, 4, 6, 1)\n'
    'emit_signal(crossover(close, sma(close, n)), entry(TICKER, "LONG", Weight(0.5)))\n'
    "emit_signal(crossunder(close, sma(close, n)), exit(TICKER))"
)
RESEARCH: tuple[str, ...] = (
    "market_tickers", "market_ohlcv", "market_evaluate", "market_scan", "market_rank", "market_correlation",
    "backtest_and_poll", "backtest_execute", "backtest_sweep",
)  # fmt: skip
"""Tools that read the market and fail without it."""

RESULTS: tuple[str, ...] = (
    "backtest_results", "backtest_analysis", "backtest_per_ticker", "backtest_portfolio", "live_subscribe",
)  # fmt: skip
"""Tools on a result that name its source, or read the market again."""

ORDERS: tuple[str, ...] = ("order_preview", "orders_place", "place_with_confirmation")
PRICELESS: frozenset[str] = frozenset({
    "meta_register", "meta_capabilities", "meta_indicators", "meta_health", "accounts_list", "accounts_get",
    "accounts_balances", "accounts_open_orders", "orders_list", "orders_cancel", "order_intent", "safety_status",
    "safety_halt", "docs_list", "docs_read", "script_check", "backtest_list", "backtest_compare", "backtest_report",
    "backtest_status", "backtest_cancel", "backtest_metrics", "backtest_trades", "backtest_equity",
    "live_strategies_list", "live_subscriptions_list", "live_subscription_get", "live_unsubscribe", "live_pause",
    "live_resume", "live_webhook_set", "live_webhook_remove", "live_webhook_test", "live_signals",
    "live_signals_latest", "arena_agent", "arena_profile", "arena_profile_update", "arena_following", "arena_post",
})  # fmt: skip
"""Tools whose answers hold no price, or only those of a fill or a result that another tool has named the source of."""


@pytest.fixture
def era() -> Era:
    """One protocol era; the prices are the same in both."""
    return "auto"


@pytest.fixture(autouse=True)
def _no_simulated_market(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest uses it
    """Whatever would make the simulated market in this process fails. Workers name their source in the result."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the simulated market was opened")

    monkeypatch.setattr(market, "SimulatedFeed", refuse)


def day(ago: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago * DAY))


def arguments(tool: str, symbol: str) -> dict[str, Any]:
    """The arguments of a call that reads the prices of `symbol`."""
    dates = {"universe": [symbol], "timeframe": "1h", "start_date": day(20), "end_date": day(2), "script": SCRIPT}
    pair = symbol.partition(":")[2]
    order = {"account_id": "paper-binance", "exchange": "binance", "symbol": pair, "side": "buy", "amount": "0.01"}
    table: dict[str, dict[str, Any]] = {
        "market_tickers": {"exchange": "binance", "search": pair},
        "market_ohlcv": {"symbol": symbol, "timeframe": "1h", "limit": 3},
        "market_evaluate": {"symbol": symbol, "expression": "close"},
        "market_scan": {"universe": [symbol], "condition": "close > 0"},
        "market_rank": {"universe": [symbol], "expression": "close"},
        "market_correlation": {"symbols": [symbol, "BINANCE:ETH/USDT"], "timeframe": "1h", "bars": 50},
        "backtest_and_poll": {"strategy_type": "signal", **dates},
        "backtest_execute": {"strategy_type": "signal", **dates},
        "backtest_sweep": dates,
        "order_preview": order,
        "orders_place": {**order, "label": "one"},
        "place_with_confirmation": {**order, "label": "two"},
    }
    return table[tool]


def settings_of(home: Path, url: str) -> Settings:
    return Settings(home=home, data="exchange", venue_urls={"binance": url, "binancefuturesusd": url})


def text_of(answer: CallToolResult) -> str:
    return json.dumps(answer.structured_content) + json.dumps(
        [block.model_dump() for block in answer.content], default=str
    )


async def test_every_tool_is_known_to_read_the_market_or_not_to(connect: Connect, tmp_path: Path) -> None:
    """A new tool belongs into one of the tables above."""
    async with connect(settings_of(tmp_path, "http://127.0.0.1:9")) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}

    assert tools == {*RESEARCH, *RESULTS, *ORDERS} | PRICELESS


@pytest.mark.long
async def test_every_answer_names_the_exchange_as_the_source_of_its_prices(connect: Connect, tmp_path: Path) -> None:
    with serving(FakeBinance()) as url:
        async with connect(settings_of(tmp_path, url)) as client:
            answers = {tool: await client.call_tool(tool, arguments(tool, SPOT)) for tool in (*RESEARCH, *ORDERS)}
            result_id = _of(answers["backtest_and_poll"])["result_id"]
            perpetual = await client.call_tool("backtest_and_poll", arguments("backtest_and_poll", PERPETUAL))
            both = [result_id, _of(perpetual)["result_id"]]
            for tool in RESULTS:
                given = {"backtest_portfolio": {"result_ids": both}, "live_subscribe": {"strategy_id": result_id}}
                answers[tool] = await client.call_tool(tool, given.get(tool, {"result_id": result_id}))

    for tool, answer in answers.items():
        assert not answer.is_error, (tool, answer.content)
        assert "simulated" not in text_of(answer).lower(), tool
        if tool not in {"backtest_execute", "order_preview", "live_subscribe"}:
            assert '"exchange"' in text_of(answer), tool
    for opened, *prices in _of(answers["market_ohlcv"])["candles"]:
        assert prices[:3] == [float(text) for text in truth("BTCUSDT", HOUR, seconds(opened))[:3]]
    scanned, ranked = _of(answers["market_scan"]), _of(answers["market_rank"])
    assert _of(answers["market_evaluate"])["value"] == close_at(_of(answers["market_evaluate"])["as_of"])
    assert scanned["details"]["rows"][0][2] == close_at(scanned["as_of"])
    assert ranked["ranked"]["rows"][0][3] == close_at(ranked["as_of"])


def seconds(text: str) -> int:
    """Unix seconds of a time in ISO 8601."""
    return int(datetime.fromisoformat(text).timestamp())


def close_at(closed: str) -> float:
    """The close of the hour that ended then."""
    return float(truth("BTCUSDT", HOUR, seconds(closed) - HOUR)[3])


def _of(answer: CallToolResult) -> dict[str, Any]:
    assert answer.structured_content is not None, answer.content
    return answer.structured_content


async def test_imported_candles_win_and_price_an_order_however_long_they_are(connect: Connect, tmp_path: Path) -> None:
    """Two hours of two days ago, at 101 and 104. The exchange has a price of now, but one series has one source."""
    first = int(time.time()) // HOUR * HOUR - 2 * DAY
    file = tmp_path / "hours.csv"
    file.write_text(f"time,open,high,low,close,volume\n{first},100,102,99,101,50\n{first + HOUR},101,105,100,104,50\n")
    home = tmp_path / "home"
    given = ["import", str(file), "--symbol", SPOT, "--timeframe", "1h"]
    with serving(FakeBinance()) as url:
        env = {"HEYTRADERS_HOME": str(home), "HEYTRADERS_DATA": "exchange"}
        done = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(data_verb, given, env=env))
        assert done.exit_code == 0, done.output
        async with connect(settings_of(home, url)) as client:
            bars = await result(client, "market_ohlcv", **arguments("market_ohlcv", SPOT))
            [listed] = table_rows((await result(client, "market_tickers", exchange="binance", search="BTC"))["tickers"])
            preview = await result(client, "order_preview", **arguments("order_preview", SPOT))
            order = await result(client, "orders_place", **arguments("orders_place", SPOT) | {"amount": "0.1"})
            scanned = await result(client, "market_scan", universe=[SPOT, "BINANCE:ETH/USDT"], condition="close > 0")

    assert (bars["source"], [bar[4] for bar in bars["candles"]]) == ("imported", [101, 104])
    assert (listed["source"], listed["price"]) == ("imported", 104)
    assert (preview["quote"], preview["decision"]) == (104, "pass")
    assert (order["price_source"], order["status"]) == ("imported", "FILLED")
    assert 104 <= order["average_price"] < 105
    assert scanned["source"] == "mixed"


@pytest.mark.parametrize("case", ["the exchange does not answer", "the exchange does not list the symbol"])
async def test_a_price_that_the_exchange_does_not_give_is_missing_in_every_tool(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(session, "TRIES", 1)
    is_dead = case == "the exchange does not answer"
    symbol = SPOT if is_dead else "BINANCE:NOPE/USDT"
    said = "cannot be reached" if is_dead else "NOPE/USDT"
    with serving(FakeBinance()) as url:
        async with connect(settings_of(tmp_path, "http://127.0.0.1:9" if is_dead else url)) as client:
            answers = {tool: await client.call_tool(tool, arguments(tool, symbol)) for tool in (*RESEARCH, *ORDERS)}
            held = await client.call_tool("accounts_balances", {"account_id": "paper-binance"})

    for tool, answer in answers.items():
        text = text_of(answer)
        assert "simulated" not in text.lower(), tool
        if tool == "market_tickers" and not is_dead:
            assert _of(answer)["tickers"]["rows"] == []
        elif tool == "order_preview" and is_dead:
            assert "there is no price of BTC/USDT now" in text
        else:
            assert answer.is_error, tool
            assert said in text, tool
    assert _of(held)["balances"] == [{"asset": "USDT", "free": 10_000, "used": 0, "total": 10_000}]
