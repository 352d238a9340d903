"""Gates the deployment and resumption of strategies that trade by themselves (R30): each permits orders in advance.

Strategies that only signal pass at once. Pausing and unsubscribing bypass the gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from anyio import to_thread
from pydantic import SecretStr

from api.arena import PostRequest, ProfileUpdateRequest
from api.client import cancel_order
from api.errors import Denied, InvalidInput, show
from api.live import (
    LIVE_RESUME,
    LIVE_STRATEGIES_LIST,
    LIVE_SUBSCRIBE,
    LIVE_SUBSCRIPTION_GET,
    LIVE_SUBSCRIPTIONS_LIST,
    LIVE_WEBHOOK_SET,
    LIVE_WEBHOOK_TEST,
    LiveStrategy,
    StrategiesRequest,
    SubscribeRequest,
    Subscription,
    SubscriptionRequest,
    SubscriptionsRequest,
    SwitchRequest,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from api.orders import Order as ShownOrder
from api.orders import PlaceRequest
from api.symbols import Instrument, resolve
from safety.face import GatedPost, GatedProfile, GatedSubscription
from safety.gate.halting import cancel_request
from safety.gate.orders import admit_and_carry_out
from safety.gate.wording import next_step, stand, stopped
from safety.policy.publishing import judge_webhook
from safety.sending.watcher import MOST
from safety.terms.facts import Outcome
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import (
    Channel,
    DeploymentTerms,
    OrderTerms,
    PublicationTerms,
    canonical_json,
)

if TYPE_CHECKING:
    from safety.gate import GateContext
    from safety.policy.limits import Limits


@dataclass(frozen=True, slots=True)
class Deployments:
    """Deploys strategies and sets their webhooks.

    Attributes:
        context: The gate's context.
    """

    context: GateContext

    async def set_webhook(self, request: WebhookSetRequest) -> WebhookResponse:
        """Configure a delivery.

        Raises:
            Denied: The policy does not allow the host, or the model supplied a secret.
        """
        channel = await _channel(self.context, request.subscription_id)
        secret = await checked_secret(self.context, channel, request.url, request.secret)
        return await self.context.client.call(LIVE_WEBHOOK_SET, request.model_copy(update={"secret": secret}))

    async def test_webhook(self, request: WebhookTestRequest) -> WebhookTestResponse:
        """Try a delivery.

        Raises:
            Denied: The policy does not allow the host, or the model supplied a secret.
        """
        channel = self.context.channels.common
        secret = await checked_secret(self.context, channel, request.url, request.secret)
        return await self.context.client.call(LIVE_WEBHOOK_TEST, request.model_copy(update={"secret": secret}))

    async def subscribe(self, request: SubscribeRequest, tool: str, client: str) -> GatedSubscription:
        """Deploy a strategy; one in mode trade only as the policy and a human allow.

        Raises:
            HeyTradersError: It was definitely not deployed; the error says why and what to do.
        """
        secret = None
        if request.webhook is not None:
            channels, account = self.context.channels, request.account_id
            channel = await channels.of_account(account) if account else channels.common
            secret = await checked_secret(self.context, channel, request.webhook.url, request.webhook.secret)
        if request.mode == "signal":
            webhook = request.webhook and request.webhook.model_copy(update={"secret": secret})
            done = await self.context.client.call(LIVE_SUBSCRIBE, request.model_copy(update={"webhook": webhook}))
            return _as_gated(done)
        webhook = request.webhook
        action = DeploymentTerms(
            action="subscribe",
            strategy_id=request.strategy_id,
            account_id=request.account_id,
            webhook_url=None if webhook is None else webhook.url,
            webhook_events=None if webhook is None else webhook.events,
        )
        return await self._deploy(action, Caller(tool, client), secret)

    async def resume(self, request: SwitchRequest, tool: str, client: str) -> GatedSubscription:
        """Resume a paused strategy. Unless it is known to signal only, it needs the same approval as a new one.

        Raises:
            HeyTradersError: It was definitely not resumed; the error says why and what to do.
        """
        asked = SubscriptionRequest(subscription_id=request.subscription_id)
        found = await self.context.client.call(LIVE_SUBSCRIPTION_GET, asked)
        if found.strategy_id not in {None, request.strategy_id}:
            raise InvalidInput(
                f"subscription {show(request.subscription_id)} runs strategy {show(found.strategy_id)}, not"
                f" {show(request.strategy_id)}",
                suggestion="Copy both ids from live_subscriptions_list",
            )
        if found.mode == "signal":
            return _as_gated(await self.context.client.call(LIVE_RESUME, request))
        action = DeploymentTerms(
            action="resume",
            strategy_id=request.strategy_id,
            account_id=found.account_id,
            subscription_id=request.subscription_id,
        )
        return await self._deploy(action, Caller(tool, client), None)

    async def _deploy(self, action: DeploymentTerms, caller: Caller, secret: str | None) -> GatedSubscription:
        refused = await _orders_refused(self.context, action)
        action = action.model_copy(update={"refused": refused or None})
        deployed = await _stand(self.context, action, caller, secret)
        if not refused:
            return deployed
        told = " ".join(text for text in (deployed.next_step, *refused) if text)
        return deployed.model_copy(update={"next_step": told})


async def _channel(context: GateContext, subscription_id: str) -> Channel:
    """The channel of the account that a subscription trades on, or reports about."""
    common = context.channels.common
    if common.money == "real":
        return common
    asked = SubscriptionRequest(subscription_id=subscription_id)
    shown = await context.client.call(LIVE_SUBSCRIPTION_GET, asked)
    return await context.channels.of_account(shown.account_id) if shown.account_id else common


async def checked_secret(context: GateContext, channel: Channel, url: str, given: str | None) -> str | None:
    """The secret that signs deliveries to `url`, if the policy allows them.

    Raises:
        Denied: The policy does not allow them.
    """
    loaded, _, _ = await to_thread.run_sync(context.judge.in_force)
    limits = loaded.policy.limits(channel.money)
    found = judge_webhook(url, has_secret=given is not None, limits=limits)
    if found.outcome is not Outcome.PASS:
        raise Denied(f"{found.rule}: {found.reason}", suggestion=found.what_to_do)
    if channel.money == "paper":
        return given
    return None if context.webhook_secret is None else context.webhook_secret.get_secret_value()


LIVE: Final = "live strategy"
"""The tool name of a strategy's orders in the journal."""


