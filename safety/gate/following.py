"""Waits on behalf of a caller: for a human's decision, for another process that sends, for an order's end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio import to_thread

from api import orders
from api.errors import HeyTradersError
from safety.face import Asking
from safety.terms.intent import Intent
from safety.terms.proposal import Order

from .footing import Footing
from .wording import how_to_approve

POLL_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 1.0
TELL_SECONDS: Final = 5.0
LISTED: Final = 50
ENDED: Final = frozenset({"FILLED", "CANCELLED", "REJECTED"})


@dataclass(slots=True)
class Wait:
    """A span of patience, and whom to tell about it.

    Attributes:
        asking: Of the caller.
        seconds: In all.
        started: On the event loop's clock.
    """

    asking: Asking
    seconds: float
    started: float = field(default_factory=anyio.current_time)
    _told: float = -TELL_SECONDS

    @property
    def left(self) -> float:
        """Seconds."""
        return self.started + self.seconds - anyio.current_time()

    async def pause(self, longest: float, message: str) -> bool:
        """Sleep a little and say so now and then; `False` when the patience is over."""
        if self.left <= 0:
            return False
        done = self.seconds - self.left
        if done - self._told >= TELL_SECONDS:
            self._told = done
            await self.asking.tell(done, self.seconds, message)
        await anyio.sleep(min(longest, max(0.0, self.left)))
        return True


async def decided(footing: Footing, intent: Intent, wait: Wait) -> Intent:
    """The intent once a human has decided, or nobody has in time."""
    message = f"Waiting for the user: run `{how_to_approve(intent)}` in a terminal"
    return await _until(footing, intent, wait, message, lambda now: now.state != "PENDING")


async def settled(footing: Footing, intent: Intent, wait: Wait) -> Intent:
    """The intent once whoever sends it knows what became of it."""
    return await _until(footing, intent, wait, "The order is being sent", lambda now: now.state != "SENT")


async def followed(footing: Footing, intent: Intent, wait: Wait) -> Intent:
    """The intent of a placed order, once the order has ended or the patience has."""
    while intent.state == "ACKED" and not ended(intent):
        if not await wait.pause(LOOK_SECONDS, f"The order is {(intent.result or {}).get('status', 'placed')}"):
            break
        intent = await looked_at(footing, intent)
    return intent


async def looked_at(footing: Footing, intent: Intent) -> Intent:
    """The intent with its order as the service shows it now, where it can be found among the newest."""
    order = intent.proposal.action
    if intent.state != "ACKED" or not isinstance(order, Order) or ended(intent):
        return intent
    asked = orders.ListRequest(account_id=order.account_id, symbol=order.symbol, limit=LISTED)
    try:
        listed = await footing.client.call(orders.ORDERS_LIST, asked)
    except HeyTradersError:
        return intent
    for each in listed.orders:
        if each.order_id is not None and each.order_id == intent.order_id:
            shown = {**(intent.result or {}), **each.model_dump(mode="json", exclude_none=True)}
            return await to_thread.run_sync(footing.ledger.observe, intent.intent_id, shown)
    return intent


def ended(intent: Intent) -> bool:
    """Whether the service has shown the order's end."""
    return (intent.result or {}).get("status") in ENDED


async def _until(
    footing: Footing, intent: Intent, wait: Wait, message: str, enough: Callable[[Intent], bool]
) -> Intent:
    while not enough(intent):
        if not await wait.pause(POLL_SECONDS, message):
            break
        found = await to_thread.run_sync(footing.ledger.intent, intent.intent_id)
        intent = intent if found is None else found
    return intent
