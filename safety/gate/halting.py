"""Engages the kill switch, cancels our open orders and pauses strategies that trade by themselves.

The switch comes first and needs no service. Any order or strategy that could not be stopped is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread
from pydantic import ValidationError

from api import accounts, live, orders
from api.client import cancel_order
from api.errors import HeyTradersError, explain
from api.exchanges import DEFAULT_EXCHANGE, EXCHANGES
from safety.face import Halted
from safety.policy.evaluation import Trip, tripped
from safety.sending.execution import order_id_of
from safety.sending.listing import ids
from safety.sending.watcher import FOLLOWED
from safety.terms.facts import AccountFacts, Facts
from safety.terms.intent import LABEL_PREFIX
from safety.terms.proposal import DeploymentTerms, OrderTerms

if TYPE_CHECKING:
    from safety.gate import GateContext

ANY_ORDER: Final = OrderTerms(
    account_id="-",
    exchange=DEFAULT_EXCHANGE,
    market_type="spot",
    symbol="-",
    side="buy",
    order_type="market",
    amount=Decimal(1),
)
"""An action for questions about usage whose answer is the same for all orders."""

BY_ITSELF: Final = "policy"
"""Who engaged the switch, as the journal names it."""

PAGE: Final = 200
MAX_PAGES: Final = 20
CANCEL_BY_OWN_ID: Final = frozenset(e.id for e in EXCHANGES.values() if e.cancels_by_own_id)

FRESH_SECONDS: Final = 120
"""How long a new order may be missing from a listing."""

CLEAN_UP_SECONDS: Final = 15.0
"""How long a call that halts waits for the service."""

MOST: Final = 10_000
QUIET: Final = frozenset({"paused", "stopped", "unsubscribed"})

ONLY_A_HUMAN: Final = (
    "Tell the user: only a human can end it, with `heytraders-mcp release`. Cancelling and pausing still work."
)


@dataclass(slots=True)
class Stopped:
    """What was stopped, and what could not be stopped."""

    cancelled: list[str] = field(default_factory=list[str])
    paused: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Stops all trading; only a human can restart it.

    Attributes:
        context: The gate's context.
    """

    context: GateContext

    async def halt(self, reason: str, by: str) -> Halted:
        """Engage the switch, then clean up for a few seconds. The watcher continues with the rest.

        The halt continues if the caller disconnects.
        """
        done = Stopped()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self.context.ledger.halt, reason, by)
            with anyio.move_on_after(CLEAN_UP_SECONDS) as time:
                await clean_up(self.context, done)
            if time.cancelled_caught:
                done.failed.append("the service is slow; cancelling and pausing go on in the background")
            await to_thread.run_sync(_record, self.context, done)
        return Halted(
            switch="HALTED",
            cancelled=done.cancelled,
            paused=done.paused,
            failed=done.failed,
            next_step=f"Some of it could not be stopped; see failed. {ONLY_A_HUMAN}" if done.failed else ONLY_A_HUMAN,
        )


async def clean_up(context: GateContext, done: Stopped | None = None) -> Stopped:
    """Cancel our open orders and pause strategies that trade, no matter who engaged the switch.

    Args:
        context: The gate's context.
        done: Filled in as things are stopped, for a caller that does not wait until the end.
    """
    done = done or Stopped()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_all, context, done)
        tasks.start_soon(_pause_all, context, done)
    return done


async def pull(context: GateContext, trip: Trip) -> None:
    """Engage the switch unless it is engaged. Strategies cannot be limited to reducing orders, so they are paused."""
    state = (await to_thread.run_sync(context.ledger.switch)).state
    if state in {"HALTED", trip.state}:
        return
    reason = f"{trip.rule}: {trip.reason}"
    if trip.state == "HALTED":
        await KillSwitch(context).halt(reason, BY_ITSELF)
    else:
        done = Stopped()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: context.ledger.halt(reason, BY_ITSELF, state="REDUCING"))
            await _pause_all(context, done)
            await to_thread.run_sync(_record, context, done)


def _record(context: GateContext, done: Stopped) -> None:
    told = {"cancelled": done.cancelled, "paused": done.paused, "failed": done.failed}
    context.ledger.record(FOLLOWED, subject=context.services[0], **told)


async def _cancel_all(context: GateContext, done: Stopped) -> None:
    """Cancel every open order that is ours: the ledger has its id, or it carries one of our labels."""
    ours, fresh, unclear = await to_thread.run_sync(_known, context)
    done.failed += [
        (f"intent {each}: whether its order exists is not known yet; check with order_intent") for each in unclear
    ]
    try:
        for order in await _open_orders(context):
            if not ids(order).isdisjoint(ours) or (order.label or "").startswith(f"{LABEL_PREFIX}:"):
                fresh[order_id_of(order) or ""] = order
    except HeyTradersError as error:
        done.failed.append(f"open orders could not be listed: {explain(error)}")
    for order in fresh.values():
        await _cancel(context, order, done)


