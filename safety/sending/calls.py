"""Which call of the API carries out an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api import orders
from api.arena import ARENA_POST, ARENA_PROFILE_UPDATE, PostRequest, ProfileUpdateRequest
from api.endpoint import Endpoint, Request
from api.live import LIVE_RESUME, LIVE_SUBSCRIBE, SubscribeRequest, SwitchRequest
from safety.terms.proposal import Action, Order, Publication, Standing

if TYPE_CHECKING:
    from pydantic import SecretStr


def request_for(action: Action, label: str, secret: SecretStr | None) -> tuple[Endpoint[Any, Any], Request]:
    """The call that carries out an action.

    Args:
        action: What is to be done.
        label: What an order goes out under.
        secret: Signs the deliveries of a webhook.

    Raises:
        ValueError: Its terms are no request of the API.
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


def _subscription(action: Standing, secret: SecretStr | None) -> SubscribeRequest:
    webhook = None
    if action.webhook_url is not None:
        signed = {} if secret is None else {"secret": secret.get_secret_value()}
        events = {} if action.webhook_events is None else {"events": action.webhook_events}
        webhook = {"url": action.webhook_url, **events, **signed}
    asked = {"strategy_id": action.strategy_id, "mode": "trade", "account_id": action.account_id, "webhook": webhook}
    return SubscribeRequest.model_validate(asked)
