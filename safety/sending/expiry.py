"""The approval of a strategy that trades by itself ends; then it is paused until a human approves again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from api.client import Client
from api.errors import HeyTradersError
from api.live import LIVE_PAUSE, LIVE_SUBSCRIPTION_GET, Subscription, SubscriptionRequest, SwitchRequest
from safety.terms.channel import Money
from safety.terms.intent import Intent
from safety.terms.proposal import Standing

from .resolution import QUIET

if TYPE_CHECKING:
    from safety.ledger import Ledger

EXPIRED: Final = "standing_expired"
"""Kind of the event that a subscription was paused, or found to be so; its subject is the subscription."""

MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Expiry:
    """Ends the authority of strategies to trade by themselves (R30).

    Attributes:
        client: The service.
        ledger: Of this home.
        services: As intents name them.
        seconds: How long an approval lasts now, by whose money it is; `None` for ever.
        now: Unix seconds, on the ledger's clock.
    """

    client: Client
    ledger: Ledger
    services: tuple[str, ...]
    seconds: Callable[[Money], Awaitable[float | None]]
    now: Callable[[], float] = time.time

    async def pause_due(self) -> list[str]:
        """Pause what has outlived its approval, and return the ids of what was paused.

        Raises:
            HeyTradersError: The service did not do one of them, the others notwithstanding. The next call tries again.
        """
        seconds: dict[Money, float | None] = {"paper": await self.seconds("paper"), "real": await self.seconds("real")}
        due = await to_thread.run_sync(self._due, seconds)
        paused: list[str] = []
        trouble: HeyTradersError | None = None
        for each in due:
            try:
                paused += [each.order_id or ""] if await self._pause(each) else []
            except HeyTradersError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return paused

    def _due(self, seconds: Mapping[Money, float | None]) -> list[Intent]:
        if set(seconds.values()) == {None}:
            return []
        latest: dict[str, Intent] = {}
        for each in reversed(self.ledger.intents(states={"ACKED"}, service=self.services, limit=MOST)):
            if each.order_id and isinstance(each.proposal.action, Standing):
                latest[each.order_id] = each
        over = [
            each
            for each in latest.values()
            if (span := seconds[each.proposal.money]) is not None and self.now() - (each.sent_at or 0.0) > span
        ]
        return [each for each in over if not self._is_ended(each)]

    def _is_ended(self, intent: Intent) -> bool:
        ended = self.ledger.latest(EXPIRED, intent.order_id or "")
        return ended is not None and ended.at >= (intent.sent_at or 0.0)

    async def _pause(self, intent: Intent) -> bool:
        name = intent.order_id or ""
        shown = await self.client.call(LIVE_SUBSCRIPTION_GET, SubscriptionRequest(subscription_id=name))
        trading = shown.status not in QUIET
        if trading:
            strategy = shown.strategy_id or intent.proposal.action.model_dump()["strategy_id"]
            request = SwitchRequest(strategy_id=strategy, subscription_id=name)
            paused = await self.client.call(LIVE_PAUSE, request)
            shown = shown.model_copy(update={"status": paused.status or "paused"})
        await to_thread.run_sync(self._book, intent, shown)
        return trading

    def _book(self, intent: Intent, shown: Subscription) -> None:
        self.ledger.observe(intent.intent_id, shown.model_dump(exclude_none=True))
        self.ledger.record(EXPIRED, subject=intent.order_id, status=shown.status)
