"""The gate for an agent on paper, in both protocol eras: preview, place, confirm, look up, halt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextResourceContents

from api.orders import PlaceRequest
from api.outputs import table_rows
from resources.trading import BALANCES, JOURNAL, POLICY
from safety.human.in_force import order_words
from safety.human.signing import enrol
from safety.ledger import Ledger
from server.settings import Settings
from tests.calls import refusal, result
from tests.conftest import Connect
from tests.dialogs import CANCELLED, DECLINED, NO, YES, Person
from tools.gated import ConfirmRequest

ACCOUNT: Final = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT"}
MARKET: Final[dict[str, Any]] = {**ACCOUNT, "side": "buy", "amount": "0.001"}
RESTING: Final[dict[str, Any]] = {**MARKET, "order_type": "limit", "price": 10_000, "label": "mine"}
SECONDS: Final = 1


async def text_of(client: Client, uri: str) -> str:
    """The content of a resource."""
    [content] = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def orders(client: Client) -> list[dict[str, Any]]:
    """Every order of the account."""
    listed: list[dict[str, Any]] = table_rows(
        (await result(client, "orders_list", account_id="paper-binance"))["orders"]
    )
    return listed


def limited(settings: Settings, **limits: object) -> Settings:
    """The same home, with limits for paper money in the user's file."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in limits.items()]
    path = settings.home / "policy.toml"
    path.write_text("\n".join(["[paper]", *lines, ""]), encoding="utf-8")
    path.chmod(0o600)
    return settings


