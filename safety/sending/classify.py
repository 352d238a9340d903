"""Classifies the response to the only attempt. Only proof counts: any ambiguous response means UNKNOWN.

| seen | state |
|---|---|
| 2xx, success, an order id, and terms that are those we sent | ACKED |
| 2xx or 4xx, a documented refusal, and no order id | REJECTED |
| no connection came about, so no byte had left | NOT_SENT |
| all else: timeouts, broken lines, 408, 409, 429, 5xx, redirects, unreadable answers, no id, other terms | UNKNOWN |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from api import orders
from api.arena import ARENA_POST, ARENA_PROFILE_UPDATE, PostRequest, ProfileUpdateRequest
from api.endpoint import Endpoint, Request, Response
from api.errors import CODES, HeyTradersError, ended
from api.live import LIVE_RESUME, LIVE_SUBSCRIBE, SubscribeRequest, Subscription, SwitchRequest
from api.orders import Order as ShownOrder
from api.transport import Answer, Garbled, Lost, NotSent, read_envelope, unwrap
from safety.terms.intent import State
from safety.terms.proposal import Action, Deployment, Order, Publication

if TYPE_CHECKING:
    from pydantic import SecretStr


def request_for(action: Action, label: str, secret: SecretStr | None) -> tuple[Endpoint[Any, Any], Request]:
    """The API call for an action.

    Args:
        action: The action in question.
        label: The label of an order.
        secret: Signs the deliveries of a webhook.

    Raises:
        ValueError: Its terms are not a valid API request.
    """
    if isinstance(action, Order):
        return orders.ORDERS_PLACE, action.request(label)
    if isinstance(action, Publication):
        if action.action == "post":
            return ARENA_POST, PostRequest.model_validate_json(action.body)
        return ARENA_PROFILE_UPDATE, ProfileUpdateRequest.model_validate_json(action.body)
    if action.action == "resume":
        ids = {"strategy_id": action.strategy_id, "subscription_id": action.subscription_id}
        return LIVE_RESUME, SwitchRequest.model_validate(ids)
    return LIVE_SUBSCRIBE, _subscription(action, secret)


def _subscription(action: Deployment, secret: SecretStr | None) -> SubscribeRequest:
    webhook = None
    if action.webhook_url is not None:
        signed = {} if secret is None else {"secret": secret.get_secret_value()}
        events = {} if action.webhook_events is None else {"events": action.webhook_events}
        webhook = {"url": action.webhook_url, **events, **signed}
    asked = {"strategy_id": action.strategy_id, "mode": "trade", "account_id": action.account_id, "webhook": webhook}
    return SubscribeRequest.model_validate(asked)


Seen = Answer | NotSent | Lost

REFUSALS: Final = frozenset({"VALIDATION_ERROR", "INVALID_API_KEY", "EXPIRED_API_KEY", "INSUFFICIENT_PERMISSIONS"})
"""Codes of the API document that are returned before anything is done."""

OWN_REFUSALS: Final = CODES - {"INTERNAL_ERROR"}
"""The same if every documented refusal is certain."""

UNCLEAR_STATUSES: Final = frozenset({408, 409, 429})
"""Refusals that a gateway may return after the service has started the work."""

_ANSWERS: Final[dict[str, type[Response]]] = {"order": ShownOrder, "standing": Subscription, "publication": Response}

ROUNDING: Final = Decimal("0.01")
"""Exchanges round amounts and prices to their steps; values within this share count as equal."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The outcome of an attempt.

    Attributes:
        state: ACKED, REJECTED, NOT_SENT or UNKNOWN.
        reason: Why, in one sentence; for a refusal, `CODE: text`.
        result: The service's response, if reliable.
        order_id: The service's id of the order or subscription.
    """

    state: State
    reason: str = ""
    result: dict[str, Any] | None = None
    order_id: str | None = None


def classify(action: Action, seen: Seen, label: str, *, trusted: bool) -> Classified:
    """The outcome of the attempt at `action`.

    Args:
        action: The action that was sent.
        seen: The response.
        label: The label of an order.
        trusted: Any documented refusal is certain, as the channel says.
    """
    if isinstance(seen, NotSent):
        return Classified("NOT_SENT", str(seen))
    if isinstance(seen, Lost):
        return Classified("UNKNOWN", str(seen))
    try:
        data = unwrap(seen.status, seen.body, trusted=trusted)
    except Garbled as garbled:
        return Classified("UNKNOWN", str(garbled))
    except HeyTradersError as failure:
        return _failed(failure, seen, trusted=trusted)
    if not 200 <= seen.status < 300:
        return Classified("UNKNOWN", f"the service answered with status {seen.status}")
    return _done(action, data, label)


def _failed(failure: HeyTradersError, answer: Answer, *, trusted: bool) -> Classified:
    said = f"{failure.code}: {ended(failure.message)} {failure.suggestion}".strip()
    certain = answer.status // 100 in {2, 4} and answer.status not in UNCLEAR_STATUSES
    known = OWN_REFUSALS if trusted else REFUSALS
    if certain and _refusal(answer.body) in known:
        return Classified("REJECTED", said)
    return Classified("UNKNOWN", f"the service answered with status {answer.status}, {said}")


def _refusal(body: bytes) -> str | None:
    """The code of a refusal in the API's format that names no order."""
    envelope = read_envelope(body) or {}
    error, data = _mapping(envelope.get("error")), _mapping(envelope.get("data"))
    if envelope.get("success") is not False or {"order_id", "exchange_order_id"} & (error.keys() | data.keys()):
        return None
    code = error.get("code")
    return code if isinstance(code, str) else None


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _done(action: Action, data: object, label: str) -> Classified:
    try:
        shown = _ANSWERS[action.kind].model_validate(data)
    except ValidationError:
        return Classified("UNKNOWN", "the answer does not fit the API")
    wrong = _unlike(action, shown, label)
    if wrong:
        return Classified("UNKNOWN", wrong)
    return Classified("ACKED", result=as_result(shown), order_id=_id_of(shown))


