"""One attempt for each intent: what leaves, when it does not, and what is booked."""

from __future__ import annotations

import json

from .conftest import Desk, row


async def test_an_approved_order_leaves_once_under_our_label_and_is_acknowledged(desk: Desk) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    desk.service.succeeds(row())

    done = await desk.executor.execute(intent.intent_id)

    [body] = desk.posts()
    assert (done.state, done.order_id) == ("ACKED", "api-1")
    assert json.loads(body)["label"] == done.label
    assert done.label.startswith(f"htm1:{intent.intent_id}:{intent.digest[:16]}:")
    assert done.result is not None
    assert done.result["status"] == "OPEN"
