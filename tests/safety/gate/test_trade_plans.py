"""Exits of an order through the gate: shown with it, bound to its approval, refused where nothing would keep them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from api.errors import InvalidInput
from api.exchanges import EXCHANGES, ExchangeId
from safety.gate.judging import SentExit, permit_exit
from safety.human.screen import question, summary
from safety.terms.proposal import OrderTerms
from tests.safety.approval.conftest import ORDER, proposed

from .conftest import SIGNED, Dialog, Place, opened, order

PLAN = ORDER.model_copy(update={"stop_loss": Decimal(55_000), "take_profit": Decimal("66000.5")})


def test_the_human_reads_the_plan_in_the_line_that_says_what_is_bought() -> None:
    assert "BUY             0.0005 BTC/USDT, then stop at 55000 or target at 66000.5\n" in question(proposed(PLAN))
    assert "(limit), then stop at 55000 or target at 66000.5 on binance" in summary(proposed(PLAN))
    assert "(real). Exits: at Binance, one cancels the other" in summary(proposed(PLAN))
    assert "Exits:" not in summary(proposed(ORDER))

    closing = ORDER.model_copy(update={"side": "sell", "reduce_only": True})
    assert "SELL            0.0005 BTC/USDT, reduce only: it can only close\n" in question(proposed(closing))


@pytest.mark.parametrize(
    ("exchange", "one", "both"),
    [
        ("binance", "a process of this engine has to run until then", "at Binance, one cancels the other, once"),
        (
            "binancefuturesusd",
            "at Binance USD-M once the order has filled; a process",
            "and to cancel the other after a fill",
        ),
        ("hyperliquid", "once the order has filled; a process", "at Hyperliquid, one cancels the other, once"),
        ("upbit", "held by this engine, only while a process of it runs (Upbit has no stop orders)", ""),
        (
            "gate",
            "held by this engine, only while a process of it runs (Gate.io has trigger orders that cannot be found",
            "",
        ),
        ("gatefutures", "held by this engine, only while a process of it runs (Gate Futures has trigger", ""),
        (
            "lighter",
            "held by this engine, only while a process of it runs (Lighter lets stop orders lapse after 28 days)",
            "",
        ),
        ("polymarket", "held by this engine, only while a process of it runs (Polymarket has no stop orders)", ""),
    ],
)
def test_the_human_reads_who_holds_the_exits(exchange: str, one: str, both: str) -> None:
    market_type = EXCHANGES[cast("ExchangeId", exchange)].market_type
    plan = PLAN.model_copy(update={"exchange": exchange, "market_type": market_type, "label": "breakout"})
    alone = plan.model_copy(update={"take_profit": None})
    [told] = [line for line in question(proposed(plan)).splitlines() if line.startswith("exits")]
    [stop] = [line for line in question(proposed(alone)).splitlines() if line.startswith("exits")]

    assert one in told
    assert one in stop
    assert both in told
    assert not both or both not in stop
    assert "fingerprint" in question(proposed(plan))


def test_the_human_reads_who_holds_the_exits_of_a_paper_order_and_nothing_of_exits_without_any() -> None:
    simulated = question(proposed(PLAN, money="paper", service="embedded"))

    assert (
        "exits           rest on the paper account; bars that close while no process runs are applied when one runs "
        "again" in simulated
    )
    assert "exits" not in question(proposed(ORDER))


def test_a_signature_over_one_plan_is_not_valid_for_another() -> None:
    plain = proposed(ORDER)
    changed = [
        PLAN,
        PLAN.model_copy(update={"stop_loss": Decimal(54_000)}),
        PLAN.model_copy(update={"take_profit": None}),
        ORDER.model_copy(update={"reduce_only": True}),
    ]
    digests = {plain.model_copy(update={"action": action}).digest for action in (ORDER, *changed)}

    assert len(digests) == 5
    for action in changed:
        proposal = plain.model_copy(update={"action": action})
        assert proposal.read(proposal.canonical).action == action


def test_an_order_without_a_plan_is_written_as_before_there_were_any() -> None:
    assert "stop_loss" not in proposed(ORDER).canonical
    assert "reduce_only" not in proposed(ORDER).canonical


@pytest.mark.parametrize(
    "more",
    [{"stop_loss": 1}, {"take_profit": 1_000_000}, {"side": "sell", "reduce_only": True}],
    ids=["stop_loss", "take_profit", "reduce_only"],
)
async def test_the_hosted_service_is_never_sent_what_it_would_leave_out(live: Place, more: dict[str, object]) -> None:
    name = next(each for each in more if each != "side")
    with pytest.raises(InvalidInput, match=f"the hosted service has no {name}"):
        await live.gate.reports.preview(order(**more))
    with pytest.raises(InvalidInput, match=f"the hosted service has no {name}"):
        await live.gate.orders.place(order(**more), "orders_place", "")

    assert live.heard.calls == []
    assert live.ledger.intents() == []


async def test_what_was_approved_is_what_rests(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, paper={"max_notional": Decimal(1_000)}) as place:
        price = await place.price()
        stop, target = round(price * Decimal("0.9")), round(price * Decimal("1.1"))
        dialog = Dialog("yes")
        placed = await place.gate.orders.place_and_follow(
            order(stop_loss=stop, take_profit=target), "place_with_confirmation", "", dialog, 5.0
        )
        intent = place.ledger.intent(str(placed.intent_id))

    assert f"then stop at {stop} or target at {target}" in dialog.questions[0]
    assert intent is not None
    assert isinstance(intent.proposal.action, OrderTerms)
    assert (intent.proposal.action.stop_loss, intent.proposal.action.take_profit) == (stop, target)
    assert (placed.status, placed.stop_loss, placed.take_profit, placed.role) == ("FILLED", stop, target, "entry")


async def test_a_stop_above_the_market_is_refused_before_anyone_is_asked(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, paper={"max_notional": Decimal(1_000)}) as place:
        price = await place.price()
        stop = round(price * Decimal("1.1"))
        dialog = Dialog("yes")
        with pytest.raises(InvalidInput, match=rf"stop_loss {stop} must lie below the market price of {price}"):
            await place.gate.orders.place_and_follow(order(stop_loss=stop), "place_with_confirmation", "", dialog, 5.0)

    assert dialog.questions == []


async def test_a_preview_names_an_exit_on_the_wrong_side(paper: Place) -> None:
    price = await paper.price()
    stop = round(price * Decimal("1.1"))
    seen = await paper.gate.reports.preview(order(stop_loss=stop))

    assert seen.doubts == [
        f"stop_loss {stop} must lie below the market price of {price}: it would close the long at once"
    ]


async def test_resting_exits_count_in_no_limit_of_entries(tmp_path: Path) -> None:
    limits = {"open_orders": 1, "open_orders_symbol": 1, "position_usd": Decimal(120), "no_self_trade": True}
    async with opened(tmp_path / "home", hosted=False, paper={**SIGNED, **limits, "automatic_up_to": 1_000}) as place:
        price = await place.price()
        plan = {"stop_loss": round(price * Decimal("0.9")), "take_profit": round(price * Decimal("1.1"))}
        first = await place.gate.orders.place(order(**plan), "orders_place", "")
        place.clock.advance(120)
        second = await place.gate.orders.place(order(amount="0.0004", **plan), "orders_place", "")

    assert (first.status, second.status) == ("FILLED", "FILLED")


async def test_a_halt_ends_entries_and_keeps_what_protects(paper: Place) -> None:
    price = await paper.price()
    plan = {"stop_loss": round(price * Decimal("0.9")), "take_profit": round(price * Decimal("1.1"))}
    await paper.gate.orders.place(order(**plan), "orders_place", "")
    resting = await paper.gate.orders.place(
        order(order_type="limit", price=round(price * Decimal("0.95")), **plan), "orders_place", ""
    )
    halted = await paper.gate.kill_switch.halt("a test", "tests")

    assert halted.cancelled == [resting.order_id]
    assert halted.failed == []


async def test_an_exit_goes_out_only_as_it_was_approved_and_is_in_the_journal(paper: Place) -> None:
    price = await paper.price()
    stop = round(price * Decimal("0.9"))
    placed = await paper.gate.orders.place(order(stop_loss=stop), "orders_place", "")
    intent = paper.ledger.intent(str(placed.intent_id))
    assert intent is not None
    approved = SentExit("paper-binance", "BTC/USDT", "sell", "stop_loss", Decimal(stop), Decimal("0.0005"))

    wrong = [
        replace(approved, price=Decimal(stop + 1)),
        replace(approved, amount=Decimal("0.0006")),
        replace(approved, side="buy"),
        replace(approved, account_id="paper-gate"),
        replace(approved, role="take_profit"),
    ]
    refused = [permit_exit(paper.ledger, intent.label, each) for each in wrong]
    unknown = permit_exit(paper.ledger, "htm1:nobody", approved)
    allowed = permit_exit(paper.ledger, intent.label, approved)
    event = paper.ledger.latest("exit_sent", intent.intent_id)

    assert all("is not the exit that was approved" in why for why in refused)
    assert unknown == "no order that passed the gate has this exit"
    assert allowed == ""
    assert event is not None
    told = {name: event.body[name] for name in ("role", "price", "amount")}
    assert told == {"role": "stop_loss", "price": str(stop), "amount": "0.0005"}


async def test_no_limit_of_entries_holds_an_exit_back_and_a_halt_does(tmp_path: Path) -> None:
    limits = {**SIGNED, "daily_count": 1, "automatic_up_to": 1_000}
    async with opened(tmp_path / "home", hosted=False, paper=limits) as place:
        stop = round(await place.price() * Decimal("0.9"))
        placed = await place.gate.orders.place(order(stop_loss=stop), "orders_place", "")
        intent = place.ledger.intent(str(placed.intent_id))
        assert intent is not None
        approved = SentExit("paper-binance", "BTC/USDT", "sell", "stop_loss", Decimal(stop), Decimal("0.0005"))

        assert permit_exit(place.ledger, intent.label, approved) == ""
        place.ledger.halt("too much", "tests")
        assert "the kill switch is HALTED (too much)" in permit_exit(place.ledger, intent.label, approved)
