"""Webhook deliveries as rows: stored with the event, sent later, retried, and kept as a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from api.live import WebhookEvent
from api.times import iso8601
from engine.store.database import new_id
from engine.store.live import deliveries_table, subscriptions_table

from .delivery import Receipt
from .subscriptions import Running

_AT_ONCE: Final = 8
"""The maximum number of deliveries that are sent at the same time."""

_SHOWN: Final = 10
"""The number of deliveries in a log."""

WAITS: Final = (10.0, 60.0, 300.0, 1_800.0)
"""Seconds before the second, third, ... attempt; after the last one, the delivery is abandoned."""

_row: Final = deliveries_table.c


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that is due, with its current destination."""

    id: str
    event: str
    body: bytes
    attempts: int
    url: str
    secret: str | None


def post(connection: sa.Connection, running: Running, event: WebhookEvent, data: Mapping[str, Any], now: float) -> None:
    """Queue a delivery, if the subscription's webhook is configured for the event."""
    if running.hook is None or event not in running.hook.events:
        return
    delivery_id = new_id("dlv")
    body = {
        "event": event,
        "delivery_id": delivery_id,
        "subscription_id": running.id,
        "strategy_id": running.strategy_id,
        "created_at": iso8601(now),
        "data": data,
    }
    connection.execute(
        sa.insert(deliveries_table).values(
            id=delivery_id,
            subscription_id=running.id,
            event=event,
            body=json.dumps(body, separators=(",", ":")),
            created_at=now,
            state="waiting",
            due_at=now,
        )
    )


def due(connection: sa.Connection, now: float) -> list[DueDelivery]:
    """The deliveries to send now: the oldest of each subscription. Later ones wait for it.

    A subscription whose webhook was removed has none. A delivery that waits longer than the longest wait was scheduled
    before the clock was set back, and is due too.
    """
    owner = subscriptions_table.c
    oldest = sa.select(sa.func.min(_row.id)).where(_row.state == "waiting").group_by(_row.subscription_id)
    ready = sa.or_(_row.due_at <= now, _row.due_at > now + WAITS[-1])
    wanted = (
        sa.select(deliveries_table, owner.webhook_url, owner.webhook_secret)
        .join(subscriptions_table, owner.id == _row.subscription_id)
        .where(_row.id.in_(oldest), ready, owner.webhook_url.is_not(None))
        .order_by(_row.due_at, _row.id)
        .limit(_AT_ONCE)
    )
    return [
        DueDelivery(r.id, r.event, r.body.encode(), r.attempts, r.webhook_url, r.webhook_secret)
        for r in connection.execute(wanted)
    ]


def record(connection: sa.Connection, delivery: DueDelivery, receipt: Receipt, now: float) -> None:
    """Record the outcome of an attempt, and when to retry if it failed."""
    again = delivery.attempts < len(WAITS) and not receipt.delivered
    state = "delivered" if receipt.delivered else "waiting" if again else "given_up"
    connection.execute(
        sa.update(deliveries_table)
        .where(_row.id == delivery.id)
        .values(
            state=state,
            attempts=delivery.attempts + 1,
            due_at=now + (WAITS[delivery.attempts] if again else 0.0),
            last_at=now,
            last_status=f"{state}: {receipt.note or receipt.status}"[:200],
        )
    )


def log(connection: sa.Connection, subscription_id: str) -> list[dict[str, Any]]:
    """The newest deliveries, newest first."""
    wanted = (
        sa.select(deliveries_table)
        .where(_row.subscription_id == subscription_id)
        .order_by(_row.id.desc())
        .limit(_SHOWN)
    )
    return [
        {
            "delivery_id": r.id,
            "event": r.event,
            "state": r.state,
            "attempts": r.attempts,
            "last_status": r.last_status,
            "created_at": iso8601(r.created_at),
        }
        for r in connection.execute(wanted)
    ]
