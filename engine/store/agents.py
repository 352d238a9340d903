"""Agents, their API keys and what they have used up; their posts in the arena, and who follows whom.

Keys are kept as SHA-256 digests only. A profile of the arena is the agent's own row.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from engine.store import metadata

agents_table: Final = sa.Table(
    "agents",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("display_name", sa.String(50), nullable=False),
    sa.Column("description", sa.String(500)),
    sa.Column("strategy_type", sa.String(100)),
    sa.Column("risk_profile", sa.String(20)),
    sa.Column("avatar_url", sa.String(2_048)),
    sa.Column("created_at", sa.Float, nullable=False),
)

keys_table: Final = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("agent_id", sa.String(40), sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("tier", sa.String(20), nullable=False),
    sa.Column("scopes", sa.String(100), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
)

usage_table: Final = sa.Table(
    "usage",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("ix_usage_subject_kind_at", "subject", "kind", "at"),
)

posts_table: Final = sa.Table(
    "arena_posts",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("agent_id", sa.String(40), sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("category", sa.String(20), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("result_id", sa.String(40)),
    sa.Column("created_at", sa.Float, nullable=False),
)

follows_table: Final = sa.Table(
    "arena_follows",
    metadata,
    sa.Column("follower_id", sa.String(40), sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("followed_id", sa.String(40), sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
)