async def test_an_order_is_previewed_placed_and_looked_up(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        preview = await result(client, "order_preview", **MARKET)
        before = await orders(client)
        placed = await result(client, "orders_place", **MARKET)
        found = await result(client, "order_intent", intent_id=placed["intent_id"])

    assert (preview["decision"], preview["paper"]) == ("pass", True)
    assert preview["notional_usd"] == pytest.approx(0.001 * preview["quote"])
    assert before == []
    assert (placed["outcome"], placed["intent_state"], placed["status"]) == ("placed", "ACKED", "FILLED")
    assert placed["paper"] is True
    assert (found["state"], found["kind"], found["paper"]) == ("ACKED", "order", True)
    assert "0.001 BTC/USDT" in found["summary"]
    assert found["order"]["order_id"] == placed["order_id"]


async def test_a_label_is_the_callers_own_wherever_the_order_is_shown(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        placed = await result(client, "orders_place", **RESTING)
        listed = await orders(client)
        resting = await result(client, "accounts_open_orders", account_id="paper-binance")
        balances = await result(client, "accounts_balances", account_id="paper-binance")
        resource = json.loads(await text_of(client, BALANCES.format(account_id="paper-binance")))
        intent = await result(client, "order_intent", intent_id=placed["intent_id"])
        cancelled = await result(client, "orders_cancel", order_id=placed["order_id"])

    tables = (resting["orders"], balances["open_orders"], resource["open_orders"])
    shown = [placed, *listed, *(row for table in tables for row in table_rows(table))]
    assert [order["label"] for order in [*shown, intent["order"], cancelled]] == ["mine"] * 7


async def test_no_label_of_ours_is_shown_where_the_caller_gave_none(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        await result(client, "orders_place", **MARKET)
        [order] = await orders(client)

    assert "label" not in order


@pytest.mark.parametrize("reply", [None, YES], ids=["no dialog", "a yes"])
async def test_confirming_places_at_once_on_paper_and_follows_to_the_end(
    connect: Connect, settings: Settings, reply: ElicitResult | None
) -> None:
    person = Person(reply) if reply else None
    async with connect(settings, person) as client:
        placed = await result(client, "place_with_confirmation", **MARKET)

    assert (placed["outcome"], placed["status"]) == ("placed", "FILLED")
    assert placed["confirmed_by"] == ("dialog" if person else "nobody")
    assert "repeated" not in placed
    if person:
        [form] = person.shown
        assert "0.001 BTC/USDT" in form.message
        assert re.search(r"worth +\d+\.\d+ USDT, at worst \d+\.\d+ USD\n", form.message)
        assert form.message.count("\n") < 9


async def test_a_no_in_the_dialog_places_nothing(connect: Connect, settings: Settings) -> None:
    async with connect(settings, Person(NO)) as client:
        said = await refusal(client, "place_with_confirmation", **MARKET)
        placed = await orders(client)

    assert said.startswith("DENIED")
    assert placed == []


async def test_the_dialog_about_a_bet_shows_the_question_of_its_token(connect: Connect, settings: Settings) -> None:
    person = Person(NO)
    async with connect(settings, person) as client:
        listed = await result(client, "market_tickers", exchange="polymarket", limit=1)
        (bet,) = table_rows(listed["tickers"])
        await client.call_tool(
            "place_with_confirmation",
            {
                "account_id": "paper-polymarket", "exchange": "polymarket", "symbol": bet["symbol"], "side": "buy",
                "amount": 10, "order_type": "GTC", "price": "0.01",
            },
        )  # fmt: skip

    assert len(bet["title"]) > 10
    assert f'question        "{bet["title"]}"' in person.shown[0].message


async def test_a_dialog_that_is_declined_ends_the_order_at_once(connect: Connect, settings: Settings) -> None:
    async with connect(settings, Person(DECLINED)) as client:
        said = await refusal(client, "place_with_confirmation", **MARKET, wait_seconds=SECONDS)
        placed = await orders(client)

    assert said.startswith("DENIED: the user said no in the client's dialog")
    assert placed == []


async def test_a_dialog_that_nobody_may_have_seen_is_no_consent(connect: Connect, settings: Settings) -> None:
    async with connect(settings, Person(CANCELLED)) as client:
        waiting = await result(client, "place_with_confirmation", **MARKET, wait_seconds=SECONDS)
        placed = await orders(client)
        found = await result(client, "order_intent", intent_id=waiting["intent_id"])

    assert (waiting["outcome"], waiting["confirmed_by"]) == ("approval_required", "nobody")
    assert "heytraders-mcp approve" in waiting["approval"]["how"]
    assert placed == []
    assert found["state"] == "PENDING"


@pytest.mark.parametrize("era", ["legacy"])
async def test_a_dialog_that_nobody_answers_is_waited_for_as_long_as_was_asked(
    connect: Connect, settings: Settings
) -> None:
    async def stare(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001
        await anyio.sleep_forever()
        return YES

    async with connect(settings, stare) as client:
        with anyio.fail_after(30):
            waiting = await result(client, "place_with_confirmation", **MARKET, wait_seconds=SECONDS)
        placed = await orders(client)

    assert waiting["outcome"] == "approval_required"
    assert placed == []


async def test_what_a_human_has_to_approve_waits_and_says_how(connect: Connect, settings: Settings) -> None:
    heard: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert total is not None
        assert progress <= total
        heard.append(message or "")

    arguments = {**MARKET, "wait_seconds": SECONDS}
    async with connect(limited(settings, ask_a_human=True, automatic_up_to="0")) as client:
        first = await result(client, "orders_place", **MARKET)
        again = await result(client, "orders_place", **MARKET)
        waited = await client.call_tool("place_with_confirmation", arguments, progress_callback=listen)
        status = await result(client, "safety_status")
        placed = await orders(client)

    assert (first["outcome"], first["intent_state"]) == ("approval_required", "PENDING")
    assert first["intent_id"] in first["approval"]["how"]
    assert (again["intent_id"], again["repeated"]) == (first["intent_id"], True)
    assert waited.structured_content is not None
    assert [each["confirmed_by"] for each in (first, again, waited.structured_content)] == ["nobody"] * 3
    assert waited.structured_content["intent_id"] == first["intent_id"]
    assert [message for message in heard if "heytraders-mcp approve" in message]
    assert [each["intent_id"] for each in status["pending"]] == [first["intent_id"]]
    assert placed == []


def approve_in_a_terminal(home: Path) -> str:
    """Does what a human with the passphrase does: sign the one waiting intent."""
    ledger = Ledger.open(home)
    try:
        key = enrol(home, "correct horse battery", cost=2**4)
        ledger.pin_approver(key.approver.public_key)
        [intent] = ledger.intents(states={"PENDING"})
        ledger.approve(intent.intent_id, signature=key.sign(order_words(intent)), key_id=key.key_id)
    finally:
        ledger.close()
    return intent.intent_id


async def test_what_is_approved_elsewhere_while_the_call_waits_is_placed_once(
    connect: Connect, settings: Settings
) -> None:
    approved: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert total is None or progress <= total
        if not approved and "heytraders-mcp approve" in (message or ""):
            approved.append(await anyio.to_thread.run_sync(approve_in_a_terminal, settings.home))

    async with connect(limited(settings, ask_a_human=True, automatic_up_to="0")) as client:
        placed = await client.call_tool("place_with_confirmation", MARKET, progress_callback=listen)
        listed = await orders(client)

    assert placed.structured_content is not None, placed.content
    assert [placed.structured_content["intent_id"]] == approved
    assert (placed.structured_content["outcome"], placed.structured_content["status"]) == ("placed", "FILLED")
    assert placed.structured_content["confirmed_by"] == "terminal"
    assert [order["order_id"] for order in listed] == [placed.structured_content["order_id"]]


async def test_a_limit_denies_with_its_numbers_and_the_suggestion_passes(connect: Connect, settings: Settings) -> None:
    too_much = {**MARKET, "amount": "1"}
    async with connect(limited(settings, max_notional="50")) as client:
        preview = await result(client, "order_preview", **too_much)
        said = await refusal(client, "orders_place", **too_much)
        placed = await orders(client)
        repaired = await result(client, "order_preview", **preview["suggestion"])
        accepted = await result(client, "orders_place", **{**preview["suggestion"], "amount": "0.0003"})

    assert (preview["decision"], preview["rule"]) == ("deny", "R08_MAX_NOTIONAL")
    assert "50" in preview["reason"]
    assert said.startswith("DENIED: R08_MAX_NOTIONAL")
    assert "50" in said
    assert placed == []
    assert repaired["decision"] == "pass"
    assert accepted["outcome"] == "placed"


async def test_the_kill_switch_stops_orders_and_lets_cancels_through(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        resting = await result(client, "orders_place", **RESTING)
        trading = await result(
            client, "live_subscribe", strategy_id="rsi-reversion", mode="trade", account_id="paper-binance"
        )
        halted = await result(client, "safety_halt", reason="the market looks wrong")
        again = await result(client, "safety_halt", reason="still")
        status = await result(client, "safety_status")
        preview = await result(client, "order_preview", **MARKET)
        said = [
            await refusal(client, "orders_place", **MARKET),
            await refusal(client, "place_with_confirmation", **MARKET),
            await refusal(
                client, "live_resume", strategy_id="rsi-reversion", subscription_id=trading["subscription_id"]
            ),
        ]
        [order] = await orders(client)
        paused = await result(client, "live_subscription_get", subscription_id=trading["subscription_id"])
        ended = await result(client, "live_unsubscribe", subscription_id=trading["subscription_id"])

    assert halted["cancelled"] == [resting["order_id"]]
    assert halted["paused"] == [trading["subscription_id"]]
    assert again["switch"] == "HALTED"
    assert (status["switch"], preview["decision"]) == ("HALTED", "deny")
    assert "the market looks wrong" in status["switch_reason"]
    assert [text for text in said if "heytraders-mcp release" not in text] == []
    assert (order["status"], paused["status"], ended["status"]) == ("CANCELLED", "paused", "unsubscribed")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"reason": "fills\x1b[31m look\u202e odd\n"}, "fills[31m look odd"),
        ({"reason": "x" * 5_000}, f"{'x' * 299}…"),
        ({"reason": " \u200b"}, "no reason was given"),
        ({"reason": 7}, "7"),
        ({}, "no reason was given"),
    ],
)
async def test_a_halt_is_never_refused_for_its_wording(
    connect: Connect, settings: Settings, given: dict[str, Any], kept: str
) -> None:
    async with connect(settings) as client:
        halted = await result(client, "safety_halt", **given)
        status = await result(client, "safety_status")

    assert halted["switch"] == "HALTED"
    assert status["switch_reason"] == kept


async def test_a_cancel_needs_no_switch_and_no_ledger(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        placed = await result(client, "orders_place", **RESTING)
    (settings.home / "safety.db").write_bytes(b"not a database")
    async with connect(settings) as client:
        cancelled = await result(client, "orders_cancel", order_id=placed["order_id"])
        said = await refusal(client, "orders_place", **MARKET)

    assert cancelled["status"] == "CANCELLED"
    assert "INTERNAL_ERROR" not in said


async def test_status_policy_and_journal_tell_the_current_state(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        placed = await result(client, "orders_place", **MARKET)
        status = await result(client, "safety_status")
        policy = await text_of(client, POLICY)
        journal = await text_of(client, JOURNAL)

    assert (status["mode"], status["switch"]) == ("paper", "ACTIVE")
    assert status["assurance"] in {"none", "elicitation", "passphrase", "separate"}
    assert status["assurance_reason"]
    assert "paper" in policy.lower()
    assert placed["intent_id"] in journal


async def test_an_intent_that_is_none_is_said_to_be_unknown(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        said = [
            await refusal(client, "order_intent", intent_id="01JD0000000000000000000000"),
            await refusal(client, "order_intent", intent_id="nothing"),
        ]

    assert said[0].replace("01JD0000000000000000000000", "nothing") == said[1]


async def test_deployments_posts_and_profiles_wait_for_a_human_where_the_policy_says_so(
    connect: Connect, settings: Settings
) -> None:
    trade = {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": "paper-binance"}
    async with connect(limited(settings, ask_for_standing=True, ask_to_publish=True)) as client:
        answers = [
            await result(client, "live_subscribe", **trade),
            await result(client, "arena_post", category="show_tell", title="What I found"),
            await result(client, "arena_profile_update", description="A test"),
        ]
        subscriptions = (await result(client, "live_subscriptions_list"))["subscriptions"]
        looked_up = [await result(client, "order_intent", intent_id=each["approval"]["intent_id"]) for each in answers]
        profile = await result(client, "arena_profile")

    assert [each["outcome"] for each in answers] == ["approval_required"] * 3
    assert [each["kind"] for each in looked_up] == ["standing", "publication", "publication"]
    assert subscriptions == []
    assert profile["stats"]["posts"] == 0


@pytest.mark.parametrize("seconds", [1, 45, "7"])
def test_the_order_within_a_confirmation_is_the_order_alone(seconds: object) -> None:
    confirmed = ConfirmRequest.model_validate({**RESTING, "wait_seconds": seconds})

    assert confirmed.order() == PlaceRequest.model_validate(RESTING)


@pytest.mark.parametrize("seconds", [0, 46, -1, 1.5, "soon", True])
async def test_nobody_is_waited_for_longer_than_clients_do(connect: Connect, seconds: object) -> None:
    async with connect() as client:
        said = await refusal(client, "place_with_confirmation", **MARKET, wait_seconds=seconds)

    assert said.startswith("VALIDATION_ERROR")
    assert "wait_seconds" in said
