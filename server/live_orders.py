"""Makes the gate the door of live strategies: the embedded engine's strategies place orders through it like any caller.

The engine calls from its own thread; the gate runs on the server's event loop.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import anyio.from_thread
from anyio import to_thread
from anyio.lowlevel import EventLoopToken

from api.errors import HeyTradersError, NotNow, Unavailable, explain
from api.orders import Order
from engine.access import LOCAL_AGENT
from engine.live.door import Answered, DoorAnswer, OrderDoor, StrategyOrder
from engine.trading_rules import ExitOrder, Exits
from safety.gate.deployments import cancel_for_strategy, place_for_strategy
from safety.gate.judging import SentExit, permit_exit

if TYPE_CHECKING:
    from safety.terms.intent import Intent
    from server.backend import Safety


class GateDoor:
    """The gate as the embedded engine's `OrderDoor`: orders of live strategies pass it like any other.

    Other agents of the engine have paper accounts only and no gate; their orders go to the paper books.

    Args:
        safety: Opens the gate.
        books: The door to the paper books.
        token: Token of the event loop that the gate runs on.
    """

    def __init__(self, safety: Safety, books: OrderDoor, token: EventLoopToken) -> None:
        self._safety = safety
        self._books = books
        self._token = token

    def find(self, agent_id: str, account_id: str, key: str) -> DoorAnswer | None:
        """See `OrderDoor`."""
        if agent_id != LOCAL_AGENT:
            return self._books.find(agent_id, account_id, key)
        return anyio.from_thread.run(self._find, key, token=self._token)

    def place(self, order: StrategyOrder) -> DoorAnswer:
        """See `OrderDoor`."""
        if order.agent_id != LOCAL_AGENT:
            return self._books.place(order)
        return anyio.from_thread.run(self._place, order, token=self._token)

    def cancel(self, agent_id: str, account_id: str, key: str) -> DoorAnswer:
        """See `OrderDoor`."""
        if agent_id != LOCAL_AGENT:
            return self._books.cancel(agent_id, account_id, key)
        return anyio.from_thread.run(self._cancel, key, token=self._token)

    def set_exits(
        self, agent_id: str, account_id: str, entry: str, exits: Exits, amount: Decimal | None = None
    ) -> list[Order]:
        """See `OrderDoor`. The gate judges each exit of an own account before it is sent (`permit_exit`)."""
        if agent_id == LOCAL_AGENT:
            anyio.from_thread.run(self._refuse_moves_while_halted, account_id, token=self._token)
        return self._books.set_exits(agent_id, account_id, entry, exits, amount)

    def permit_exit(self, order: ExitOrder) -> str:
        """See `OrderDoor`."""
        return anyio.from_thread.run(self._permit_exit, order, token=self._token)

    async def _refuse_moves_while_halted(self, account_id: str) -> None:
        """While nothing may be sent, an exit that rests at an exchange must not be taken back to move it."""
        context = await self._safety.context()
        channel = await context.channels.of_account(account_id)
        switch = await to_thread.run_sync(context.ledger.switch)
        if channel.money == "real" and switch.state == "HALTED":
            raise Unavailable(
                f"the kill switch is HALTED ({switch.reason}), so exits stay where they are",
                suggestion="`heytraders-mcp release` ends it",
            )

    async def _permit_exit(self, order: ExitOrder) -> str:
        await self._safety.gate()
        context = await self._safety.context()
        terms = SentExit(order.account_id, order.symbol, order.side, order.role, order.price, order.amount, order.again)
        return await to_thread.run_sync(permit_exit, context.ledger, order.label, terms)

    async def _find(self, key: str) -> DoorAnswer | None:
        context = await self._safety.context()
        intent = await to_thread.run_sync(context.ledger.by_origin, key)
        return None if intent is None else _answer(intent)

    async def _place(self, order: StrategyOrder) -> DoorAnswer:
        await self._safety.gate()
        context = await self._safety.context()
        try:
            return _answer(await place_for_strategy(context, order.request, order.subscription_id, order.key))
        except NotNow:
            raise
        except HeyTradersError as refused:
            return DoorAnswer("refused", reason=f"{refused.code}: {refused.message}")

    async def _cancel(self, key: str) -> DoorAnswer:
        try:
            intent = await cancel_for_strategy(await self._safety.context(), key)
        except HeyTradersError as refused:
            return DoorAnswer("refused", reason=explain(refused))
        return DoorAnswer("refused", reason="there is no such order") if intent is None else _answer(intent)


def _answer(intent: Intent) -> DoorAnswer:
    """The answer to a strategy about its order's intent."""
    if intent.state == "ACKED":
        return DoorAnswer("placed", Order.model_validate({**(intent.result or {}), "order_id": intent.order_id}))
    waits = intent.state in {"PENDING", "APPROVED", "NOT_SENT"}
    unclear = intent.state in {"SENT", "UNKNOWN", "ABSENT"}
    answered: Answered = "pending" if waits else "unknown" if unclear else "refused"
    return DoorAnswer(answered, reason=intent.reason or f"intent {intent.intent_id} is {intent.state}")
