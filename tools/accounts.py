"""Exchange accounts and their holdings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, CompositeTool, EndpointTool, later

if TYPE_CHECKING:
    from . import own_labels
else:
    own_labels = later("tools.own_labels")

ACCOUNTS: Final = (
    EndpointTool(
        name="accounts_list",
        title="List accounts",
        description="List the accounts with their ids and exchanges. Start here before placing an order.",
        hints=LOOK,
    ),
    EndpointTool(
        name="accounts_get",
        title="Get one account",
        description="Details of one account. For money and positions use accounts_balances.",
        hints=LOOK,
    ),
    CompositeTool(
        name="accounts_balances",
        title="Get balances and positions",
        description="Balances, positions, open orders and total equity of one account, as of now.",
        hints=LOOK,
        operation=lambda: own_labels.BALANCES,
    ),
    CompositeTool(
        name="accounts_open_orders",
        title="Get open orders of an account",
        description="The orders that rest on one account's exchange. "
        "For filled and ended ones, or several accounts, use orders_list.",
        hints=LOOK,
        operation=lambda: own_labels.OPEN_ORDERS,
    ),
)