def _known(context: GateContext) -> tuple[set[str], dict[str, orders.Order], list[str]]:
    """Ids of all orders that we placed; orders too new for a listing; intents with an unknown outcome."""
    ledger, since = context.ledger, context.now() - FRESH_SECONDS
    placed = ledger.intents(states={"ACKED"}, service=context.services, limit=MOST)
    unclear = ledger.intents(states={"SENT", "UNKNOWN"}, service=context.services, limit=MOST)
    fresh: dict[str, orders.Order] = {}
    for intent in placed:
        if intent.order_id and intent.changed_at > since and isinstance(intent.proposal.action, OrderTerms):
            shown = orders.Order.model_validate({**(intent.result or {}), "order_id": intent.order_id})
            if shown.status is None or shown.status in orders.CANCELLABLE:
                fresh[intent.order_id] = shown
    return {intent.order_id for intent in placed if intent.order_id}, fresh, [each.intent_id for each in unclear]


async def _open_orders(context: GateContext) -> list[orders.Order]:
    """All open orders, state by state. Pages overlap by one row, since the list may shift while it is read."""
    found: dict[str, orders.Order] = {}
    for status in orders.CANCELLABLE:
        for page in range(MAX_PAGES):
            asked = orders.OrdersRequest(status=status, limit=PAGE, offset=page * (PAGE - 1))
            answer = await context.client.call(orders.ORDERS_LIST, asked)
            found |= {name: order for order in answer.orders if (name := order_id_of(order))}
            if len(answer.orders) < PAGE:
                break
    return [order for order in found.values() if order.status in orders.CANCELLABLE]


def cancel_request(order: orders.Order) -> orders.CancelRequest:
    """The request that cancels an order, with the id that its venue expects.

    Raises:
        ValidationError: Its ids cannot be used.
    """
    by_venue = order.exchange_order_id is not None and (order.exchange in CANCEL_BY_OWN_ID or order.order_id is None)
    order_id = (order.exchange_order_id if by_venue else order.order_id) or ""
    where = {"exchange": order.exchange, "symbol": order.symbol, "account_id": order.account_id} if by_venue else {}
    return orders.CancelRequest.model_validate({"order_id": order_id, **where})


async def _cancel(context: GateContext, order: orders.Order, done: Stopped) -> None:
    order_id = order.order_id or order.exchange_order_id or ""
    try:
        request = cancel_request(order)
        order_id = request.order_id
        await cancel_order(context.client, request)
    except (HeyTradersError, ValidationError) as error:
        reason = explain(error) if isinstance(error, HeyTradersError) else "its id cannot be used"
        done.failed.append(f"order {order_id}: {reason}")
    else:
        done.cancelled.append(order_id)


async def _pause_all(context: GateContext, done: Stopped) -> None:
    """Pause every active subscription, unless it is known not to trade."""
    try:
        listed = await context.client.call(live.LIVE_SUBSCRIPTIONS_LIST, live.SubscriptionsRequest(ended=True))
    except HeyTradersError as error:
        done.failed.append(f"subscriptions could not be listed: {explain(error)}")
        return
    for each in listed.subscriptions:
        if each.mode != "signal" and each.status not in QUIET:
            await _pause(context, each, done)


async def _pause(context: GateContext, subscription: live.Subscription, done: Stopped) -> None:
    name = subscription.subscription_id or "?"
    try:
        request = live.SwitchRequest.model_validate(
            {"strategy_id": subscription.strategy_id, "subscription_id": subscription.subscription_id}
        )
        await context.client.call(live.LIVE_PAUSE, request)
    except (HeyTradersError, ValidationError) as error:
        reason = explain(error) if isinstance(error, HeyTradersError) else "its ids cannot be used"
        done.failed.append(f"subscription {name}: {reason}")
    else:
        done.paused.append(name)


async def watch_losses(context: GateContext) -> None:
    """Check each account on which a strategy trades by itself, and engage the switch if it has lost too much.

    Raises:
        HeyTradersError: The service did not show an account. The next call tries again.
    """
    for account_id in await to_thread.run_sync(_traded_upon, context):
        shown = await context.client.call(accounts.ACCOUNTS_BALANCES, accounts.BalancesRequest(account_id=account_id))
        if shown.total_equity_usd is not None:
            account = AccountFacts(0.0, shown.total_equity_usd)
            await _judge(context, ANY_ORDER.model_copy(update={"account_id": account_id}), account)


def _traded_upon(context: GateContext) -> list[str]:
    """Accounts of strategies that were deployed or resumed and, as far as the ledger knows, still run."""
    latest: dict[str, tuple[str | None, object]] = {}
    for intent in reversed(context.ledger.intents(states={"ACKED"}, service=context.services, limit=MOST)):
        if isinstance(intent.proposal.action, DeploymentTerms):
            status = (intent.result or {}).get("status")
            latest[intent.order_id or intent.intent_id] = intent.proposal.action.account_id, status
    return sorted({account_id for account_id, status in latest.values() if account_id and status not in QUIET})


async def _judge(context: GateContext, order: OrderTerms, account: AccountFacts) -> None:
    ledger, equity = context.ledger, account.equity_usd
    money = (await context.channels.of(order)).money
    if equity is not None:
        await to_thread.run_sync(ledger.saw_equity, money, order.account_id, equity)
    usage = await to_thread.run_sync(ledger.usage, money, order)
    loaded, _, _ = await to_thread.run_sync(context.judge.in_force)
    facts = Facts(context.now(), money, account=account, usage=usage)
    trip = tripped(order, loaded.policy.limits(money), facts)
    if trip is not None:
        await pull(context, trip)
