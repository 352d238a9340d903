"""Backtests: check a script, run it, follow it, read its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, REFERENCE, CompositeTool, EndpointTool, Hints, later

if TYPE_CHECKING:
    from . import backtest_and_poll, backtest_sweep
else:
    backtest_and_poll = later("tools.backtest_and_poll")
    backtest_sweep = later("tools.backtest_sweep")

_STARTS: Final = Hints(read_only=False, destructive=False, idempotent=False, open_world=True)

BACKTEST: Final = (
    CompositeTool(
        name="script_check",
        title="Check a Signal DSL script",
        description="Find every error of a script, with line, caret and suggestion, and say in words what it would do. "
        "Uses no backtest quota; backtest_and_poll does this by itself.",
        hints=REFERENCE,
        operation=lambda: backtest_and_poll.CHECK,
    ),
    CompositeTool(
        name="backtest_and_poll",
        title="Backtest and wait for the verdict",
        description="Run a backtest and wait up to 45 s for its verdict beside buy-and-hold. "
        "If it takes longer, call again with backtest_id. Before writing a script: docs_read signal-dsl.",
        hints=_STARTS,
        operation=lambda: backtest_and_poll.OPERATION,
    ),
    CompositeTool(
        name="backtest_sweep",
        title="Sweep a script's parameters",
        description="Run all variants of a script's param(...) values and judge the search: overfitting, deflated "
        "Sharpe, walk-forward, which variant to use, or none. Takes backtest_execute's terms too.",
        hints=_STARTS,
        operation=lambda: backtest_sweep.OPERATION,
    ),
    EndpointTool(
        name="backtest_execute",
        title="Queue a backtest",
        description="Queue a backtest and return its backtest_id at once. backtest_and_poll also waits.",
        hints=_STARTS,
    ),
    EndpointTool(
        name="backtest_list",
        title="Find backtests and sweeps",
        description="Your backtests and sweeps, newest first, running ones too.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_compare",
        title="Compare results",
        description="Results in one table: which leads in what, correlation.",
        hints=LOOK,
    ),
    CompositeTool(
        name="backtest_portfolio",
        title="Trade strategies on one account",
        description=(
            "Run the strategies of several results on one account, each with its share of the cash and its own "
            "book; rows for each book and the account."
        ),
        hints=_STARTS,
        operation=lambda: backtest_sweep.PORTFOLIO,
    ),
    EndpointTool(
        name="backtest_report",
        title="Report on a result",
        description="Chosen parts of a full report, such as drawdowns with dates or Monte Carlo intervals.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_status",
        title="Follow a backtest",
        description="How far a backtest is; once completed, the result_id that the other backtest tools take.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_cancel",
        title="Cancel a backtest",
        description="Stop a queued or running backtest. One that has ended stays as it is.",
        hints=Hints(read_only=False, destructive=True, idempotent=True, open_world=True),
    ),
    EndpointTool(
        name="backtest_results",
        title="Read a verdict",
        description="Key metrics beside buy-and-hold, what was assumed, variants tried, best and worst trades, script.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_metrics",
        title="Read all metrics",
        description="Every figure of a result; _pct is percent, other ratios are fractions. "
        "For the key ones use backtest_results.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_per_ticker",
        title="Compare the tickers of a result",
        description="What each ticker of the universe contributed, the best first.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_trades",
        title="List the trades of a result",
        description="Closed trades by day, ticker and side, page by page.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_equity",
        title="Read the equity curve",
        description="Equity and drawdown over time in few points, or every bar page by page.",
        hints=LOOK,
    ),
    EndpointTool(
        name="backtest_analysis",
        title="Analyse a result",
        description="What drove a result and every reason to doubt it: few trades, costs, one-bar delay, halves, luck.",
        hints=LOOK,
    ),
)