async def place_for_strategy(context: GateContext, request: PlaceRequest, subscription_id: str, key: str) -> Intent:
    """Place the order of a deployed strategy once; the same key again returns what became of the first.

    The same rules, limits and journal apply as for any order. The standing approval of the deployment replaces only the
    human's approval of this order.

    Raises:
        Denied: The policy denies it.
        HeyTradersError: The service refuses a request for a reason that can be fixed.
    """
    admitted = await admit_and_carry_out(context, OrderTerms.of(request), Caller(LIVE, subscription_id, key))
    return admitted.intent


async def cancel_for_strategy(context: GateContext, key: str) -> Intent | None:
    """Cancel the open rest of the order with this key; `None` if there is no such order.

    Raises:
        HeyTradersError: It could not be cancelled, or had ended.
    """
    intent = await to_thread.run_sync(context.ledger.by_origin, key)
    if intent is None or intent.order_id is None or not isinstance(intent.proposal.action, OrderTerms):
        return intent
    shown = ShownOrder.model_validate({**(intent.result or {}), "order_id": intent.order_id})
    cancelled = await cancel_order(context.client, cancel_request(shown))
    now = {**(intent.result or {}), **cancelled.model_dump(mode="json", exclude_none=True)}
    return await to_thread.run_sync(context.ledger.observe, intent.intent_id, now)


_HOSTED: Final = (
    "The hosted service places its orders itself: limits on single orders do not apply to them. It does not say whether"
    " stops and targets rest at the exchange."
)


async def _orders_refused(context: GateContext, action: DeploymentTerms) -> tuple[str, ...]:
    """Which orders of a strategy the policy would refuse, and what a hosted service leaves open.

    Raises:
        Denied: The policy refuses every order.
    """
    channels = context.channels
    channel = await channels.of_account(action.account_id) if action.account_id else channels.common
    loaded, _, _ = await to_thread.run_sync(context.judge.in_force)
    limits = loaded.policy.limits(channel.money)
    if not limits.trading:
        return ()
    listed = await context.client.call(LIVE_STRATEGIES_LIST, StrategiesRequest())
    found = next((one for one in listed.strategies if one.strategy_id == action.strategy_id), None)
    traded: list[Instrument] = []
    for ticker in found.universe if found and found.universe else ():
        with suppress(InvalidInput):  # a spelling of the service that no order of ours could have
            traded.append(resolve(ticker))
    wrong = {one.ticker: why for one in traded if (why := _market_refused(limits, one))}
    if traded and len(wrong) == len(traded):
        ticker, why = next(iter(wrong.items()))
        raise _refused(f"every order of this strategy, e.g. in {ticker}: {why}")
    told = list(_kinds_refused(limits, found)) if found else []
    if wrong:
        (ticker, why), more = next(iter(wrong.items())), len(wrong) - 1
        others = f" and {more} more" if more else ""
        told.insert(0, f"The policy would refuse orders in {ticker}{others}: {why}.")
    return tuple(text for text in ("" if channels.strategies_gated else _HOSTED, " ".join(told)) if text)


