"""Sixteen research tasks as an agent solves them: scripted calls, the expected answer, and a token budget for each.

The cost of a task is the text that the model reads and writes: arguments and results in o200k tokens. The budget is the
cost when the task was written, rounded up by a third. A change that makes answers longer must raise it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from mcp import Client

from api.outputs import table_rows
from bench.tokens import tokens
from tests.calls import result
from tests.conftest import Connect

Fields = dict[str, Any]
Step = tuple[str, Fields]

CROSSING: Final = (
    "fast = ema(close, 10)\nslow = ema(close, 30)\n"
    'emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.5)))\n'
    "emit_signal(crossunder(fast, slow), exit(TICKER))"
)
MONTH: Final[Fields] = {"universe": ["BINANCE:BTC/USDT"], "start_date": "2024-01-01", "end_date": "2024-01-31"}
SIGNAL: Final[Fields] = {"strategy_type": "signal", "script": CROSSING, **MONTH}


@dataclass(frozen=True)
class Task:
    """The user's request, the calls that answer it, the expected content of the last answer, and the budget in tokens.

    In arguments, `$name` refers to that field of the previous answer. `before` is the cost at version 0.1.0, when the
    parameters of ready strategies were only in the API reference.
    """

    asked: str
    steps: tuple[Step, ...]
    holds: Callable[[Fields], object]
    budget: int
    before: int


def _columns(table: Fields) -> set[str]:
    return set(table["columns"])


TASKS: Final = (
    Task("Which data is this?", (("meta_health", {}),), lambda a: a["source"] == "embedded", 110, before=79),
    Task("What may I do?", (("meta_capabilities", {}),), lambda a: "market_scan" in a["tools"], 375, before=1_818),
    Task(
        "Which function gives the average true range?",
        (("meta_indicators", {"search": "atr"}),),
        lambda a: any(word["name"] == "atr" for word in table_rows(a["indicators"])),
        425,
        before=305,
    ),
    Task(
        "The ten largest coins on Binance?",
        (("market_tickers", {"exchange": "binance", "limit": 10}),),
        lambda a: len(a["tickers"]["rows"]) == 10 and {"symbol", "price"} <= _columns(a["tickers"]),
        1_100,
        before=970,
    ),
    Task(
        "Is there a market on rate cuts?",
        (("market_tickers", {"exchange": "polymarket", "search": "Fed rate", "limit": 3}),),
        lambda a: "title" in _columns(a["tickers"]),
        700,
        before=546,
    ),
    Task(
        "What is the RSI of BTC?",
        (("market_evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}),),
        lambda a: 0 <= a["value"] <= 100,
        140,
        before=105,
    ),
    Task(
        "A day of ETH in hours?",
        (("market_ohlcv", {"symbol": "ETH/USDT", "timeframe": "1h", "limit": 24}),),
        lambda a: len(a["candles"]) == 24,
        1_400,
        before=1_032,
    ),
    Task(
        "Which of these are in an uptrend?",
        (
            (
                "market_scan",
                {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "condition": "close > sma(close, 50)"},
            ),
        ),
        lambda a: a["scanned_count"] == 3,
        315,
        before=235,
    ),
    Task(
        "Rank them by the last day's return.",
        (("market_rank", {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "expression": "roc(close, 24)"}),),
        lambda a: len(a["ranked"]["rows"]) == 3,
        215,
        before=177,
    ),
    Task(
        "Is this script right?",
        (("script_check", {"script": CROSSING}),),
        lambda a: a["valid"],
        310,
        before=230,
    ),
    Task(
        "What is wrong with this script?",
        (("script_check", {"script": "emit_signal(rsi(14) < 30, buy(TICKER))"}),),
        lambda a: not a["valid"] and a["diagnostics"],
        300,
        before=190,
    ),
    Task(
        "Test a crossing of averages.",
        (("backtest_and_poll", SIGNAL),),
        lambda a: a["status"] == "completed",
        2_000,
        before=1_573,
    ),
    Task(
        "Show me its trades.",
        (("backtest_and_poll", SIGNAL), ("backtest_trades", {"result_id": "$result_id", "limit": 20})),
        lambda a: {"pnl", "exit_reason"} <= _columns(a["trades"]),
        3_500,
        before=3_313,
    ),
    Task(
        "How did its equity develop?",
        (("backtest_and_poll", SIGNAL), ("backtest_equity", {"result_id": "$result_id", "limit": 50})),
        lambda a: 10 < len(a["points"]["rows"]) <= 200,
        3_700,
        before=3_559,
    ),
    Task(
        "Buy 100 a day: what parameters, and how would it have done?",
        (
            ("docs_read", {"slug": "strategies", "limit": 1_500}),
            (
                "backtest_and_poll",
                {"strategy_type": "dca", "parameters": {"fixed_amount": 100, "interval": "daily"}, **MONTH},
            ),
        ),
        lambda a: a["status"] == "completed" and a["metrics"]["num_trades"] > 0,
        1_750,
        before=13_312,
    ),
    Task(
        "Would an order for 100 BTC work?",
        (
            (
                "order_preview",
                {
                    "account_id": "paper-binance",
                    "exchange": "binance",
                    "symbol": "BTC/USDT",
                    "side": "buy",
                    "amount": 100,
                },
            ),
        ),
        lambda a: "the purchase needs" in a["doubts"][0],
        135,
        before=69,
    ),
)


async def solve(client: Client, task: Task) -> tuple[Fields, int]:
    """The last answer, and the total cost."""
    answer: Fields = {}
    cost = 0
    for tool, arguments in task.steps:
        given = {name: answer[v[1:]] if str(v).startswith("$") else v for name, v in arguments.items()}
        answer = await result(client, tool, **given)
        cost += tokens({"name": tool, "arguments": given}) + tokens(answer)
    return answer, cost


@pytest.mark.parametrize("era", ["auto"], indirect=True)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.asked)
async def test_a_task_is_solved_within_its_budget(connect: Connect, task: Task) -> None:
    async with connect() as client:
        answer, cost = await solve(client, task)

    assert task.holds(answer), json.dumps(answer)[:2_000]
    assert cost <= task.budget


def test_sixteen_tasks_cost_at_most_six_tenths_of_what_they_did() -> None:
    assert len(TASKS) == 16
    assert sum(task.budget for task in TASKS) <= 0.6 * sum(task.before for task in TASKS)
