"""The same calls succeed with a human's approval. Without this control, a failed attack would prove nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import Any, Final

from tests.dialogs import YES, Person

from .conftest import Attack
from .venue import ACCOUNT, SYMBOL

ORDER: Final[dict[str, Any]] = {
    "account_id": ACCOUNT,
    "exchange": "binance",
    "symbol": SYMBOL,
    "side": "buy",
    "order_type": "limit",
    "amount": "0.1",
    "price": "100",
}
"""Ten dollars."""


async def test_an_order_that_the_human_has_signed_is_sent_once(attack: Attack) -> None:
    async with attack() as target:
        asked = await target.client.call_tool("orders_place", ORDER)
        assert asked.structured_content is not None, asked.content
        assert asked.structured_content["outcome"] == "approval_required"
        assert target.venue.sent_orders == []
        target.armed.approve(asked.structured_content["intent_id"])
        again = await target.client.call_tool("orders_place", ORDER)
        for _ in range(100):
            await target.client.call_tool("orders_place", ORDER)

    assert again.structured_content is not None, again.content
    assert again.structured_content["outcome"] == "placed"
    assert again.structured_content["repeated"] is True
    assert len(target.venue.sent_orders) == 1


async def test_terms_that_are_changed_under_a_signature_are_not_sent(attack: Attack) -> None:
    async with attack() as target:
        asked = await target.client.call_tool("orders_place", ORDER)
        assert asked.structured_content is not None, asked.content
        intent_id = asked.structured_content["intent_id"]
        target.armed.approve(intent_id)
        with closing(sqlite3.connect(target.home / "safety.db")) as db:
            [(proposal,)] = db.execute("SELECT proposal FROM intents WHERE intent_id = ?", (intent_id,))
            terms = json.loads(proposal)
            terms["action"]["amount"] = "0.4"
            with suppress(sqlite3.Error):
                db.execute("UPDATE intents SET proposal = ?, amount = '0.4'", (json.dumps(terms),))
                db.commit()
        await target.client.call_tool("orders_place", {**ORDER, "amount": "0.4"})
        await target.client.call_tool("orders_place", ORDER)

    assert [order["amount"] for order in target.venue.sent_orders] in ([], [0.1])


async def test_a_dialogs_yes_places_one_order_where_the_human_has_signed_for_that(attack: Attack) -> None:
    async with attack(Person(YES), elicitation_up_to=25) as target:
        placed = await target.client.call_tool("place_with_confirmation", {**ORDER, "wait_seconds": 5})

    assert placed.structured_content is not None, placed.content
    assert placed.structured_content["outcome"] == "placed"
    assert len(target.venue.sent_orders) == 1


async def test_small_orders_pass_by_themselves_where_the_human_has_signed_for_that(attack: Attack) -> None:
    async with attack(automatic_up_to=12) as target:
        small = await target.client.call_tool("orders_place", ORDER)
        large = await target.client.call_tool("orders_place", {**ORDER, "amount": "0.2"})

    assert small.structured_content is not None, small.content
    assert small.structured_content["outcome"] == "placed"
    assert large.structured_content is not None, large.content
    assert large.structured_content["outcome"] == "approval_required"
    assert len(target.venue.sent_orders) == 1
