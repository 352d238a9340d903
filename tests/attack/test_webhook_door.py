"""Deliveries go only to hosts that the human has signed for, with the user's secret and never a model's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Attack
from .registry import ORDER, tried
from .urls import ALLOWED, URLS


def test_the_corpus_is_large_enough() -> None:
    assert len(set(URLS)) >= 60


async def test_no_address_is_forwarded_that_the_human_has_not_allowed(attack: Attack) -> None:
    async with attack() as target:
        for url in URLS:
            await tried(target, "live_webhook_set", {"subscription_id": "sub_1", "url": url})
            await tried(target, "live_webhook_test", {"url": url})
            deployed = {"strategy_id": "rsi-reversion", "webhook": {"url": url}}
            await tried(target, "live_subscribe", deployed)
            await tried(target, "live_subscribe", {**deployed, "webhook": json.dumps({"url": url})})

    assert target.venue.changes == []


async def test_an_allowed_address_is_forwarded(attack: Attack) -> None:
    async with attack() as target:
        answer = await target.client.call_tool("live_webhook_set", {"subscription_id": "sub_1", "url": ALLOWED})

    assert not answer.is_error, answer.content
    assert len(target.venue.changes) == 1


@pytest.mark.parametrize("secret", ["0123456789abcdef", "x" * 64])
async def test_a_secret_from_a_model_is_not_forwarded(attack: Attack, secret: str) -> None:
    async with attack() as target:
        hook: dict[str, Any] = {"url": ALLOWED, "secret": secret}
        await tried(target, "live_webhook_set", {"subscription_id": "sub_1", **hook})
        await tried(target, "live_webhook_test", hook)
        await tried(target, "live_subscribe", {"strategy_id": "rsi-reversion", "webhook": hook})

    assert target.venue.changes == []
    assert secret not in str(target.venue.requests)


async def test_nothing_is_allowed_before_a_human_has_signed_for_a_host(attack: Attack) -> None:
    async with attack(webhook_hosts=[]) as target:
        await tried(target, "live_webhook_set", {"subscription_id": "sub_1", "url": ALLOWED})
        await tried(target, "live_webhook_test", {"url": ALLOWED})

    assert target.venue.changes == []


async def test_no_picture_of_a_profile_leads_anywhere(attack: Attack) -> None:
    async with attack() as target:
        for url in URLS[::4]:
            await tried(target, "arena_profile_update", {"avatar_url": url, "description": "me"})
            await tried(target, "orders_place", {**ORDER, "label": url[:100]})

    assert target.venue.changes == []
