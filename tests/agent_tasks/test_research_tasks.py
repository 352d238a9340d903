"""Sixteen research tasks as an agent solves them: scripted calls, the expected answer, and a token budget for each.

The cost of a task is the text that the model reads and writes: arguments and results in o200k tokens. The budget is the
cost when the task was written, rounded up by a tenth to a third. A change that makes answers longer must raise it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

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
WITH_LENGTH: Final = (
    'n = param("n", 10, 5, 40)\nemit_signal(crossover(close, sma(close, n)), entry(TICKER, "LONG", Weight(0.5)))\n'
    "emit_signal(crossunder(close, sma(close, n)), exit(TICKER))"
)
MONTH: Final[Fields] = {"universe": ["BINANCE:BTC/USDT"], "start_date": "2024-01-01", "end_date": "2024-01-31"}
DCA: Final[Fields] = {
    "strategy_type": "dca", "parameters": {"fixed_amount": 100, "interval": "daily"}, **MONTH,
}  # fmt: skip
SIGNAL: Final[Fields] = {"strategy_type": "signal", "script": CROSSING, **MONTH}


BEFORE: Final = 27_513
"""Cost of the sixteen tasks of version 0.1.0, tokens."""


@dataclass(frozen=True)
class Task:
    """The user's request, the calls that answer it, the expected content of the last answer, and the budget in tokens.

    In arguments, `$2.name` refers to that field of the second answer.
    """

    asked: str
    steps: tuple[Step, ...]
    holds: Callable[[Fields], object]
    budget: int


def _columns(table: Fields) -> set[str]:
    return set(table["columns"])


TASKS: Final = (
    Task("Which data is this?", (("meta_health", {}),), lambda a: a["source"] == "embedded", 110),
    Task("What may I do?", (("meta_capabilities", {}),), lambda a: "market_scan" in a["tools"], 375),
    Task(
        "Which function gives the average true range?",
        (("meta_indicators", {"search": "atr"}),),
        lambda a: any(word["name"] == "atr" for word in table_rows(a["indicators"])),
        380,
    ),
    Task(
        "The ten largest coins on Binance?",
        (("market_tickers", {"exchange": "binance", "limit": 10}),),
        lambda a: len(a["tickers"]["rows"]) == 10 and {"symbol", "price"} <= _columns(a["tickers"]),
        870,
    ),
    Task(
        "Is there a market on rate cuts?",
        (("market_tickers", {"exchange": "polymarket", "search": "Fed rate", "limit": 3}),),
        lambda a: "title" in _columns(a["tickers"]),
        700,
    ),
    Task(
        "What is the RSI of BTC?",
        (("market_evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}),),
        lambda a: 0 <= a["value"] <= 100,
        140,
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
    ),
    Task(
        "Rank them by the last day's return.",
        (("market_rank", {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "expression": "roc(close, 24)"}),),
        lambda a: len(a["ranked"]["rows"]) == 3,
        215,
    ),
    Task(
        "Is this script right?",
        (("script_check", {"script": CROSSING}),),
        lambda a: a["valid"],
        310,
    ),
    Task(
        "What is wrong with this script?",
        (("script_check", {"script": "emit_signal(rsi(14) < 30, buy(TICKER))"}),),
        lambda a: not a["valid"] and a["diagnostics"],
        300,
    ),
    Task(
        "Show me its trades.",
        (("backtest_and_poll", SIGNAL), ("backtest_trades", {"result_id": "$1.result_id", "limit": 20})),
        lambda a: {"pnl", "exit_reason"} <= _columns(a["trades"]),
        3_000,
    ),
    Task(
        "Improve the length of its average.",
        (
            ("backtest_and_poll", {"strategy_type": "signal", "script": WITH_LENGTH, **MONTH}),
            ("backtest_sweep", {"script": WITH_LENGTH, "grid": {"n": [5, 10, 20]}, **MONTH}),
        ),
        lambda a: a["recommendation"].startswith("None of these") and len(a["rows"]) == 3,
        2_900,
    ),
    Task(
        "Compare it with buying 100 a day.",
        (
            ("backtest_and_poll", SIGNAL),
            ("backtest_and_poll", DCA),
            ("backtest_compare", {"result_ids": ["$1.result_id", "$2.result_id"]}),
        ),
        lambda a: {row[1] for row in a["rows"]} == {"signal", "dca"} and len(a["correlation"]) == 2,
        2_950,
    ),
    Task(
        "Deploy it on the paper account.",
        (
            ("backtest_and_poll", SIGNAL),
            (
                "live_subscribe",
                {"strategy_id": "$1.result_id", "mode": "trade", "account_id": "paper-binance"},
            ),
            ("live_subscription_get", {"subscription_id": "$2.subscription_id"}),
        ),
        lambda a: (a["mode"], a["status"], a["paper"]) == ("trade", "active", True) and a["waits_for"],
        2_300,
    ),
    Task(
        "Buy 100 a day: what parameters, and how would it have done?",
        (
            ("docs_read", {"slug": "strategies", "limit": 1_500}),
            ("backtest_and_poll", DCA),
        ),
        lambda a: a["status"] == "completed" and a["metrics"]["num_trades"] > 0,
        1_500,
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
    ),
)


async def solve(client: Client, task: Task) -> tuple[Fields, int]:
    """The last answer, and the total cost."""
    answers: list[Fields] = []
    cost = 0
    for tool, arguments in task.steps:
        given = {name: _filled(value, answers) for name, value in arguments.items()}
        answers.append(await result(client, tool, **given))
        cost += tokens({"name": tool, "arguments": given}) + tokens(answers[-1])
    return answers[-1], cost


def _filled(value: Any, answers: list[Fields]) -> Any:
    """An argument with the answers that it refers to."""
    if isinstance(value, list):
        return [_filled(each, answers) for each in cast("list[Any]", value)]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    number, _, name = value[1:].partition(".")
    return answers[int(number) - 1][name]


@pytest.mark.parametrize("era", ["auto"], indirect=True)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.asked)
async def test_a_task_is_solved_within_its_budget(connect: Connect, task: Task) -> None:
    async with connect() as client:
        answer, cost = await solve(client, task)

    assert task.holds(answer), json.dumps(answer)[:2_000]
    assert cost <= task.budget


def test_sixteen_tasks_cost_at_most_six_tenths_of_what_sixteen_did() -> None:
    assert len(TASKS) == 16
    assert sum(task.budget for task in TASKS) <= 0.6 * BEFORE
