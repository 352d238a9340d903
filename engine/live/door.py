"""The door through which live strategies place orders. The engine is given its door and has no other.

The server passes in its gate, so that a strategy's order counts towards the same limits and appears in the same journal
as an order from a tool. An engine opened on its own uses its paper accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from api.errors import InvalidInput, NotFound, explain
from api.orders import CancelRequest, Order, PlaceRequest
from engine.trading_rules import ExitOrder, Exits
from engine.venues.venue import Venue, Venues

Answered = Literal["placed", "refused", "pending", "unknown"]
"""`pending`: not sent yet; retry with the same key. `unknown`: it may exist; retry, but never with another key."""


@dataclass(frozen=True, slots=True)
class StrategyOrder:
    """An order requested by a deployed strategy.

    Attributes:
        key: Identifies this decision permanently; placing the same key again refers to the same order.
        agent_id: Who deployed the strategy.
        subscription_id: The deployment whose standing approval covers the order.
        request: The order itself.
    """

    key: str
    agent_id: str
    subscription_id: str
    request: PlaceRequest


@dataclass(frozen=True, slots=True)
class DoorAnswer:
    """The outcome of an order.

    Attributes:
        answered: Its current state.
        order: The order as its venue shows it, if it was placed.
        reason: Why it was refused or its outcome is unknown, in one sentence.
    """

    answered: Answered
    order: Order | None = None
    reason: str = ""


class OrderDoor(Protocol):
    """The only way for strategies to place orders. Every method blocks: call it from a thread, not an event loop.

    A refusal is an answer. `NotNow` means that nothing was placed and the call may be repeated.
    """

    def find(self, agent_id: str, account_id: str, key: str) -> DoorAnswer | None:
        """The outcome of an order placed earlier under `key`; `None` if there was certainly none."""
        ...

    def place(self, order: StrategyOrder) -> DoorAnswer:
        """Place an order once; calling again with the same key returns the outcome of the first call."""
        ...

    def cancel(self, agent_id: str, account_id: str, key: str) -> DoorAnswer:
        """Cancel the rest of the order placed under `key`. Cancelling is always allowed.

        Returns:
            The order afterwards; `refused` if it had ended or never existed.
        """
        ...

    def set_exits(
        self, agent_id: str, account_id: str, entry: str, exits: Exits, amount: Decimal | None = None
    ) -> list[Order]:
        """Replace the exits of an entry that this door has placed; see `Venue`. They only reduce.

        Raises:
            NotNow: The kill switch of an own account is halted; what rests there stays.
        """
        ...

    def permit_exit(self, order: ExitOrder) -> str:
        """The gate's decision on an exit of an approved plan: why it may not be sent now, or "" if it may."""
        ...


@dataclass(frozen=True, slots=True)
class PaperDoor:
    """The door of an engine opened on its own: it places orders on paper accounts and nowhere else.

    Attributes:
        accounts: Gives the paper accounts of an agent.
        venues: Holds the entries whose exits are moved. An entry on an own account has passed the gate, which also
            judges each exit before it is sent.
    """

    accounts: Callable[[str], Venue]
    venues: Venues

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

    def set_exits(
        self, agent_id: str, account_id: str, entry: str, exits: Exits, amount: Decimal | None = None
    ) -> list[Order]:
        """See `OrderDoor`."""
        return self.venues.of(agent_id, account_id).set_exits(account_id, entry, exits, amount)

    def permit_exit(self, order: ExitOrder) -> str:
        """See `OrderDoor`. This door reaches no exchange account."""
        return f"account {order.account_id} has no gate"
