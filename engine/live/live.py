"""Implements the live endpoints: list, subscribe, pause, stop, configure webhooks, read signals. All calls block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from api.errors import InvalidInput, NotFound, before_any_effect, show
from api.exchanges import EXCHANGES
from api.live import (
    LatestSignalsRequest,
    LiveStrategy,
    SignalsRequest,
    SignalsResponse,
    StrategiesResponse,
    SubscribeRequest,
    Subscription,
    SubscriptionsRequest,
    SubscriptionsResponse,
    SwitchRequest,
    Webhook,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from api.orders import Order
from api.times import SECONDS, Clock, iso8601, opening
from engine.access import ApiCaller, require
from engine.feeds.feed import Feed
from engine.store.database import Store, new_id
from engine.venues.venue import Venue, Venues

from . import LiveSettings, orders, outbox, positions, signals, subscriptions
from .delivery import deliver, judge, signing_key
from .deployment import Deployment, catalogue, find_strategy, own_strategies
from .door import OrderDoor
from .runner import Runner
from .subscriptions import Hook, Running


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """The comparison of a subscription's stored state with a replay.

    Attributes:
        seen_until: Close of the last bar that both have seen, unix seconds.
        traded: Whether it has seen a bar at all.
        problem: The first difference; None if there is none.
    """

    subscription_id: str
    name: str
    seen_until: int
    traded: bool
    problem: str | None


class Live:
    """Live strategies on one database and one feed."""

    def __init__(
        self, store: Store, clock: Clock, feed: Feed, venues: Venues, door: OrderDoor, settings: LiveSettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._venues = venues
        self._settings = settings
        self.runner = Runner(store, clock, feed, venues, door, settings)

    def resume(self) -> None:
        """Continue active subscriptions, here or in another process if that one dies. Call it when the engine opens."""
        self._start()

    def close(self) -> None:
        """Stop running strategies here; subscriptions remain for the next engine on this database."""
        self.runner.close()

    def strategies(self, caller: ApiCaller) -> StrategiesResponse:
        """The catalogue, then the caller's own completed backtests."""
        own = self._store.read_now(lambda connection: own_strategies(connection, caller.identified))
        return StrategiesResponse(strategies=tuple(_strategy(d) for d in (*catalogue(), *own)))

    def subscribe(self, caller: ApiCaller, request: SubscribeRequest) -> Subscription:
        """Deploy a strategy from the next bar on.

        Raises:
            NotFound: `STRATEGY_NOT_FOUND`.
            NotAuthorised: Trading without the scope trade.
            InvalidInput: A wrong account or webhook, or a market whose candles have ended.
            Unavailable: The market or the account cannot be read now.
        """
        if request.mode == "trade":
            require(caller, "trade")
        agent_id = caller.identified
        deployment = self._store.read_now(lambda connection: find_strategy(connection, agent_id, request.strategy_id))
        hook = self._hook(request.webhook)
        with before_any_effect("the strategy was not deployed"):
            self._check_account(agent_id, request, deployment)
            self._check_deployable(deployment)
            deployment = self._funded(agent_id, request, deployment)
            self._rehearse(deployment, request.mode)
        now = self._clock.now()
        begin = opening(int(now), deployment.timeframe)
        running = Running(
            id=subscriptions.new_subscription_id(),
            agent_id=agent_id,
            strategy_id=request.strategy_id,
            deployment=deployment,
            mode=request.mode,
            account_id=request.account_id if request.mode == "trade" else None,
            status="active",
            created_at=now,
            started_at=begin,
            cursor=begin,
            failures=0,
            message=_first_words(request, begin + SECONDS[deployment.timeframe], self._no_exits(agent_id, request)),
            hook=hook,
        )

        def work(connection: sa.Connection) -> Subscription:
            first = subscriptions.twin(connection, running)
            if first is not None:
                shown = self._view(connection, first)
                note = f"You have had this subscription since {shown.created_at}; no second one was made."
                return shown.model_copy(update={"message": f"{note} {first.message or ''}".rstrip()})
            subscriptions.insert(connection, running)
            return self._view(connection, running)

        self._claim()
        made = self._store.write_now(work)
        self._start()
        return made

    def subscriptions(self, caller: ApiCaller, request: SubscriptionsRequest) -> SubscriptionsResponse:
        """The caller's subscriptions, newest first; ended ones are only counted unless requested."""

        def work(connection: sa.Connection) -> SubscriptionsResponse:
            found = subscriptions.of_agent(connection, caller.identified)
            listed = [each for each in found if request.ended or each.status in ("active", "paused")]
            return SubscriptionsResponse(
                subscriptions=tuple(self._view(connection, running) for running in listed),
                hidden=len(found) - len(listed),
            )

        return self._store.read_now(work)

    def subscription(self, caller: ApiCaller, subscription_id: str) -> Subscription:
        """One of the caller's subscriptions, with its newest webhook deliveries."""

        def work(connection: sa.Connection) -> Subscription:
            running = subscriptions.find(connection, caller.identified, subscription_id)
            deliveries = tuple(outbox.log(connection, running.id))
            shown = self._view(connection, running)
            report = None if running.mode == "signal" else _report(connection, running)
            return shown.model_copy(update={"deliveries": deliveries, "report": report})

        shown = self._store.read_now(work)
        if shown.report is not None and shown.account_id is not None:
            venue = self._venues.of(caller.identified, shown.account_id)
            for order in shown.report["orders"]:
                _where_it_rests(venue, shown.account_id, order)
        return shown

    def verify(self, agent_id: str, subscription_id: str | None) -> list[ReplayCheck]:
        """Replay subscriptions from their first bar and compare them with their stored state.

        Args:
            agent_id: The owner.
            subscription_id: Only this one; None checks all that run or are paused.

        Raises:
            NotFound: `SUBSCRIPTION_NOT_FOUND`.
        """
        from .decisions import verify

        def wanted(connection: sa.Connection) -> list[Running]:
            if subscription_id is not None:
                return [subscriptions.find(connection, agent_id, subscription_id)]
            mine = subscriptions.of_agent(connection, agent_id)
            return [running for running in mine if running.status in ("active", "paused")]

        verdicts: list[ReplayCheck] = []
        for running in self._store.read_now(wanted):
            seen, problem = verify(self._feed, running.deployment, running.started_at, running.kept)
            verdicts.append(ReplayCheck(running.id, running.deployment.name, seen, running.kept is not None, problem))
        return verdicts

    def unsubscribe(self, caller: ApiCaller, subscription_id: str) -> Subscription:
        """End a subscription permanently; repeating it is not an error."""
        return self._change(caller, subscription_id, self._end)

    def pause(self, caller: ApiCaller, request: SwitchRequest) -> Subscription:
        """Pause a subscription; pausing again is not an error."""
        return self._change(caller, request.subscription_id, self._pause, request.strategy_id)

    def resume_subscription(self, caller: ApiCaller, request: SwitchRequest) -> Subscription:
        """Resume from the next bar.

        Raises:
            NotAuthorised: It trades, and the key lacks the scope trade.
        """

        def go_on(connection: sa.Connection, running: Running) -> Running:
            if running.mode == "trade":
                require(caller, "trade")
            return self._go_on(connection, running)

        self._claim()
        resumed = self._change(caller, request.subscription_id, go_on, request.strategy_id)
        self._start()
        return resumed

    def set_webhook(self, caller: ApiCaller, request: WebhookSetRequest) -> WebhookResponse:
        """Set a subscription's webhook, replacing any earlier one."""
        hook = self._hook(Webhook(url=request.url, secret=request.secret, events=request.events))
        return self._set_hook(caller, request.subscription_id, hook)

    def remove_webhook(self, caller: ApiCaller, subscription_id: str) -> WebhookResponse:
        """Remove the webhook."""
        return self._set_hook(caller, subscription_id, None)

    def test_webhook(self, request: WebhookTestRequest) -> WebhookTestResponse:
        """Send one delivery now and return its outcome."""
        target = judge(request.url, allow_loopback=self._settings.webhooks_to_loopback)
        now = self._clock.now()
        delivery_id = new_id("dlv")
        body = f'{{"event":"test","delivery_id":"{delivery_id}","created_at":"{iso8601(now)}","data":{{}}}}'
        receipt = deliver(
            target,
            delivery_id=delivery_id,
            event="test",
            body=body.encode(),
            secret=request.secret,
            now=now,
            deadline=self._settings.webhook_seconds,
        )
        return WebhookTestResponse(
            delivered=receipt.delivered,
            status_code=receipt.status,
            duration_ms=round(receipt.seconds * 1000, 1),
            message=receipt.note or None,
        )

    def signals(self, caller: ApiCaller, request: SignalsRequest) -> SignalsResponse:
        """A page of the history."""

        def work(connection: sa.Connection) -> SignalsResponse:
            running = subscriptions.find(connection, caller.identified, request.subscription_id)
            return signals.page(connection, running, request)

        return self._store.read_now(work)

    def latest(self, caller: ApiCaller, request: LatestSignalsRequest) -> SignalsResponse:
        """Signals since the last poll."""

        def work(connection: sa.Connection) -> SignalsResponse:
            running = subscriptions.find(connection, caller.identified, request.subscription_id)
            return signals.latest(connection, running, request)

        return self._store.read_now(work)

    def _view(self, connection: sa.Connection, running: Running) -> Subscription:
        """A subscription as the API shows it, with what this process could not store about it."""
        shown = subscriptions.view(connection, running, self._clock.now())
        trouble = self.runner.trouble.get(running.id)
        return shown if trouble is None else shown.model_copy(update={"message": trouble})

    def _start(self) -> None:
        if self._settings.in_background:
            self.runner.start()

    def _claim(self) -> None:
        """Run strategies here unless another process does, so that the answer can name the process."""
        if self._settings.in_background:
            self.runner.claim()

    def _hook(self, webhook: Webhook | None) -> Hook | None:
        if webhook is None:
            return None
        judge(webhook.url, allow_loopback=self._settings.webhooks_to_loopback)
        if webhook.secret:
            signing_key(webhook.secret)
        return Hook(webhook.url, webhook.secret, webhook.events)

    def _check_account(self, agent_id: str, request: SubscribeRequest, deployment: Deployment) -> None:
        if request.mode != "trade" or request.account_id is None:
            return
        account = self._venues.of(agent_id, request.account_id).account(request.account_id)
        wanted = {instrument.exchange for instrument in deployment.instruments}
        if wanted != {account.exchange}:
            raise InvalidInput(
                f"account {request.account_id} trades on {account.exchange}, "
                f"and the strategy on {', '.join(sorted(wanted))}",
                suggestion="Name an account of that exchange from accounts_list, or use mode signal",
            )
        leverage = deployment.leverage
        if leverage != int(leverage):
            raise InvalidInput(
                f"the backtest has leverage {leverage:g}, and orders on {account.exchange} take whole numbers only",
                suggestion=f"Run the backtest with leverage {int(leverage)} and deploy that, or use mode signal",
            )

    def _no_exits(self, agent_id: str, request: SubscribeRequest) -> str:
        """Why the stops and targets of a strategy cannot rest on its account; "" if they can, or none is placed."""
        if request.mode != "trade" or request.account_id is None:
            return ""
        return self._venues.of(agent_id, request.account_id).why_no_exits(request.account_id)

    def _rehearse(self, deployment: Deployment, mode: str) -> None:
        """Evaluate the last closed bar as if it were the first, so that a strategy that cannot run is refused.

        Raises:
            InvalidInput: A short where the market has none, an option out of its range, orders that are too small, ...
            NotFound: A bar length that the market does not have.
        """
        from .decisions import decide, too_small

        begin = opening(int(self._clock.now()), deployment.timeframe) - SECONDS[deployment.timeframe]
        decide(self._feed, deployment, begin, begin)
        problem = too_small(self._feed, deployment, begin) if mode == "trade" else ""
        if problem:
            raise InvalidInput(
                problem, suggestion="Run the backtest with a larger size and deploy that, or use mode signal"
            )

    def _funded(self, agent_id: str, request: SubscribeRequest, deployment: Deployment) -> Deployment:
        """In mode trade, the strategy starts with the account's equity."""
        if request.mode != "trade" or request.account_id is None:
            return deployment
        equity = self._venues.of(agent_id, request.account_id).equity(request.account_id)
        if equity is None or equity <= 0:
            raise InvalidInput(
                f"account {request.account_id} has no equity that a strategy could trade with",
                suggestion="Fund it, or name another account from accounts_list",
            )
        exchange = EXCHANGES[deployment.exchange]
        if equity < exchange.minimum:
            raise InvalidInput(
                f"account {request.account_id} is worth {equity:f} {exchange.quote}, less than the smallest order of "
                f"{exchange.minimum} {exchange.quote} on {exchange.name}",
                suggestion="Fund it, or name another account from accounts_list",
            )
        return replace(deployment, initial_cash=float(equity))

    def _check_deployable(self, deployment: Deployment) -> None:
        """Refuse a strategy that could never decide: its script does not compile, or its candles have ended."""
        from .decisions import watched

        seconds = SECONDS[deployment.timeframe]
        for instrument in watched(deployment):
            last = int(self._feed.candles(instrument, deployment.timeframe, limit=1).time[-1]) + seconds
            if last + 2 * seconds < self._clock.now():
                raise NotFound(
                    f"the candles of {instrument.ticker} end at {iso8601(last)}; a live strategy needs new ones",
                    suggestion="Choose a strategy on a market that gets new candles; imported files do not",
                )

    def _change(
        self,
        caller: ApiCaller,
        subscription_id: str,
        change: Callable[[sa.Connection, Running], Running],
        strategy_id: str | None = None,
    ) -> Subscription:
        def work(connection: sa.Connection) -> Subscription:
            running = subscriptions.find(connection, caller.identified, subscription_id)
            if strategy_id is not None and strategy_id != running.strategy_id:
                raise InvalidInput(
                    f"subscription {subscription_id} is of strategy {running.strategy_id}, not {show(strategy_id)}",
                    suggestion=f"Use strategy_id={running.strategy_id}",
                )
            return self._view(connection, change(connection, running))

        return self._store.write_now(work)

    def _pause(self, connection: sa.Connection, running: Running) -> Running:
        _refuse_ended(running)
        message = subscriptions.with_orders(running, "Paused. live_resume continues from the next bar.", "ended")
        orders.end_all(connection, running.id)
        return _with_status(connection, running, "paused", message)

    def _go_on(self, connection: sa.Connection, running: Running) -> Running:
        _refuse_ended(running)
        if running.status == "active":
            return running
        cursor = max(running.cursor, opening(int(self._clock.now()), running.deployment.timeframe))
        subscriptions.set_cursor(connection, running.id, cursor)
        rests = " The stops and targets of its positions rest again then." if running.mode == "trade" else ""
        message = f"Resumed. It decides when the next bar closes.{rests} It skips entries of bars that it did not see."
        return _with_status(connection, replace(running, cursor=cursor), "active", message)

    def _end(self, connection: sa.Connection, running: Running) -> Running:
        if running.status == "unsubscribed":
            return running
        message = subscriptions.with_orders(running, "Ended.", "ended")
        orders.end_all(connection, running.id)
        ended = _with_status(connection, running, "unsubscribed", message)
        outbox.post(connection, running, "strategy_stopped", {"message": message}, self._clock.now())
        return ended

    def _set_hook(self, caller: ApiCaller, subscription_id: str, hook: Hook | None) -> WebhookResponse:
        def work(connection: sa.Connection) -> WebhookResponse:
            running = subscriptions.find(connection, caller.identified, subscription_id)
            subscriptions.set_hook(connection, running.id, hook)
            state = subscriptions.hook_view(connection, replace(running, hook=hook))
            if state is None:
                return WebhookResponse(subscription_id=running.id, removed=True)
            return WebhookResponse(subscription_id=running.id, **state.model_dump())

        return self._store.write_now(work)


