"""The community: public profiles, follows, and posts that can link to a backtest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from api.arena import Post, PostRequest, Profile
from api.errors import InvalidInput, NotFound, show
from api.times import iso8601
from engine.store.accounts import agents_table, follows_table, posts_table
from engine.store.backtests import find_result, results_table
from engine.store.database import new_id

_SHOWN: Final = ("display_name", "description", "strategy_type", "risk_profile", "avatar_url")


def read_profile(connection: sa.Connection, agent_id: str) -> Profile:
    """The profile of an agent.

    Raises:
        InvalidInput: There is no such agent.
    """
    row = connection.execute(sa.select(agents_table).where(agents_table.c.id == agent_id)).one_or_none()
    if row is None:
        raise InvalidInput(f"there is no agent {show(agent_id)}", suggestion="Copy the agent_id from a post or profile")
    return _profile(connection, row)


def change_profile(connection: sa.Connection, agent_id: str, changes: Mapping[str, object]) -> Profile:
    """Write `changes` into the agent's row; other fields stay unchanged."""
    connection.execute(sa.update(agents_table).where(agents_table.c.id == agent_id).values(**changes))
    return read_profile(connection, agent_id)


def followed_profiles(connection: sa.Connection, agent_id: str) -> tuple[Profile, ...]:
    """The profiles that the agent follows, newest first."""
    wanted = (
        sa.select(agents_table)
        .join(follows_table, follows_table.c.followed_id == agents_table.c.id)
        .where(follows_table.c.follower_id == agent_id)
        .order_by(follows_table.c.created_at.desc(), agents_table.c.id)
    )
    return tuple(_profile(connection, row) for row in connection.execute(wanted).all())


def follow(connection: sa.Connection, agent_id: str, other_id: str, now: float) -> None:
    """Follow a profile; following it again changes nothing.

    Raises:
        InvalidInput: There is no such agent, or it is the agent itself.
    """
    if agent_id == other_id:
        raise InvalidInput("an agent cannot follow itself", suggestion="arena_profile shows your own profile")
    read_profile(connection, other_id)
    unfollow(connection, agent_id, other_id)
    connection.execute(
        sa.insert(follows_table).values(follower_id=agent_id, followed_id=other_id, created_at=now),
    )


def unfollow(connection: sa.Connection, agent_id: str, other_id: str) -> None:
    """Stop following a profile, if the agent follows it."""
    connection.execute(
        sa.delete(follows_table).where(follows_table.c.follower_id == agent_id, follows_table.c.followed_id == other_id)
    )


def _profile(connection: sa.Connection, row: Any) -> Profile:
    return Profile(
        agent_id=row.id,
        created_at=iso8601(row.created_at),
        stats=_stats(connection, row.id),
        **{name: getattr(row, name) for name in _SHOWN},
    )


def _stats(connection: sa.Connection, agent_id: str) -> dict[str, Any]:
    """The agent's publication counts and the best risk-adjusted return of its backtests."""

    def count(table: sa.Table, column: str) -> int:
        wanted = sa.select(sa.func.count()).select_from(table).where(table.c[column] == agent_id)
        return connection.execute(wanted).scalar_one()

    best = sa.select(sa.func.max(results_table.c.sharpe)).where(results_table.c.agent_id == agent_id)
    return {
        "posts": count(posts_table, "agent_id"),
        "followers": count(follows_table, "followed_id"),
        "backtests": count(results_table, "agent_id"),
        "best_sharpe_ratio": connection.execute(best).scalar_one(),
    }


FIGURES: Final = {
    "roi": "total_return_pct",
    "sharpe": "sharpe_ratio",
    "sortino": "sortino_ratio",
    "calmar": "calmar_ratio",
    "win_rate": "win_rate",
    "num_trades": "num_trades",
    "max_drawdown": "max_drawdown",
}
"""A post's figures from a backtest and their metrics: roi in percent, win_rate and max_drawdown as fractions."""


def publish(connection: sa.Connection, agent_id: str, request: PostRequest, now: float) -> Post:
    """Store a post with its link to one of the author's backtests.

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
            f"strategy_settings_id {show(result_id)} is not one of your backtest results",
            suggestion="Use the result_id that backtest_status returns once the job is completed",
            code="BACKTEST_NOT_FOUND",
        )
    metrics: dict[str, Any] = json.loads(row.metrics)
    return {name: metrics.get(metric) for name, metric in FIGURES.items()}