def _kinds_refused(limits: Limits, strategy: LiveStrategy) -> Iterator[str]:
    """Which kinds of its orders the policy refuses, in sentences.

    Raises:
        Denied: It refuses every entry.
    """
    most, leverage = limits.max_leverage, strategy.leverage
    if most is not None and leverage is not None and leverage > most:
        raise _refused(
            f"every order of this strategy: R11_LEVERAGE, leverage {leverage:g} where at most {most} is allowed"
        )
    if limits.order_types is None:
        return
    if strategy.entries is None:
        if "market" not in limits.order_types:
            yield (
                "The policy would refuse market orders (R05_ORDER_TYPE); the service does not say whether it "
                "places any."
            )
        return
    entries, exits = (
        [kind for kind in kinds if kind not in limits.order_types] for kinds in (strategy.entries, strategy.exits or ())
    )
    if entries and len(entries) == len(strategy.entries):
        raise _refused(f"every entry of this strategy: R05_ORDER_TYPE, they are {' and '.join(entries)} orders")
    if entries:
        yield f"The policy would refuse its {' and '.join(entries)} entries (R05_ORDER_TYPE)."
    if exits:
        yield f"The policy would refuse its exits on a signal, which are {' and '.join(exits)} orders (R05_ORDER_TYPE)."


def _refused(what: str) -> Denied:
    return Denied(
        f"the policy would refuse {what}",
        suggestion="Choose a strategy that it allows, use mode signal, or ask the user to sign another policy with"
        " `heytraders-mcp policy sign`",
    )


def _market_refused(limits: Limits, instrument: Instrument) -> str:
    """The rule that refuses every order in an instrument; "" without one."""
    symbol = instrument.symbol
    if limits.exchanges is not None and instrument.exchange not in limits.exchanges:
        return f"R03_VENUE_ALLOW, the exchange {instrument.exchange}"
    if limits.market_types is not None and instrument.market_type not in limits.market_types:
        return f"R03_VENUE_ALLOW, the market type {instrument.market_type}"
    if symbol in limits.forbidden_symbols or (limits.symbols is not None and symbol not in limits.symbols):
        return f"R04_SYMBOL_ALLOW, the symbol {symbol}"
    if limits.max_amount is not None and symbol not in limits.max_amount:
        return f"R07_MAX_AMOUNT, the symbol {symbol} without max_amount"
    return ""


async def _stand(
    context: GateContext, action: DeploymentTerms, caller: Caller, secret: str | None
) -> GatedSubscription:
    await _look_again(context)
    signing = SecretStr(secret) if secret else None
    admitted = await admit_and_carry_out(context, action, caller, webhook_secret=signing)
    error = stopped(admitted.intent)
    if error is not None:
        raise error
    return _of(admitted.intent)


async def _look_again(context: GateContext) -> None:
    """Store the current state of our strategies, so that a paused one makes room. One that is not listed still counts.

    Raises:
        HeyTradersError: The service cannot list them.
    """
    ledger, service = context.ledger, context.services
    placed = await to_thread.run_sync(lambda: ledger.intents(states={"ACKED"}, service=service, limit=MOST))
    ours = {each.order_id: each for each in reversed(placed) if isinstance(each.proposal.action, DeploymentTerms)}
    if not ours:
        return
    listed = await context.client.call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest(ended=True))
    for shown in listed.subscriptions:
        intent = ours.get(shown.subscription_id)
        if intent is not None and shown.subscription_id and shown.status:
            now = {**(intent.result or {}), **shown.model_dump(mode="json", exclude_none=True)}
            await to_thread.run_sync(ledger.observe, intent.intent_id, now)


def _of(intent: Intent) -> GatedSubscription:
    return GatedSubscription.model_validate({**(intent.result or {}), **stand(intent), "next_step": next_step(intent)})


def _as_gated(done: Subscription) -> GatedSubscription:
    return GatedSubscription.model_validate(done.model_dump())


@dataclass(frozen=True, slots=True)
class Publications:
    """Publishes text under the user's name (R32). Account data in it is denied; anything else needs a human's approval.

    Attributes:
        context: The gate's context.
    """

    context: GateContext

    async def post(self, request: PostRequest, tool: str, client: str) -> GatedPost:
        """Publish a post, or say that a human has to approve it first.

        Raises:
            HeyTradersError: It was definitely not published; the error says why and what to do.
        """
        intent = await _publish(self.context, "post", request, Caller(tool, client))
        return GatedPost.model_validate({**(intent.result or {}), **stand(intent)})

    async def profile(self, request: ProfileUpdateRequest, tool: str, client: str) -> GatedProfile:
        """Change the public profile, or say that a human has to approve it first.

        Raises:
            HeyTradersError: It was definitely not changed; the error says why and what to do.
        """
        intent = await _publish(self.context, "profile", request, Caller(tool, client))
        return GatedProfile.model_validate({**(intent.result or {}), **stand(intent)})


async def _publish(
    context: GateContext,
    action: Literal["post", "profile"],
    request: PostRequest | ProfileUpdateRequest,
    caller: Caller,
) -> Intent:
    body = canonical_json(request.model_dump(mode="json", exclude_none=True))
    admitted = await admit_and_carry_out(context, PublicationTerms(action=action, body=body), caller)
    error = stopped(admitted.intent)
    if error is not None:
        raise error
    return admitted.intent