def as_result(shown: Response) -> dict[str, Any]:
    """The service's response in the ledger's format."""
    return shown.model_dump(exclude_none=True)


def _id_of(shown: Response) -> str | None:
    if isinstance(shown, ShownOrder):
        return order_id_of(shown)
    return shown.subscription_id if isinstance(shown, Subscription) else None


def order_id_of(shown: ShownOrder) -> str | None:
    """The service's id, or else the exchange's."""
    return shown.order_id or shown.exchange_order_id or None


def _unlike(action: Action, shown: Response, label: str) -> str:
    """Why a response does not prove that the action was done; "" if it does."""
    if isinstance(action, Order) and isinstance(shown, ShownOrder):
        if order_id_of(shown) is None:
            return "the answer names no order id"
        if shown.label and shown.label != label:
            return "the answer is about an order with another label"
        differing = differs(action, shown)
        return f"the answer is about an order with another {differing}" if differing else ""
    if isinstance(action, Deployment) and isinstance(shown, Subscription):
        return _unlike_deployment(action, shown)
    return ""


def _unlike_deployment(action: Deployment, shown: Subscription) -> str:
    if not shown.subscription_id:
        return "the answer names no subscription id"
    if action.subscription_id and shown.subscription_id != action.subscription_id:
        return "the answer is about another subscription"
    if shown.account_id and action.account_id and shown.account_id != action.account_id:
        return "the answer is about another account"
    return ""


def differs(order: Order, shown: ShownOrder) -> str | None:
    """The first field that differs between the sent order and the service's; fields not shown count as equal."""
    checks = {
        "account_id": _same_text(order.account_id, shown.account_id),
        "exchange": _same_text(order.exchange, shown.exchange),
        "symbol": _same_symbol(order.symbol, shown.symbol),
        "side": _same_text(order.side, shown.side),
        "order_type": _same_kind(order.order_type, shown.order_type),
        "amount": _near(order.amount, shown.amount),
        "price": order.price is None or _near(order.price, shown.price or None),
        "stop_loss": shown.stop_loss is None or shown.stop_loss == order.stop_loss,
        "take_profit": shown.take_profit is None or shown.take_profit == order.take_profit,
    }
    return next((name for name, same in checks.items() if not same), None)


def _same_text(sent: str, shown: str | None) -> bool:
    return not shown or shown.casefold() == sent.casefold()


def _same_symbol(sent: str, shown: str | None) -> bool:
    """`BTC/USDT:USDT`, `BTC/USDT` and `btcusdt` are the same; so are a token id and `TOKEN_ID/USDC`."""
    if not shown:
        return True
    one, other = (re.sub(r"[^0-9a-z]", "", text.casefold()) for text in (sent, shown))
    return one.startswith(other) or other.startswith(one)


def _same_kind(sent: str, shown: str | None) -> bool:
    """Services name limit order types in their own ways; only a market order always has the same name."""
    return not shown or (shown.casefold() == "market") == (sent == "market")


def _near(sent: Decimal, shown: Decimal | None) -> bool:
    return shown is None or abs(shown - sent) <= ROUNDING * sent
