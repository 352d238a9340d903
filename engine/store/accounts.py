"""Tables of agents (keys, quota usage, posts, follows) and of their paper accounts.

Keys are stored only as SHA-256 digests. The arena profile is part of the agent's row. Money and amounts are exact
decimals as TEXT. Ledger rows are never changed or removed. `broker_balances` stores the sums of the ledger, so that a
balance is a single row. Both are written in one transaction, and `engine.venues.paper.postings.verify` compares them.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from engine.store import metadata

_AMOUNT: Final = sa.String(128)

accounts_table: Final = sa.Table(
    "broker_accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("account_id", sa.String(64), nullable=False),
    sa.Column("exchange", sa.String(32), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("opening", _AMOUNT, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("owner", "account_id"),
)

balances_table: Final = sa.Table(
    "broker_balances",
    metadata,
    sa.Column("account", sa.Integer, sa.ForeignKey("broker_accounts.id"), primary_key=True),
    sa.Column("book", sa.String(16), primary_key=True),
    sa.Column("asset", sa.String(128), primary_key=True),
    sa.Column("amount", _AMOUNT, nullable=False),
)

ledger_table: Final = sa.Table(
    "broker_ledger",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Integer, sa.ForeignKey("broker_accounts.id"), nullable=False, index=True),
    sa.Column("posting", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("book", sa.String(16), nullable=False),
    sa.Column("asset", sa.String(128), nullable=False),
    sa.Column("amount", _AMOUNT, nullable=False),
    sa.Column("order_id", sa.String(64)),
    sa.Column("at", sa.BigInteger, nullable=False),
)

orders_table: Final = sa.Table(
    "broker_orders",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("order_id", sa.String(64), nullable=False, unique=True),
    sa.Column("exchange_order_id", sa.String(80), nullable=False, unique=True),
    sa.Column("account", sa.Integer, sa.ForeignKey("broker_accounts.id"), nullable=False),
    sa.Column("exchange", sa.String(32), nullable=False),
    sa.Column("base", sa.String(128), nullable=False),
    sa.Column("quote", sa.String(32), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("order_type", sa.String(8), nullable=False),
    sa.Column("amount", _AMOUNT, nullable=False),
    sa.Column("price", _AMOUNT),
    sa.Column("leverage", sa.Integer, nullable=False),
    sa.Column("label", sa.String(100)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("filled", _AMOUNT, nullable=False),
    sa.Column("cost", _AMOUNT, nullable=False),
    sa.Column("fee", _AMOUNT, nullable=False),
    sa.Column("opening", _AMOUNT, nullable=False),
    sa.Column("reserved", _AMOUNT, nullable=False),
    sa.Column("message", sa.String(300)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("seen_until", sa.BigInteger, nullable=False),
    sa.Column("reduce_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("exits", sa.String(200)),
    sa.Column("role", sa.String(16)),
    sa.Column("parent", sa.String(64)),
    sa.Column("trigger_price", _AMOUNT),
    sa.Column("trail", _AMOUNT),
    sa.Column("best_price", _AMOUNT),
    sa.Index("ix_broker_orders_account_status", "account", "status"),
)
"""Times are unix milliseconds, except `seen_until`: the close of the last bar that the order has met, unix seconds.

`opening` is the part of the remainder that would open or grow a position, and `reserved` the amount held for it.
`exits` are the exits that follow an entry; an exit has a `role` and its entry's `order_id` as `parent`. A stop becomes
a market order at `trigger_price`. For a trailing stop, that price follows the `best_price` at the distance `trail`.
"""

positions_table: Final = sa.Table(
    "broker_positions",
    metadata,
    sa.Column("account", sa.Integer, sa.ForeignKey("broker_accounts.id"), primary_key=True),
    sa.Column("base", sa.String(128), primary_key=True),
    sa.Column("quote", sa.String(32), primary_key=True),
    sa.Column("size", _AMOUNT, nullable=False),
    sa.Column("cost", _AMOUNT, nullable=False),
    sa.Column("margin", _AMOUNT, nullable=False),
    sa.Column("leverage", sa.Integer, nullable=False),
    sa.Column("seen_until", sa.BigInteger, nullable=False),
)
"""Perpetual and prediction positions. `size` is signed, `cost` the entry value: positive, in quote currency."""


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