def _where_it_rests(venue: Venue, account_id: str, order: dict[str, Any]) -> None:
    """Add an exit's price at the venue, whether it rests there, and if not, why."""
    entry, order_id = order.pop("entry"), order.pop("order_id")
    exits: list[Order] = []
    if entry is None:
        return
    with suppress(NotFound):  # the account is no longer connected
        exits = venue.exits(account_id, entry)
    exit_order = next((each for each in exits if each.order_id == order_id), None)
    if exit_order is None:
        return
    price = exit_order.stop_loss or exit_order.take_profit or exit_order.price
    if price is not None:
        order["price"] = float(price)
    if exit_order.held_by == "engine":
        order["where"] = "engine"
        order["message"] = exit_order.message or "the engine places it at the venue within seconds"


def _report(connection: sa.Connection, running: Running) -> dict[str, Any]:
    """Compares an account with its backtest."""
    from .decisions import funding_paid

    return {
        **signals.report(connection, running),
        "funding_paid": round(funding_paid(running.kept), 8),
        "orders": orders.shown(connection, running.id),
        "positions": positions.differences(connection, running.id),
    }


def _first_words(request: SubscribeRequest, first_close: int, no_exits: str) -> str:
    """The message for a new subscription; `no_exits` says why exits cannot rest on its account."""
    held_here = f" Its stops work only while a process runs it: {no_exits}." if no_exits else ""
    unused = (
        " Mode signal places no orders; account_id is not used."
        if request.mode == "signal" and request.account_id
        else ""
    )
    return f"Its first decision comes when the bar closes at {iso8601(first_close)}.{unused}{held_here}"


def _with_status(connection: sa.Connection, running: Running, status: subscriptions.Status, message: str) -> Running:
    subscriptions.set_status(connection, running.id, status, message)
    return replace(running, status=status, message=message)


def _refuse_ended(running: Running) -> None:
    if running.status == "unsubscribed":
        raise InvalidInput(
            f"subscription {running.id} has ended", suggestion="Deploy the strategy again with live_subscribe"
        )


def _strategy(deployment: Deployment) -> LiveStrategy:
    from .decisions import order_types

    entries, exits = order_types(deployment)
    return LiveStrategy(
        strategy_id=deployment.strategy_id,
        name=deployment.name,
        description=deployment.description,
        exchange=deployment.exchange,
        universe=deployment.tickers,
        timeframe=deployment.timeframe,
        script=deployment.script if deployment.source == "catalogue" else None,
        source=deployment.source,
        result_id=deployment.result_id,
        metrics=deployment.metrics,
        entries=entries,
        exits=exits,
        leverage=deployment.leverage if EXCHANGES[deployment.exchange].market_type == "perpetual" else None,
    )
