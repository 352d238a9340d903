"""Trading state as resources: accounts, deployed strategies, and the safety layer's policy and journal.

A client can keep them in view, so that the model does not call a tool repeatedly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import MCPServer

from .opening import Backends, OpenClient, ask, offered, reading

if TYPE_CHECKING:
    from api.client import Client

ACCOUNTS: Final = "heytraders://accounts"
BALANCES: Final = "heytraders://accounts/{account_id}"
SUBSCRIPTION: Final = "heytraders://subscriptions/{subscription_id}"
SIGNALS: Final = "heytraders://subscriptions/{subscription_id}/signals"
POLICY: Final = "heytraders://safety/policy"
JOURNAL: Final = "heytraders://safety/journal"
JOURNAL_EVENTS: Final = 50
_SHOWN_SIGNALS: Final = 50


def register_accounts(server: MCPServer[Any], backends: Backends) -> None:
    """Serve the list, and each account."""

    @server.resource(ACCOUNTS, name="accounts", title="Accounts", mime_type="application/json")
    async def accounts() -> str:
        """The exchange accounts with their ids and exchanges; paper accounts are marked."""
        from api.accounts import ACCOUNTS_LIST, AccountsRequest

        async with reading(backends.client) as client:
            return (await client.call(ACCOUNTS_LIST, AccountsRequest())).model_dump_json(exclude_none=True)

    @server.resource(BALANCES, name="account", title="Account", mime_type="application/json")
    async def account(account_id: str) -> str:
        """Balances, positions, open orders and total equity of an account, as of now."""
        from api.accounts import ACCOUNTS_BALANCES, BalancesRequest
        from api.outputs import with_tables
        from tools.own_labels import owned

        async with reading(backends.client) as client:
            held = await client.call(ACCOUNTS_BALANCES, ask(BalancesRequest, {"account_id": account_id}))
            own = await owned(backends.safety, held.open_orders)
            return json.dumps(with_tables(held.model_copy(update={"open_orders": own})), ensure_ascii=False)


async def complete_account(open_client: OpenClient, typed: str) -> list[str]:
    """The accounts whose id begins with this text."""
    return await offered(open_client, _account_ids, typed)


async def _account_ids(client: Client) -> list[str]:
    from api.accounts import ACCOUNTS_LIST, AccountsRequest

    found = await client.call(ACCOUNTS_LIST, AccountsRequest())
    return [each.account_id for each in found.accounts if each.account_id]


def register_subscriptions(server: MCPServer[Any], backends: Backends) -> None:
    """Serve both templates."""

    @server.resource(SUBSCRIPTION, name="subscription", title="Subscription", mime_type="application/json")
    async def subscription(subscription_id: str) -> str:
        """A deployed strategy: status, mode, last bar, number of signals and newest webhook deliveries."""
        from api.live import LIVE_SUBSCRIPTION_GET, SubscriptionRequest

        async with reading(backends.client) as client:
            found = await client.call(
                LIVE_SUBSCRIPTION_GET, ask(SubscriptionRequest, {"subscription_id": subscription_id})
            )
            return found.model_dump_json(exclude_none=True)

    @server.resource(SIGNALS, name="signals", title="Signals", mime_type="application/json")
    async def signals(subscription_id: str) -> str:
        """The newest 50 signals of a deployed strategy, oldest first."""
        from api.live import LIVE_SIGNALS_LATEST, LatestSignalsRequest
        from api.outputs import with_tables

        async with reading(backends.client) as client:
            asked = {"subscription_id": subscription_id, "limit": _SHOWN_SIGNALS}
            found = await client.call(LIVE_SIGNALS_LATEST, ask(LatestSignalsRequest, asked))
            return json.dumps(with_tables(found), ensure_ascii=False)


async def complete_subscription(open_client: OpenClient, typed: str) -> list[str]:
    """The subscriptions whose id begins with this text, newest first."""
    return await offered(open_client, _subscription_ids, typed)


async def complete_strategy(open_client: OpenClient, typed: str) -> list[str]:
    """Deployable strategies whose id begins with this text: the catalogue, then the caller's own results."""
    return await offered(open_client, _strategy_ids, typed)


async def _subscription_ids(client: Client) -> list[str]:
    from api.live import LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest

    found = await client.call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest())
    return [each.subscription_id for each in found.subscriptions if each.subscription_id]


async def _strategy_ids(client: Client) -> list[str]:
    from api.live import LIVE_STRATEGIES_LIST, StrategiesRequest

    found = await client.call(LIVE_STRATEGIES_LIST, StrategiesRequest())
    return [each.strategy_id for each in found.strategies if each.strategy_id]


def register_safety(server: MCPServer[Any], backends: Backends) -> None:
    """Serve both."""

    @server.resource(POLICY, name="safety_policy", title="Safety policy", mime_type="text/markdown")
    async def policy() -> str:
        """Which limits apply to orders now, where they come from, and who may change them."""
        async with reading(backends.safety) as safety:
            return await safety.reports.policy_text()

    @server.resource(JOURNAL, name="safety_journal", title="Safety journal", mime_type="text/markdown")
    async def journal() -> str:
        """The newest 50 events: what was asked for, refused, approved, sent, and what became of it."""
        async with reading(backends.safety) as safety:
            return await safety.reports.journal_text(JOURNAL_EVENTS)
