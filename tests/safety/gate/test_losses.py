"""When a strategy that trades by itself loses too much, the switch is pulled without an order of ours, and the
strategy is paused.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio import to_thread

from api.live import LIVE_PAUSE, SubscribeRequest, SwitchRequest
from safety.gate.halting import watch_losses
from server.gate import build_watcher

from .conftest import ACCOUNT, SIGNED, Place, opened

TRADING: Final = SubscribeRequest.model_validate(
    {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": ACCOUNT}
)
LOOK: Final = f"GET /accounts/{ACCOUNT}/balances"
PAUSE: Final = "POST /live-strategies/rsi-reversion/pause/"


async def deployed(place: Place) -> str:
    """A strategy that a human has allowed to trade by itself; returns the id of its subscription."""
    asked = await place.gate.deployments.subscribe(TRADING, "live_subscribe", "")
    [waiting] = place.ledger.intents(states={"PENDING"})
    assert asked.outcome == "approval_required"
    await place.approve(waiting.intent_id)
    done = await place.gate.deployments.subscribe(TRADING, "live_subscribe", "")
    assert done.subscription_id is not None
    place.heard.calls.clear()
    return done.subscription_id


async def had(place: Place, share: str) -> None:
    """The account was worth this share of 10,000 USD at today's first look."""
    place.ledger.saw_equity(place.context.channels.common.money, ACCOUNT, Decimal(10_000) * Decimal(share))


async def test_nothing_is_looked_at_while_nothing_trades_by_itself(live: Place) -> None:
    await had(live, "2")
    await watch_losses(live.context)

    assert live.heard.calls == []
    assert live.ledger.switch().state == "ACTIVE"


async def test_an_account_that_lost_nothing_trades_on(live: Place) -> None:
    await deployed(live)
    await watch_losses(live.context)

    assert live.heard.calls == [LOOK]
    assert live.ledger.switch().state == "ACTIVE"


@pytest.mark.parametrize(
    ("limits", "state", "rule"),
    [
        ({}, "HALTED", "R18_DAILY_LOSS"),
        ({"daily_loss_usd": None, "daily_loss_share": Decimal("0.5")}, "REDUCING", "R19_DRAWDOWN"),
    ],
)
async def test_a_loss_that_no_order_brings_up_pulls_the_switch_and_pauses_what_trades(
    tmp_path: Path, limits: dict[str, Any], state: str, rule: str
) -> None:
    async with opened(tmp_path / "home", hosted=True, live={**SIGNED, **limits}) as live:
        subscription_id = await deployed(live)
        await had(live, "1.25")
        await watch_losses(live.context)
        switch = live.ledger.switch()
        await watch_losses(live.context)

        assert (switch.state, switch.reason.partition(":")[0]) == (state, rule)
        assert live.heard.changes == [PAUSE + subscription_id]
        assert live.ledger.switch() == switch


async def test_what_was_paused_is_watched_no_longer(live: Place) -> None:
    subscription_id = await deployed(live)
    request = SwitchRequest(strategy_id="rsi-reversion", subscription_id=subscription_id)
    paused = await live.context.client.call(LIVE_PAUSE, request)
    [intent] = live.ledger.intents(states={"ACKED"})
    live.ledger.observe(intent.intent_id, paused.model_dump(exclude_none=True))
    live.heard.calls.clear()
    await watch_losses(live.context)

    assert live.heard.calls == []


async def test_a_server_that_is_idle_watches(live: Place) -> None:
    await deployed(live)
    await had(live, "1.25")
    watcher = await to_thread.run_sync(build_watcher, live.context)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            while live.ledger.switch().state == "ACTIVE":  # noqa: ASYNC110 - another task's ledger
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()

    assert live.ledger.switch().reason.startswith("R18_DAILY_LOSS")
