"""Addresses that deliveries go to (R31): judged by the policy, and signed with the user's secret, never with a model's.

Deliveries about simulated money take any secret that is given.
"""

from __future__ import annotations

from anyio import to_thread

from api.errors import Denied
from api.live import (
    LIVE_SUBSCRIPTION_GET,
    LIVE_WEBHOOK_SET,
    LIVE_WEBHOOK_TEST,
    SubscriptionRequest,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from safety.policy.evaluation import judge_webhook
from safety.terms.channel import Channel
from safety.terms.decision import Outcome

from .footing import Footing


async def set_webhook(footing: Footing, request: WebhookSetRequest) -> WebhookResponse:
    """Configure a delivery.

    Raises:
        Denied: The policy does not know the host, or a model brought a secret.
    """
    channel = await _channel(footing, request.subscription_id)
    secret = await checked_secret(footing, channel, request.url, request.secret)
    return await footing.client.call(LIVE_WEBHOOK_SET, request.model_copy(update={"secret": secret}))


async def test_webhook(footing: Footing, request: WebhookTestRequest) -> WebhookTestResponse:
    """Try a delivery.

    Raises:
        Denied: The policy does not know the host, or a model brought a secret.
    """
    channel = footing.channels.common
    secret = await checked_secret(footing, channel, request.url, request.secret)
    return await footing.client.call(LIVE_WEBHOOK_TEST, request.model_copy(update={"secret": secret}))


async def _channel(footing: Footing, subscription_id: str) -> Channel:
    """The channel of the account that a subscription trades on, or reports about."""
    common = footing.channels.common
    if common.money == "real":
        return common
    asked = SubscriptionRequest(subscription_id=subscription_id)
    shown = await footing.client.call(LIVE_SUBSCRIPTION_GET, asked)
    return await footing.channels.of_account(shown.account_id) if shown.account_id else common


async def checked_secret(footing: Footing, channel: Channel, url: str, given: str | None) -> str | None:
    """What deliveries to `url` are signed with, once the policy allows them.

    Raises:
        Denied: It does not.
    """
    loaded, _, _ = await to_thread.run_sync(footing.judge.standing)
    limits = loaded.policy.limits(channel.money)
    found = judge_webhook(url, has_secret=given is not None, limits=limits)
    if found.outcome is not Outcome.PASS:
        raise Denied(f"{found.rule}: {found.reason}", suggestion=found.way_out)
    if channel.money == "paper":
        return given
    return None if footing.webhook_secret is None else footing.webhook_secret.get_secret_value()
