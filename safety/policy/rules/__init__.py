"""The table of rules. The worst finding decides; the order is for reading only.

R33 has no row: cancelling, pausing and unsubscribing are never judged.
"""

from __future__ import annotations

from typing import Final

from . import exposure, health, human, pace, permission, price, publishing, size
from .case import Rule

RULES: Final[tuple[Rule, ...]] = (
    permission.mode,
    permission.accounts,
    permission.venues,
    permission.symbols,
    permission.order_types,
    permission.sanity,
    size.amount,
    size.notional,
    size.valued,
    price.collar,
    size.leverage,
    pace.daily_notional,
    pace.daily_count,
    pace.throttle,
    pace.duplicate,
    exposure.open_orders,
    exposure.position,
    exposure.daily_loss,
    exposure.drawdown,
    exposure.switch,
    price.self_trade,
    pace.rearm,
    health.failures,
    health.unresolved,
    exposure.funds,
    health.clock,
    health.upstream,
    human.approval,
    human.channel,
    human.standing,
    publishing.webhook,
    publishing.publish,
)

FATIGUE: Final = human.fatigue
"""Judged last, and only where the others want a human."""
