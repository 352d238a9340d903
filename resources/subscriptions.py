"""Deployed strategies as resources: their state, and the newest of their signals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import MCPServer

from .opening import Doors, OpenClient, ask, offered, reading

if TYPE_CHECKING:
    from api.client import Client

STATE: Final = "heytraders://subscriptions/{subscription_id}"
SIGNALS: Final = "heytraders://subscriptions/{subscription_id}/signals"
_SHOWN_SIGNALS: Final = 50


def register(server: MCPServer[Any], doors: Doors) -> None:
    """Serve both templates."""

    @server.resource(STATE, name="subscription", title="Subscription", mime_type="application/json")
    async def subscription(subscription_id: str) -> str:
        """A deployed strategy: status, mode, last bar, number of signals and newest webhook deliveries."""
        from api.live import LIVE_SUBSCRIPTION_GET, SubscriptionRequest

        async with reading(doors.client) as client:
            found = await client.call(
                LIVE_SUBSCRIPTION_GET, ask(SubscriptionRequest, {"subscription_id": subscription_id})
            )
            return found.model_dump_json(exclude_none=True)

    @server.resource(SIGNALS, name="signals", title="Signals", mime_type="application/json")
    async def signals(subscription_id: str) -> str:
        """The newest 50 signals of a deployed strategy, oldest first."""
        from api.live import LIVE_SIGNALS_LATEST, LatestSignalsRequest
        from api.outputs import with_tables

        async with reading(doors.client) as client:
            asked = {"subscription_id": subscription_id, "limit": _SHOWN_SIGNALS}
            found = await client.call(LIVE_SIGNALS_LATEST, ask(LatestSignalsRequest, asked))
            return json.dumps(with_tables(found), ensure_ascii=False)


async def complete_subscription(open_client: OpenClient, typed: str) -> list[str]:
    """The subscriptions whose id begins like this, newest first."""
    return await offered(open_client, _subscription_ids, typed)


async def complete_strategy(open_client: OpenClient, typed: str) -> list[str]:
    """What can be deployed and begins like this: the catalogue, then results of the caller's own."""
    return await offered(open_client, _strategy_ids, typed)


async def _subscription_ids(client: Client) -> list[str]:
    from api.live import LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest

    found = await client.call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest())
    return [each.subscription_id for each in found.subscriptions if each.subscription_id]


async def _strategy_ids(client: Client) -> list[str]:
    from api.live import LIVE_STRATEGIES_LIST, StrategiesRequest

    found = await client.call(LIVE_STRATEGIES_LIST, StrategiesRequest())
    return [each.strategy_id for each in found.strategies if each.strategy_id]
