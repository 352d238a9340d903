"""Where the orders of live strategies go. The engine is handed a door; it never chooses one, and it has no other.

The server hands in its gate, so that an order of a strategy counts in the same limits and stands in the same journal as
an order of a tool. An engine that is opened alone hands in its own paper accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from api.errors import InvalidInput, NotFound, explain
from api.orders import CancelRequest, Order, PlaceRequest
from engine.venues.exits import ExitOrder, Exits
from engine.venues.venue import Venue

Answered = Literal["placed", "refused", "pending", "unknown"]
"""`pending`: not sent yet, ask again with the same key. `unknown`: it may exist, ask again, never with another key."""


@dataclass(frozen=True, slots=True)
class StrategyOrder:
    """An order that a deployed strategy asks for.

    Attributes:
        key: Names this one decision for ever; the same key is the same order, however often it is placed.
        agent_id: Who deployed the strategy.
        subscription_id: Of the deployment; its standing approval is what the order rests on.
        request: The order itself.
    """

    key: str
    agent_id: str
    subscription_id: str
    request: PlaceRequest


@dataclass(frozen=True, slots=True)
class DoorAnswer:
    """What became of an order.

    Attributes:
        answered: Where it stands now.
        order: As its venue shows it, where it was placed.
        reason: Why it was refused or is not clear, in one sentence.
    """

    answered: Answered
    order: Order | None = None
    reason: str = ""


class OrderDoor(Protocol):
    """The one way of strategies to money. Every method blocks; call it from a thread, never from an event loop.

    A refusal is an answer. What is raised (`NotNow`) means that nothing was placed and that it may be asked again.
    """

    def find(self, agent_id: str, account_id: str, key: str) -> DoorAnswer | None:
        """What became of an order that was placed under `key` before; `None` where there surely was none."""
        ...

    def place(self, order: StrategyOrder) -> DoorAnswer:
        """Place an order once; the same key again returns what became of the first."""
        ...

    def cancel(self, agent_id: str, account_id: str, key: str) -> DoorAnswer:
        """Cancel the rest of the order that was placed under `key`. Cancelling always passes.

        Returns:
            The order as it then is; `refused` where it had ended or never was.
        """
        ...

    def set_exits(self, agent_id: str, account_id: str, entry: str, exits: Exits) -> list[Order]:
        """Let other exits follow an entry on a paper account; they only reduce, so this always passes. See `Venue`."""
        ...

    def permit_exit(self, order: ExitOrder) -> str:
        """The gate's word on an exit of an approved plan: why it may not go out now, or "" where it may."""
        ...


@dataclass(frozen=True, slots=True)
class PaperDoor:
    """The door of an engine that is opened alone: it reaches paper accounts and nothing else.

    Attributes:
        accounts: Gives the paper accounts of an agent.
    """

    accounts: Callable[[str], Venue]

    def find(self, agent_id: str, account_id: str, key: str) -> DoorAnswer | None:
        """See `OrderDoor`."""
        found = self.accounts(agent_id).find(account_id, key)
        return None if found is None else DoorAnswer("placed", found)

    def place(self, order: StrategyOrder) -> DoorAnswer:
        """See `OrderDoor`."""
        return DoorAnswer("placed", self.accounts(order.agent_id).place(order.request, order.key))

    def cancel(self, agent_id: str, account_id: str, key: str) -> DoorAnswer:
        """See `OrderDoor`."""
        request = CancelRequest(order_id=key, account_id=account_id)
        try:
            return DoorAnswer("placed", self.accounts(agent_id).cancel(request))
        except (InvalidInput, NotFound) as error:
            return DoorAnswer("refused", reason=explain(error))

    def set_exits(self, agent_id: str, account_id: str, entry: str, exits: Exits) -> list[Order]:
        """See `OrderDoor`."""
        return self.accounts(agent_id).set_exits(account_id, entry, exits)

    def permit_exit(self, order: ExitOrder) -> str:
        """See `OrderDoor`. No own account is behind this door."""
        return f"account {order.account_id} is behind no gate"
