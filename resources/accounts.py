"""Accounts as resources: a client can keep them in view without the model calling a tool again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import MCPServer

from .opening import Doors, OpenClient, ask, offered, reading

if TYPE_CHECKING:
    from api.client import Client

LIST: Final = "heytraders://accounts"
BALANCES: Final = "heytraders://accounts/{account_id}"


def register(server: MCPServer[Any], doors: Doors) -> None:
    """Serve the list, and each account."""

    @server.resource(LIST, name="accounts", title="Accounts", mime_type="application/json")
    async def accounts() -> str:
        """The exchange accounts with their ids and venues; paper ones say so."""
        from api.accounts import ACCOUNTS_LIST, ListRequest

        async with reading(doors.client) as client:
            return (await client.call(ACCOUNTS_LIST, ListRequest())).model_dump_json(exclude_none=True)

    @server.resource(BALANCES, name="account", title="Account", mime_type="application/json")
    async def account(account_id: str) -> str:
        """Balances, positions, open orders and total equity of an account, as of now."""
        from api.accounts import ACCOUNTS_BALANCES, BalancesRequest
        from api.outputs import with_tables
        from tools.own_labels import owned

        async with reading(doors.client) as client:
            held = await client.call(ACCOUNTS_BALANCES, ask(BalancesRequest, {"account_id": account_id}))
            own = await owned(doors.safety, held.open_orders)
            return json.dumps(with_tables(held.model_copy(update={"open_orders": own})), ensure_ascii=False)


async def complete_account(open_client: OpenClient, typed: str) -> list[str]:
    """The accounts whose id begins like this."""
    return await offered(open_client, _account_ids, typed)


async def _account_ids(client: Client) -> list[str]:
    from api.accounts import ACCOUNTS_LIST, ListRequest

    found = await client.call(ACCOUNTS_LIST, ListRequest())
    return [each.account_id for each in found.accounts if each.account_id]
