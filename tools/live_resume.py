"""Resumes a subscription. One that trades real money by itself is an order in advance, so the safety layer is asked."""

from __future__ import annotations

from typing import Final

from api.live import LIVE_RESUME, LIVE_SUBSCRIPTION_GET, Subscription, SubscriptionRequest, SwitchRequest
from safety import may_trade_by_itself

from .declaration import Operation
from .desk import Desk


async def resume(desk: Desk, request: SwitchRequest) -> Subscription:
    """Resume what only signals; ask first for everything else, also for what does not say."""
    if desk.client.source != "embedded":
        found = await desk.client.call(
            LIVE_SUBSCRIPTION_GET, SubscriptionRequest(subscription_id=request.subscription_id)
        )
        if found.mode != "signal":
            may_trade_by_itself(desk.client.source)
    return await desk.client.call(LIVE_RESUME, request)


OPERATION: Final = Operation(SwitchRequest, Subscription, resume)
