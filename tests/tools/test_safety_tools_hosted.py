"""The gate for an agent on the hosted service, under a policy signed by a human; in both eras."""

from __future__ import annotations

from typing import Any, Final

import anyio
import anyio.to_thread
from mcp import Client

from api.outputs import table_rows
from safety.terms.intent import LABEL_PREFIX
from tests.attack.conftest import Attack, arm, attack
from tests.attack.venue import ACCOUNT, SYMBOL
from tests.calls import result
from tests.dialogs import YES, Person

__all__ = ["arm", "attack"]

TEN_USD: Final[dict[str, Any]] = {
    "account_id": ACCOUNT, "exchange": "binance", "symbol": SYMBOL, "side": "buy",
    "order_type": "limit", "amount": "0.1", "price": "100", "label": "mine",
}  # fmt: skip
FORTY_USD: Final = {**TEN_USD, "amount": "0.4"}
PATIENCE: Final = 20


async def settled(client: Client, intent_id: str) -> dict[str, Any]:
    """The intent once it has been sent and answered."""
    with anyio.fail_after(PATIENCE):
        while True:
            found = await result(client, "order_intent", intent_id=intent_id)
            if found["state"] not in {"PENDING", "APPROVED", "SENT"}:
                return found
            await anyio.sleep(0.1)


async def test_a_preview_says_that_a_human_is_needed_and_what_it_is_worth(attack: Attack) -> None:
    async with attack() as target:
        preview = await result(target.client, "order_preview", **TEN_USD)
        denied = await result(target.client, "order_preview", **{**TEN_USD, "amount": "0.9"})

    assert (preview["decision"], preview["paper"], preview["notional_usd"]) == ("require", False, 10)
    assert preview["quote"] == 100
    assert {limit["rule"] for limit in preview["left"]} >= {"R12_DAILY_NOTIONAL", "R13_DAILY_COUNT"}
    assert (denied["decision"], denied["rule"]) == ("deny", "R08_MAX_NOTIONAL")
    assert target.venue.changes == []


async def test_an_order_is_sent_once_after_its_human_signed_and_keeps_its_label(attack: Attack) -> None:
    async with attack() as target:
        waiting = await result(target.client, "orders_place", **TEN_USD)
        again = await result(target.client, "orders_place", **TEN_USD)
        before = target.venue.sent_orders
        await anyio.to_thread.run_sync(target.armed.approve, waiting["intent_id"])
        done = await settled(target.client, waiting["intent_id"])
        [listed] = table_rows((await result(target.client, "orders_list"))["orders"])

    assert waiting["outcome"] == "approval_required"
    assert f"heytraders-mcp approve {waiting['intent_id']}" in waiting["approval"]["how"]
    assert again["intent_id"] == waiting["intent_id"]
    assert before == []
    assert done["state"] == "ACKED"
    [sent] = target.venue.sent_orders
    assert sent["label"].startswith(f"{LABEL_PREFIX}:{waiting['intent_id']}:")
    assert (listed["label"], done["order"]["label"]) == ("mine", "mine")


async def test_a_confirmation_follows_the_order_that_is_signed_while_it_waits(attack: Attack) -> None:
    async with attack() as target:

        async def sign(progress: float, total: float | None, message: str | None) -> None:
            assert total is None or progress <= total
            for intent_id in await anyio.to_thread.run_sync(target.armed.pending):
                assert f"heytraders-mcp approve {intent_id}" in (message or "")
                await anyio.to_thread.run_sync(target.armed.approve, intent_id)

        placed = await target.client.call_tool("place_with_confirmation", TEN_USD, progress_callback=sign)

    assert placed.structured_content is not None, placed.content
    assert (placed.structured_content["outcome"], placed.structured_content["status"]) == ("placed", "FILLED")
    assert placed.structured_content["label"] == "mine"
    assert len(target.venue.sent_orders) == 1


async def test_the_dialog_counts_as_far_as_the_human_signed_for_and_is_not_shown_beyond(attack: Attack) -> None:
    person = Person(YES)
    async with attack(person, elicitation_up_to=25) as target:
        placed = await result(target.client, "place_with_confirmation", **TEN_USD)
        waiting = await result(target.client, "place_with_confirmation", **FORTY_USD, wait_seconds=1)

    assert placed["outcome"] == "placed"
    assert waiting["outcome"] == "approval_required"
    [form] = person.shown
    assert "REAL MONEY" in form.message
    assert f"0.1 {SYMBOL}" in form.message
    assert len(target.venue.sent_orders) == 1


async def test_by_default_the_dialog_does_not_count(attack: Attack) -> None:
    person = Person(YES)
    async with attack(person) as target:
        waiting = await result(target.client, "place_with_confirmation", **TEN_USD, wait_seconds=1)

    assert waiting["outcome"] == "approval_required"
    assert person.shown == []
    assert target.venue.changes == []


async def test_a_deployment_that_trades_waits_and_its_like_is_not_deployed_twice(attack: Attack) -> None:
    trade = {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": ACCOUNT}
    async with attack() as target:
        waiting = await result(target.client, "live_subscribe", **trade)
        again = await result(target.client, "live_subscribe", **trade)
        before = target.venue.changes
        intent_id = waiting["approval"]["intent_id"]
        await anyio.to_thread.run_sync(target.armed.approve, intent_id)
        done = await settled(target.client, intent_id)

    assert waiting["outcome"] == again["outcome"] == "approval_required"
    assert again["approval"]["intent_id"] == intent_id
    assert before == []
    assert (done["state"], done["subscription_id"]) == ("ACKED", "sub_1")
    assert target.venue.changes == ["POST /live-strategies/rsi-reversion/subscribe"]
