"""Subscriptions, their signals and webhook deliveries, and the lease of the process that runs them.

Times are unix seconds of the engine's clock, except for the lease, which uses the machine's clock.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from engine.store import metadata

subscriptions_table: Final = sa.Table(
    "live_subscriptions",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("agent_id", sa.String(40), sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("strategy_id", sa.String(128), nullable=False),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("account_id", sa.String(128)),
    sa.Column("status", sa.String(12), nullable=False, index=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("message", sa.Text),
    sa.Column("webhook_url", sa.String(2_048)),
    sa.Column("webhook_secret", sa.String(256)),
    sa.Column("webhook_events", sa.String(60)),
    sa.Column("kept", sa.Text),
    sa.Column("intended", sa.Text),
    sa.Column("held", sa.Text),
)
"""`started_at` is the open time of the first bar it may decide on; `cursor` the close of the last bar it has seen;
`kept` the state of the strategy's simulated account after the last traded bar, which a pause does not change.
`intended` and `held` map symbols to base units (JSON): of the strategy's simulated account, and of its orders."""

signals_table: Final = sa.Table(
    "live_signals",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column(
        "subscription_id",
        sa.String(40),
        sa.ForeignKey("live_subscriptions.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("bar_time", sa.BigInteger, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("exchange", sa.String(20), nullable=False),
    sa.Column("symbol", sa.String(200), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("action", sa.String(10), nullable=False),
    sa.Column("position", sa.String(5), nullable=False),
    sa.Column("price", sa.String(64), nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("closes", sa.Float, nullable=False),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("order_state", sa.String(10), nullable=False),
    sa.Column("order_id", sa.String(64)),
    sa.Column("message", sa.Text),
    sa.Column("amount", sa.Float),
    sa.Column("stop", sa.Float),
    sa.Column("target", sa.Float),
    sa.Column("units", sa.Float),
    sa.Column("resting", sa.String(64)),
    sa.Column("rung", sa.Integer),
    sa.Column("wanted", sa.Text),
    sa.Column("filled", sa.Text),
    sa.Column("average", sa.Text),
    sa.Column("received", sa.Text),
    sa.Index("ix_live_signals_subscription_seq", "subscription_id", "seq"),
    sa.Index("ix_live_signals_order_state", "order_state", "subscription_id"),
    sa.Index("ix_live_signals_resting", "resting"),
)
"""`bar_time` is the close of the bar; `created_us` counts microseconds; `order_state` is an `OrderState`; `units` are
of the strategy's simulated account; `resting` is the key of its resting order; `rung` is the rung of a grid that it
trades; `wanted` and `filled` are the base units of its order, `average` the average fill price, `received` the filled
amount less a fee taken out of it."""

_FILLED: Final = sa.text("filled > '0'")

resting_table: Final = sa.Table(
    "live_orders",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column(
        "subscription_id",
        sa.String(40),
        sa.ForeignKey("live_subscriptions.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("slot", sa.String(260), nullable=False),
    sa.Column("exchange", sa.String(20), nullable=False),
    sa.Column("symbol", sa.String(200), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("closes", sa.Float, nullable=False),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("units", sa.Float, nullable=False),
    sa.Column("equity", sa.Float, nullable=False),
    sa.Column("fixed", sa.Boolean, nullable=False),
    sa.Column("price", sa.Float, nullable=False),
    sa.Column("stop", sa.Float),
    sa.Column("target", sa.Float),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("order_id", sa.String(64)),
    sa.Column("wanted", sa.Text),
    sa.Column("filled", sa.Text),
    sa.Column("average", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("received", sa.Text),
    sa.Column("entry", sa.String(64)),
    sa.Index("ix_live_orders_subscription_state", "subscription_id", "state", "symbol", "side", "since"),
    sa.Index(
        "ix_live_orders_filled", "subscription_id", "symbol", "since", sqlite_where=_FILLED, postgresql_where=_FILLED
    ),
    sa.Index("ix_live_orders_order_id", "order_id"),
    sa.Index("ix_live_orders_entry", "entry"),
    sa.Index("ix_live_orders_state", "state"),
)
"""Resting orders of strategies. `closes` is the share of the holding that an order closes, 0 if it opens. `equity` (of
the simulated account) and `since` (the close of a bar) are those at the decision. For `state`, see
`orders.LiveOrderState`. `entry` is the `order_id` of the entry that carries an exit at the venue, or is about to."""

deliveries_table: Final = sa.Table(
    "live_deliveries",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column(
        "subscription_id",
        sa.String(40),
        sa.ForeignKey("live_subscriptions.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float),
    sa.Column("last_status", sa.String(200)),
    sa.Index("ix_live_deliveries_state_due_at", "state", "due_at"),
)
"""`state`: waiting, delivered or given_up."""

leases_table: Final = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(120), nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
