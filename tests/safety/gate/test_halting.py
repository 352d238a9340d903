"""The kill switch: who pulls it, what it cancels and pauses, and what still passes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from api.errors import Denied
from api.live import LIVE_PAUSE, LIVE_SUBSCRIBE, LIVE_SUBSCRIPTIONS_LIST, SubscribeRequest, SubscriptionsRequest
from api.orders import ORDERS_LIST, ORDERS_PLACE, OrdersRequest, PlaceRequest

from .conftest import ACCOUNT, SIGNED, Place, opened, order

RESTING = {"order_type": "limit", "price": 10_000}


async def statuses(place: Place) -> dict[str, str | None]:
    """The status of every order, by its id."""
    listed = await place.context.client.call(ORDERS_LIST, OrdersRequest())
    return {each.order_id or "": each.status for each in listed.orders}


async def test_halting_cancels_our_open_orders_and_leaves_those_of_others(paper: Place) -> None:
    ours = await paper.gate.orders.place(order(**RESTING), "orders_place", "")
    filled = await paper.gate.orders.place(order(), "orders_place", "")
    foreign = await paper.context.client.call(ORDERS_PLACE, PlaceRequest.model_validate(order(**RESTING)))
    done = await paper.gate.kill_switch.halt("odd fills", "safety_halt")
    after = await statuses(paper)

    assert (done.switch, done.cancelled, done.failed) == ("HALTED", [ours.order_id], [])
    assert after[ours.order_id or ""] == "CANCELLED"
    assert after[filled.order_id or ""] == "FILLED"
    assert after[foreign.order_id or ""] == "OPEN"
    assert "heytraders-mcp release" in done.next_step


async def test_halting_finds_our_orders_by_their_label_where_the_ledger_has_no_id(paper: Place) -> None:
    ghost = order(**RESTING, label="htm1:01ARZ3NDEKTSV4RRFFQ69G5FAV:0123456789abcdef:0123456789ab")
    placed = await paper.context.client.call(ORDERS_PLACE, ghost)
    done = await paper.gate.kill_switch.halt("odd fills", "safety_halt")

    assert done.cancelled == [placed.order_id]


async def test_halting_pauses_what_trades_and_leaves_what_only_signals(paper: Place) -> None:
    call = paper.context.client.call
    trading = SubscribeRequest(strategy_id="rsi-reversion", mode="trade", account_id=ACCOUNT)  # pyright: ignore[reportCallIssue]
    trades = await call(LIVE_SUBSCRIBE, trading)
    await call(LIVE_SUBSCRIBE, SubscribeRequest.model_validate({"strategy_id": "rsi-reversion"}))
    done = await paper.gate.kill_switch.halt("odd fills", "safety_halt")
    listed = (await call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest())).subscriptions

    assert done.paused == [trades.subscription_id]
    assert {each.mode: each.status for each in listed} == {"trade": "paused", "signal": "active"}
    assert LIVE_PAUSE.name == "live_pause"


async def test_what_could_not_be_stopped_is_listed_and_the_switch_is_pulled_all_the_same(paper: Place) -> None:
    await paper.gate.orders.place(order(**RESTING), "orders_place", "")
    paper.heard.refuse = lambda _: True
    done = await paper.gate.kill_switch.halt("odd fills", "safety_halt")

    assert len(done.failed) >= 2
    assert (done.cancelled, done.paused) == ([], [])
    assert paper.ledger.switch().state == "HALTED"


async def test_after_a_halt_nothing_passes_and_everything_can_be_looked_at(paper: Place) -> None:
    placed = await paper.gate.orders.place(order(), "orders_place", "")
    await paper.gate.kill_switch.halt("odd fills", "safety_halt")
    paper.heard.calls.clear()
    with pytest.raises(Denied) as denied:
        await paper.gate.orders.place(order(), "orders_place", "")
    status = await paper.gate.reports.status()
    report = await paper.gate.reports.intent(placed.intent_id or "")

    assert denied.value.message == (
        'R20_SWITCH: the kill switch is HALTED, moved by safety_halt, because "odd fills": nothing passes'
    )
    assert "release" in denied.value.suggestion
    assert (status.switch, status.switch_reason) == ("HALTED", "odd fills")
    assert report.state == "ACKED"
    assert paper.heard.changes == []


async def test_what_was_approved_before_the_halt_is_not_sent_after_it(live: Place) -> None:
    request = await live.limit()
    asked = await live.gate.orders.place(request, "orders_place", "")
    await live.approve(asked.intent_id or "")
    await live.gate.kill_switch.halt("odd fills", "safety_halt")
    live.heard.calls.clear()
    with pytest.raises(Denied):
        await live.gate.orders.place(request, "orders_place", "")

    assert live.heard.changes == []
    assert (await live.gate.reports.intent(asked.intent_id or "")).state == "HALTED"


async def test_a_file_named_halt_stops_everything_too(paper: Place) -> None:
    (paper.context.home / "HALT").write_text("enough")
    with pytest.raises(Denied) as denied:
        await paper.gate.orders.place(order(), "orders_place", "")

    assert "R20_SWITCH" in denied.value.message
    assert paper.heard.calls == []


async def test_failures_in_a_row_pull_the_switch_and_cancel_what_rests(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, paper={"halt_failures": 3}) as paper:
        resting = await paper.gate.orders.place(order(**RESTING), "orders_place", "")
        for amount in ("0.00100000001", "0.00100000002", "0.00100000003"):
            with pytest.raises(Exception, match="lot size"):
                await paper.gate.orders.place(order(amount=amount), "orders_place", "")
        switch = paper.ledger.switch()
        after = await statuses(paper)

    assert (switch.state, switch.by) == ("HALTED", "policy")
    assert switch.reason.startswith("R23_FAILURES: ")
    assert after[resting.order_id or ""] == "CANCELLED"


async def test_a_loss_since_midnight_pulls_the_switch(tmp_path: Path) -> None:
    limits = {"daily_loss_usd": Decimal(100)}
    async with opened(tmp_path / "home", hosted=False, paper=limits) as paper:
        ledger, context = paper.ledger, paper.context
        ledger.saw_equity(context.channels.common.money, ACCOUNT, Decimal(1_000_000))
        with pytest.raises(Denied) as denied:
            await paper.gate.orders.place(order(), "orders_place", "")
        switch = ledger.switch()

    assert denied.value.message.startswith("R18_DAILY_LOSS: ")
    assert (switch.state, switch.by) == ("HALTED", "policy")
    assert paper.heard.changes == []


async def test_a_drawdown_leaves_orders_that_shrink_a_position(tmp_path: Path) -> None:
    limits = {"drawdown_share": Decimal("0.15")}
    async with opened(tmp_path / "home", hosted=False, paper=limits) as paper:
        await paper.gate.orders.place(order(amount="0.002"), "orders_place", "")
        paper.ledger.saw_equity("paper", ACCOUNT, Decimal(1_000_000))
        with pytest.raises(Denied):
            await paper.gate.orders.place(order(), "orders_place", "")
        state = paper.ledger.switch().state
        paper.clock.advance(120)
        sold = await paper.gate.orders.place(order(side="sell", amount="0.001"), "orders_place", "")

    assert state == "REDUCING"
    assert sold.outcome == "placed"


async def test_a_signed_limit_is_named_in_the_status_with_what_is_left_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=True, live=SIGNED) as live:
        await live.gate.orders.place(await live.limit(), "orders_place", "")
        status = await live.gate.reports.status()

    left = {each.rule: Decimal(each.left) for each in status.limits}
    assert (status.mode, status.switch, status.assurance) == ("live", "ACTIVE", "passphrase")
    assert len(status.pending) == 1
    assert Decimal(940) < left["R12_DAILY_NOTIONAL"] < Decimal(960)
    assert "approve" in (status.next_step or "")


async def test_without_a_signature_the_status_says_off_and_how_to_change_it(unsigned: Place) -> None:
    status = await unsigned.gate.reports.status()

    assert (status.mode, status.assurance) == ("off", "none")
    assert "policy sign" in (status.next_step or "")
    assert unsigned.heard.calls == []
