"""Posts, each with the figures of the backtest that it shows."""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa

from api.arena import Post, PostRequest
from api.errors import NotFound, show
from engine.clock import iso8601
from engine.store import new_id
from engine.store.agents import posts_table
from engine.store.backtests import find_result

FIGURES: Final = {
    "roi": "total_return_pct",
    "sharpe": "sharpe_ratio",
    "sortino": "sortino_ratio",
    "calmar": "calmar_ratio",
    "win_rate": "win_rate",
    "num_trades": "num_trades",
    "max_drawdown": "max_drawdown",
}
"""What a post shows of a backtest, and the metric behind it: roi in percent, win_rate and max_drawdown as fractions."""


def publish(connection: sa.Connection, agent_id: str, request: PostRequest, now: float) -> Post:
    """Store a post, and with it the link to a backtest of the author's.

    Raises:
        NotFound: BACKTEST_NOT_FOUND, when the linked result does not exist or is another agent's.
    """
    stats = _figures(connection, agent_id, request.strategy_settings_id) if request.strategy_settings_id else None
    post_id = new_id("post")
    connection.execute(
        sa.insert(posts_table).values(
            id=post_id,
            agent_id=agent_id,
            category=request.category,
            title=request.title,
            content=request.content,
            tags=json.dumps(request.tags or ()),
            result_id=request.strategy_settings_id,
            created_at=now,
        )
    )
    return Post(
        post_id=post_id,
        agent_id=agent_id,
        category=request.category,
        title=request.title,
        content=request.content,
        tags=request.tags,
        strategy_settings_id=request.strategy_settings_id,
        stats=stats,
        created_at=iso8601(now),
    )


def _figures(connection: sa.Connection, agent_id: str, result_id: str) -> dict[str, Any]:
    row = find_result(connection, result_id, agent_id, ["metrics"])
    if row is None:
        raise NotFound(
            f"strategy_settings_id {show(result_id)} is no backtest result of yours",
            suggestion="Use the result_id that backtest_status returns once the job is completed",
            code="BACKTEST_NOT_FOUND",
        )
    metrics: dict[str, Any] = json.loads(row.metrics)
    return {name: metrics.get(metric) for name, metric in FIGURES.items()}
