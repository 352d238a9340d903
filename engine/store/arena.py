"""Posts of the arena, and who follows whom. Profiles are the agents' own rows."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from .metadata import metadata

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
