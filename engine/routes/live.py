"""The live section: strategies, subscriptions, webhooks and signals."""

from __future__ import annotations

from typing import Final

import anyio.to_thread

from api import live as api
from engine.access import ApiCaller
from engine.engine import Engine

from .binding import Route, route


async def strategies(engine: Engine, caller: ApiCaller, _request: api.StrategiesRequest) -> api.StrategiesResponse:
    """Strategies that can be deployed."""
    return await anyio.to_thread.run_sync(engine.live.strategies, caller)


async def subscribe(engine: Engine, caller: ApiCaller, request: api.SubscribeRequest) -> api.Subscription:
    """Deploy a strategy."""
    return await anyio.to_thread.run_sync(engine.live.subscribe, caller, request)


async def subscriptions(
    engine: Engine, caller: ApiCaller, request: api.SubscriptionsRequest
) -> api.SubscriptionsResponse:
    """All subscriptions."""
    return await anyio.to_thread.run_sync(engine.live.subscriptions, caller, request)


async def subscription(engine: Engine, caller: ApiCaller, request: api.SubscriptionRequest) -> api.Subscription:
    """One subscription."""
    return await anyio.to_thread.run_sync(engine.live.subscription, caller, request.subscription_id)


async def unsubscribe(engine: Engine, caller: ApiCaller, request: api.SubscriptionRequest) -> api.Subscription:
    """End a subscription."""
    return await anyio.to_thread.run_sync(engine.live.unsubscribe, caller, request.subscription_id)


async def pause(engine: Engine, caller: ApiCaller, request: api.SwitchRequest) -> api.Subscription:
    """Pause a subscription."""
    return await anyio.to_thread.run_sync(engine.live.pause, caller, request)


async def resume(engine: Engine, caller: ApiCaller, request: api.SwitchRequest) -> api.Subscription:
    """Resume a subscription."""
    return await anyio.to_thread.run_sync(engine.live.resume_subscription, caller, request)


async def webhook_set(engine: Engine, caller: ApiCaller, request: api.WebhookSetRequest) -> api.WebhookResponse:
    """Configure a webhook."""
    return await anyio.to_thread.run_sync(engine.live.set_webhook, caller, request)


async def webhook_remove(engine: Engine, caller: ApiCaller, request: api.SubscriptionRequest) -> api.WebhookResponse:
    """Remove a webhook."""
    return await anyio.to_thread.run_sync(engine.live.remove_webhook, caller, request.subscription_id)


async def webhook_test(engine: Engine, _caller: ApiCaller, request: api.WebhookTestRequest) -> api.WebhookTestResponse:
    """Test a webhook."""
    return await anyio.to_thread.run_sync(engine.live.test_webhook, request)


async def signals(engine: Engine, caller: ApiCaller, request: api.SignalsRequest) -> api.SignalsResponse:
    """Signal history."""
    return await anyio.to_thread.run_sync(engine.live.signals, caller, request)


async def latest(engine: Engine, caller: ApiCaller, request: api.LatestSignalsRequest) -> api.SignalsResponse:
    """New signals."""
    return await anyio.to_thread.run_sync(engine.live.latest, caller, request)


ROUTES: Final[tuple[Route, ...]] = (
    route(api.LIVE_STRATEGIES_LIST, strategies),
    route(api.LIVE_SUBSCRIBE, subscribe),
    route(api.LIVE_SUBSCRIPTIONS_LIST, subscriptions),
    route(api.LIVE_SUBSCRIPTION_GET, subscription),
    route(api.LIVE_UNSUBSCRIBE, unsubscribe),
    route(api.LIVE_PAUSE, pause),
    route(api.LIVE_RESUME, resume),
    route(api.LIVE_WEBHOOK_SET, webhook_set),
    route(api.LIVE_WEBHOOK_REMOVE, webhook_remove),
    route(api.LIVE_WEBHOOK_TEST, webhook_test),
    route(api.LIVE_SIGNALS, signals),
    route(api.LIVE_SIGNALS_LATEST, latest),
)
