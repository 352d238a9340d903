"""The live section: strategies that run on closed bars, subscriptions to them, their webhooks and signals."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from api.endpoint import Endpoint
from api.inputs import Day, Identifier, Moment, Request, Text, WebAddress, Whole, json_object, listed, one_of, reject
from api.outputs import TABLE, ReportedMoney, Response, Time, listed_as

SubscriptionMode = Literal["signal", "trade"]
WebhookEvent = Literal["signal", "error", "strategy_stopped"]
SignalSide = Literal["buy", "sell"]

EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)

StrategyId = Annotated[Identifier, Field(description="From live_strategies_list.")]
SubscriptionId = Annotated[Identifier, Field(description="From live_subscriptions_list.")]
Events = Annotated[
    tuple[Annotated[WebhookEvent, one_of(EVENTS)], ...],
    Field(min_length=1, max_length=3, description="What to deliver; default: all."),
    BeforeValidator(listed),
]
_SIGNS: Final = "Signs deliveries (HMAC-SHA256)."
Secret = Annotated[str, Field(min_length=8, max_length=256)]
Url = Annotated[WebAddress, Field(description="https address to deliver to.")]


class Webhook(Request):
    """Where to deliver."""

    url: Url
    secret: Secret | None = Field(default=None, repr=False, description=_SIGNS)
    events: Events = EVENTS


def _webhook(value: object) -> object:
    """An object, also as JSON text. A bare address is refused, with the object that it would be."""
    if isinstance(value, str) and value.strip().lower().startswith("http"):
        meant = {"url": value.strip()}
        raise reject("must be an object", 'Write it as {"url": "https://..."}.', fixed=meant)
    return json_object(value)


class StrategiesRequest(Request):
    """No arguments."""


class LiveStrategy(Response):
    """A strategy that can be deployed."""

    strategy_id: str | None = Field(default=None, description="For live_subscribe.")
    name: str | None = Field(default=None, description="Its name.")
    description: str | None = Field(default=None, description="Its rules in words.")
    exchange: str | None = Field(default=None, description="Where it trades.")
    universe: tuple[str, ...] | None = Field(default=None, description="Tickers it watches.")
    timeframe: str | None = Field(default=None, description="Bar length.")
    script: str | None = Field(default=None, description="Signal DSL of a catalogue strategy, to backtest first.")
    source: str | None = Field(default=None, description="catalogue, or backtest for a completed one of your own.")
    result_id: str | None = Field(default=None, description="The backtest behind it.")
    metrics: dict[str, Any] | None = Field(default=None, description="Of that backtest.")
    entries: tuple[str, ...] | None = Field(default=None, description="Types of its entry orders.")
    exits: tuple[str, ...] | None = Field(default=None, description="Types of orders that a signal closes with.")
    leverage: float | None = Field(default=None, description="Of its orders.")


class StrategiesResponse(Response):
    """What can be deployed."""

    strategies: tuple[LiveStrategy, ...] = Field(default=(), description="The catalogue, then your own.")

    _bare_list = model_validator(mode="before")(listed_as("strategies"))


class SubscribeRequest(Request):
    """What to deploy, and how."""

    strategy_id: StrategyId
    mode: Annotated[SubscriptionMode, one_of(get_args(SubscriptionMode), {"signals": "signal"})] = Field(
        "signal", description="signal: notify only. trade: place its orders on the account."
    )
    account_id: Identifier | None = Field(default=None, description="From accounts_list; required to trade.")
    webhook: Annotated[Webhook | None, BeforeValidator(_webhook)] = Field(
        None, description="Delivery in real time; live_signals_latest polls without one."
    )

    @model_validator(mode="after")
    def _trading_needs_an_account(self) -> Self:
        if self.mode == "trade" and self.account_id is None:
            raise reject("is required when mode is trade", "accounts_list names the accounts.", field="account_id")
        return self


class SubscriptionRequest(Request):
    """Which subscription."""

    subscription_id: SubscriptionId


class SubscriptionsRequest(Request):
    """Which subscriptions."""

    ended: bool | None = Field(default=None, description="True: those that have ended, too.")


class WebhookState(Response):
    """A configured webhook. The secret is never returned."""

    url: str | None = Field(default=None, description="Where deliveries go.")
    events: tuple[str, ...] | None = Field(default=None, description="What is delivered.")
    last_delivery_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    last_status: str | None = Field(default=None, description="How the last delivery went.")


class Subscription(Response):
    """A deployed strategy."""

    subscription_id: str | None = Field(default=None, description="Its id.")
    strategy_id: str | None = Field(default=None, description="What runs.")
    strategy_name: str | None = Field(default=None, description="Its name.")
    mode: str | None = Field(default=None, description="signal or trade.")
    status: str | None = Field(default=None, description="active, paused, stopped or unsubscribed.")
    account_id: str | None = Field(default=None, description="Where it trades.")
    paper: bool | None = Field(default=None, description="True: its orders are simulated.")
    webhook: WebhookState | None = Field(default=None, description="Delivery, where configured.")
    created_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    last_bar_at: Time | None = Field(default=None, description="Close of the last bar it saw.")
    last_signal_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    signal_count: int | None = Field(default=None, description="Signals so far.")
    message: str | None = Field(default=None, description="Why it stopped, or what to do next.")
    runner: str | None = Field(default=None, description="Which process runs it, and whether that outlives the client.")
    waits_for: str | None = Field(default=None, description="What it waits for, and why it does not trade.")
    report: dict[str, Any] | None = Field(
        default=None, description="Trade mode, in detail: fills against the backtest's, resting orders, positions."
    )
    deliveries: tuple[dict[str, Any], ...] | None = Field(default=None, description="Newest webhook deliveries.")


class SubscriptionsResponse(Response):
    """All subscriptions."""

    subscriptions: tuple[Subscription, ...] = Field(default=(), description="Newest first.")
    hidden: int | None = Field(default=None, description="Ended ones left out.")

    _bare_list = model_validator(mode="before")(listed_as("subscriptions"))


class SwitchRequest(Request):
    """Which subscription of which strategy."""

    strategy_id: StrategyId
    subscription_id: SubscriptionId


class WebhookSetRequest(Request):
    """Where a subscription delivers; replaces what was there."""

    subscription_id: SubscriptionId
    url: Url
    secret: Secret | None = Field(default=None, repr=False, description=_SIGNS)
    events: Events = EVENTS


class WebhookResponse(WebhookState):
    """The webhook as it now is."""

    subscription_id: str | None = Field(default=None, description="Whose it is.")
    removed: bool | None = Field(default=None, description="True after removal.")


class WebhookTestRequest(Request):
    """What to try."""

    url: Url
    secret: Secret | None = Field(default=None, repr=False, description=_SIGNS)


class WebhookTestResponse(Response):
    """What the receiver answered."""

    delivered: bool | None = Field(default=None, description="True on a 2xx answer.")
    status_code: int | None = Field(default=None, description="HTTP status of the receiver.")
    duration_ms: float | None = Field(default=None, description="Milliseconds until it answered.")
    message: str | None = Field(default=None, description="What went wrong.")


class SignalsRequest(Request):
    """Which signals."""

    subscription_id: SubscriptionId
    symbol: Text | None = Field(default=None, min_length=1, max_length=200, description="Only this symbol.")
    side: Annotated[SignalSide, one_of(get_args(SignalSide))] | None = Field(
        default=None, description="Only this side."
    )
    start_date: Day | None = Field(default=None, description="From this day, UTC.")
    end_date: Day | None = Field(default=None, description="To this day, inclusive.")
    limit: Whole = Field(50, ge=1, le=200, description="Maximum signals.")
    cursor: Text | None = Field(default=None, max_length=200, description="next_cursor of the page before.")

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        if self.start_date is not None and self.end_date is not None and self.end_date < self.start_date:
            raise reject("must not lie before start_date", "Swap the two dates.", field="end_date")
        return self


class LatestSignalsRequest(Request):
    """What is new."""

    subscription_id: SubscriptionId
    since: Moment | None = Field(
        default=None, description="ISO 8601; next_since of the last poll. Default: the newest."
    )
    limit: Whole = Field(50, ge=1, le=200, description="Maximum signals.")


class Signal(Response):
    """What a strategy decided on a closed bar."""

    signal_id: str | None = Field(default=None, description="The signal's id; each is stored once.")
    subscription_id: str | None = Field(default=None, description="Whose it is.")
    symbol: str | None = Field(default=None, description="What to trade.")
    exchange: str | None = Field(default=None, description="Where.")
    side: str | None = Field(default=None, description="buy or sell.")
    action: str | None = Field(default=None, description="entry, exit or rebalance.")
    position: str | None = Field(default=None, description="long or short.")
    price: ReportedMoney | None = Field(default=None, description="Close of the bar, quote currency.")
    size: dict[str, Any] | None = Field(default=None, description="Kind and value of the sizing.")
    stop_price: ReportedMoney | None = Field(default=None, description="Its stop, quote currency.")
    target_price: ReportedMoney | None = Field(default=None, description="Its target, quote currency.")
    bar_time: Time | None = Field(default=None, description="Close of the bar, ISO 8601 UTC.")
    created_at: Time | None = Field(default=None, description="When it was stored, ISO 8601 UTC.")
    reason: str | None = Field(default=None, description="entry, signal, stop_loss, take_profit, ...")
    order_id: str | None = Field(default=None, description="The order that it placed, in trade mode.")
    order_message: str | None = Field(default=None, description="Why no order was placed, or what became of it.")


class SignalsResponse(Response):
    """Signals of a subscription."""

    signals: Annotated[tuple[Signal, ...], TABLE] = Field(
        default=(), description="Newest first; for latest, oldest first."
    )
    next_cursor: str | None = Field(default=None, description="For the next page; null at the end.")
    next_since: Time | None = Field(default=None, description="For the next poll.")

    _bare_list = model_validator(mode="before")(listed_as("signals"))


_ONE: Final = "/live-strategies/subscriptions/{subscription_id}"

LIVE_STRATEGIES_LIST: Final = Endpoint(
    "live_strategies_list",
    "GET",
    "/live-strategies",
    "research",
    StrategiesRequest,
    StrategiesResponse,
    "Strategies available for deployment.",
)
LIVE_SUBSCRIBE: Final = Endpoint(
    "live_subscribe",
    "POST",
    "/live-strategies/{strategy_id}/subscribe",
    "research",
    SubscribeRequest,
    Subscription,
    "Deploy a strategy; mode trade needs the scope trade as well.",
    at_most_once=True,
)
LIVE_SUBSCRIPTIONS_LIST: Final = Endpoint(
    "live_subscriptions_list",
    "GET",
    "/live-strategies/subscriptions",
    "research",
    SubscriptionsRequest,
    SubscriptionsResponse,
    "List all subscriptions.",
)
LIVE_SUBSCRIPTION_GET: Final = Endpoint(
    "live_subscription_get", "GET", _ONE, "research", SubscriptionRequest, Subscription, "One subscription in detail."
)
LIVE_UNSUBSCRIBE: Final = Endpoint(
    "live_unsubscribe",
    "POST",
    f"{_ONE}/unsubscribe",
    "research",
    SubscriptionRequest,
    Subscription,
    "End a subscription for good.",
    at_most_once=True,
)
LIVE_PAUSE: Final = Endpoint(
    "live_pause",
    "POST",
    "/live-strategies/{strategy_id}/pause/{subscription_id}",
    "research",
    SwitchRequest,
    Subscription,
    "Stop a subscription until it is resumed.",
    at_most_once=True,
)
LIVE_RESUME: Final = Endpoint(
    "live_resume",
    "POST",
    "/live-strategies/{strategy_id}/resume/{subscription_id}",
    "research",
    SwitchRequest,
    Subscription,
    "Resume a paused subscription; one in mode trade also needs the scope trade.",
    at_most_once=True,
)
LIVE_WEBHOOK_SET: Final = Endpoint(
    "live_webhook_set",
    "PUT",
    f"{_ONE}/webhook",
    "research",
    WebhookSetRequest,
    WebhookResponse,
    "Configure a subscription's webhook.",
)
LIVE_WEBHOOK_REMOVE: Final = Endpoint(
    "live_webhook_remove",
    "DELETE",
    f"{_ONE}/webhook",
    "research",
    SubscriptionRequest,
    WebhookResponse,
    "Remove a subscription's webhook.",
)
LIVE_WEBHOOK_TEST: Final = Endpoint(
    "live_webhook_test",
    "POST",
    "/live-strategies/webhooks/test",
    "research",
    WebhookTestRequest,
    WebhookTestResponse,
    "Send a test delivery to a webhook.",
    at_most_once=True,
)
LIVE_SIGNALS: Final = Endpoint(
    "live_signals",
    "GET",
    f"{_ONE}/signals",
    "research",
    SignalsRequest,
    SignalsResponse,
    "Signal history, filtered by symbol, side and dates.",
)
LIVE_SIGNALS_LATEST: Final = Endpoint(
    "live_signals_latest",
    "GET",
    f"{_ONE}/signals/latest",
    "research",
    LatestSignalsRequest,
    SignalsResponse,
    "Poll for new signals.",
)
