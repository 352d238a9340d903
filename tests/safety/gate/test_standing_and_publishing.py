"""The other actions that pass the gate: trading by itself, delivery to an address, and publication."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from api.arena import PostRequest, ProfileUpdateRequest
from api.backtests import BACKTEST_EXECUTE, BACKTEST_STATUS, BacktestRequest, ExecuteRequest
from api.errors import Denied, InvalidInput
from api.live import (
    LIVE_PAUSE,
    LIVE_SUBSCRIBE,
    SubscribeRequest,
    SwitchRequest,
    WebhookSetRequest,
    WebhookTestRequest,
)
from safety.face import GatedSubscription
from safety.human.screen import question
from safety.terms.proposal import DeploymentTerms

from .conftest import ACCOUNT, SIGNED, Place, opened

HOOK: Final = "https://hooks.example.com/trades"
POST: Final = PostRequest.model_validate({"category": "show_tell", "title": "A quiet week", "content": "Nothing new."})


def trading(**terms: Any) -> SubscribeRequest:
    """A strategy that places orders by itself."""
    return SubscribeRequest.model_validate(
        {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": ACCOUNT, **terms}
    )


async def test_a_strategy_that_only_signals_is_deployed_at_once(unsigned: Place) -> None:
    request = SubscribeRequest.model_validate({"strategy_id": "rsi-reversion"})
    deployed = await unsigned.gate.deployments.subscribe(request, "live_subscribe", "")

    assert (deployed.mode, deployed.status, deployed.outcome) == ("signal", "active", None)
    assert unsigned.ledger.intents() == []


async def test_on_paper_a_strategy_trades_at_once_and_is_an_intent(paper: Place) -> None:
    deployed = await paper.gate.deployments.subscribe(trading(), "live_subscribe", "")
    [intent] = paper.ledger.intents()

    assert (deployed.mode, deployed.status, deployed.paper) == ("trade", "active", True)
    assert "hosted" not in (deployed.next_step or "")
    assert (intent.state, intent.order_id) == ("ACKED", deployed.subscription_id)


async def test_with_real_money_a_strategy_that_trades_needs_a_signed_policy(unsigned: Place) -> None:
    with pytest.raises(Denied) as denied:
        await unsigned.gate.deployments.subscribe(trading(), "live_subscribe", "")

    assert denied.value.message.startswith("R01_MODE: ")
    assert unsigned.heard.calls == []


async def test_with_real_money_a_strategy_that_trades_waits_for_a_human(live: Place) -> None:
    asked = await live.gate.deployments.subscribe(trading(), "live_subscribe", "")
    before = list(live.heard.changes)
    assert asked.approval is not None
    await live.approve(asked.approval.intent_id)
    deployed = await live.gate.deployments.subscribe(trading(), "live_subscribe", "")

    assert (asked.outcome, before) == ("approval_required", [])
    assert f'order_intent(intent_id="{asked.approval.intent_id}")' in (asked.next_step or "")
    assert (deployed.mode, deployed.status) == ("trade", "active")
    assert live.heard.changes == ["POST /live-strategies/rsi-reversion/subscribe"]


async def test_orders_that_the_policy_would_refuse_are_listed_before_a_human_approves(tmp_path: Path) -> None:
    """A strategy on three coins, of which the policy allows two, and one whose exits are market orders."""
    async with opened(tmp_path / "coins", hosted=True, live=SIGNED) as place:
        coins = await place.gate.deployments.subscribe(trading(), "live_subscribe", "")
        shown = await screen_of(place, coins)
    limits = {**SIGNED, "order_types": frozenset({"limit"}), "max_standing": 2}
    async with opened(tmp_path / "exits", hosted=True, live=limits) as place:
        tested = await backtested(place, entry(limit="close * 0.99"), leave=True)
        exits = await place.gate.deployments.subscribe(trading(strategy_id=tested), "live_subscribe", "")
        resting = await backtested(place, entry(limit="close * 0.99", stop_loss="0.1"), leave=False)
        quiet = await place.gate.deployments.subscribe(trading(strategy_id=resting), "live_subscribe", "")

    refused = "The policy would refuse orders in BINANCE:SOL/USDT: R04_SYMBOL_ALLOW, the symbol SOL/USDT."
    assert (coins.next_step or "").endswith(refused)
    assert refused in shown
    itself = "The hosted service places its orders itself: limits on single orders do not apply to them."
    assert (itself in (coins.next_step or ""), itself in shown) == (True, True)
    assert "does not say whether stops and targets rest at the exchange" in shown
    assert (exits.next_step or "").endswith(
        "The policy would refuse its exits on a signal, which are market orders (R05_ORDER_TYPE)."
    )
    assert "refuse" not in (quiet.next_step or "")


async def screen_of(place: Place, asked: GatedSubscription) -> str:
    """What the human sees who is asked."""
    assert asked.approval is not None
    intent = place.ledger.intent(asked.approval.intent_id)
    assert intent is not None
    return " ".join(question(intent.proposal).split())


def entry(**options: str) -> str:
    """An entry of a script."""
    named = "".join(f", {name}={value}" for name, value in options.items())
    return f'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.1){named}))\n'


async def backtested(place: Place, script: str, *, leave: bool) -> str:
    """The result of a backtest of a script, which may leave on a signal."""
    body = {"strategy_type": "signal", "universe": ["BINANCE:BTC/USDT"], "start_date": "2025-06-01"}
    body |= {"end_date": "2025-06-10", "script": script + leave * "emit_signal(rsi(close, 14) > 60, exit(TICKER))\n"}
    started = await place.context.client.call(BACKTEST_EXECUTE, ExecuteRequest.model_validate(body))
    with anyio.fail_after(60):
        while True:
            asked = BacktestRequest(backtest_id=started.backtest_id or "")
            job = await place.context.client.call(BACKTEST_STATUS, asked)
            if job.result_id is not None:
                return job.result_id
            await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"symbols": frozenset({"SOL/USDT"})}, "R04_SYMBOL_ALLOW"),
        ({"exchanges": frozenset({"upbit"})}, "R03_VENUE_ALLOW"),
        ({"market_types": frozenset({"perpetual"})}, "R03_VENUE_ALLOW"),
        ({"max_amount": {"SOL/USDT": Decimal(1)}}, "R07_MAX_AMOUNT"),
        ({"order_types": frozenset({"limit"})}, "R05_ORDER_TYPE, they are market orders"),
    ],
)
async def test_a_strategy_of_which_the_policy_would_refuse_every_order_is_not_deployed(
    tmp_path: Path, limits: dict[str, Any], rule: str
) -> None:
    async with opened(tmp_path / "home", hosted=True, live={**SIGNED, **limits}) as place:
        with pytest.raises(Denied, match=f"refuse every (order|entry) .*{rule}"):
            await place.gate.deployments.subscribe(trading(), "live_subscribe", "")
        changes, intents = place.heard.changes, place.ledger.intents()

    assert (changes, intents) == ([], [])


async def test_a_strategy_with_more_leverage_than_the_policy_allows_is_not_deployed(tmp_path: Path) -> None:
    everywhere = dict.fromkeys(("accounts", "symbols", "max_amount"))
    limits = {**SIGNED, **everywhere, "market_types": frozenset({"perpetual"}), "max_leverage": 0}
    leveraged = trading(strategy_id="ema-trend-long-short", account_id="paper-binancefuturesusd")
    async with opened(tmp_path / "home", hosted=True, live=limits) as place:
        with pytest.raises(Denied, match="R11_LEVERAGE, leverage 1 where at most 0 is allowed"):
            await place.gate.deployments.subscribe(leveraged, "live_subscribe", "")


async def test_resuming_what_trades_waits_for_a_human_and_what_signals_does_not(live: Place) -> None:
    call = live.context.client.call
    trades = await call(LIVE_SUBSCRIBE, trading())
    signals = await call(LIVE_SUBSCRIBE, SubscribeRequest.model_validate({"strategy_id": "rsi-reversion"}))
    switches = [
        SwitchRequest(strategy_id="rsi-reversion", subscription_id=each.subscription_id or "")
        for each in (trades, signals)
    ]
    for switch in switches:
        await call(LIVE_PAUSE, switch)
    live.heard.calls.clear()
    waiting = await live.gate.deployments.resume(switches[0], "live_resume", "")
    resumed = await live.gate.deployments.resume(switches[1], "live_resume", "")
    [intent] = live.ledger.intents()

    assert waiting.outcome == "approval_required"
    assert (resumed.mode, resumed.status) == ("signal", "active")
    assert isinstance(intent.proposal.action, DeploymentTerms)
    assert intent.proposal.action.account_id == ACCOUNT
    assert live.heard.changes == [f"POST /live-strategies/rsi-reversion/resume/{signals.subscription_id}"]


async def test_what_a_human_reads_is_the_strategy_that_would_run(live: Place) -> None:
    call = live.context.client.call
    deployed = await call(LIVE_SUBSCRIBE, trading())
    other = SwitchRequest(strategy_id="buy-and-hold", subscription_id=deployed.subscription_id or "")

    with pytest.raises(InvalidInput, match="rsi-reversion"):
        await live.gate.deployments.resume(other, "live_resume", "")
    assert live.ledger.intents() == []


async def test_pausing_one_strategy_makes_room_for_another_and_only_that_does(live: Place) -> None:
    asked = await live.gate.deployments.subscribe(trading(), "live_subscribe", "")
    await live.approve(asked.approval.intent_id if asked.approval else "")
    deployed = await live.gate.deployments.subscribe(trading(), "live_subscribe", "")
    with pytest.raises(Denied, match="R30_STANDING"):
        await live.gate.deployments.subscribe(trading(strategy_id="buy-and-hold"), "live_subscribe", "")
    switch = SwitchRequest(strategy_id="rsi-reversion", subscription_id=deployed.subscription_id or "")
    await live.context.client.call(LIVE_PAUSE, switch)
    second = await live.gate.deployments.subscribe(trading(strategy_id="buy-and-hold"), "live_subscribe", "")
    assert second.outcome == "approval_required"
    with pytest.raises(Denied, match="R30_STANDING"):
        await live.gate.deployments.resume(switch, "live_resume", "")


async def test_only_hosts_that_the_user_has_signed_are_called(tmp_path: Path) -> None:
    hosts = {**SIGNED, "webhook_hosts": frozenset({"hooks.example.com"})}
    async with opened(tmp_path / "home", hosted=True, live=hosts, webhook_secret="users-own-secret") as live:
        signals = await live.context.client.call(
            LIVE_SUBSCRIBE, SubscribeRequest.model_validate({"strategy_id": "rsi-reversion"})
        )
        name = signals.subscription_id or ""
        configured = await live.gate.deployments.set_webhook(WebhookSetRequest(subscription_id=name, url=HOOK))
        live.heard.calls.clear()
        refused: list[str] = []
        for terms in (
            {"url": "https://hooks.example.com.evil.test/x"},
            {"url": "https://169.254.169.254/latest"},
            {"url": HOOK, "secret": "chosen-by-the-model"},
        ):
            with pytest.raises(Denied) as denied:
                await live.gate.deployments.set_webhook(
                    WebhookSetRequest.model_validate({"subscription_id": name, **terms})
                )
            with pytest.raises(Denied) as untried:
                await live.gate.deployments.test_webhook(WebhookTestRequest.model_validate(terms))
            refused += [denied.value.message, untried.value.message]

    assert configured.url == HOOK
    assert all(message.startswith("R31_WEBHOOK: ") for message in refused)
    assert not any("chosen-by-the-model" in message for message in refused)
    assert live.heard.changes == []


async def test_a_deployment_with_a_strangers_address_is_denied_in_either_mode(live: Place) -> None:
    for request in (trading(webhook={"url": HOOK}), trading(mode="signal", webhook={"url": HOOK})):
        with pytest.raises(Denied) as denied:
            await live.gate.deployments.subscribe(request, "live_subscribe", "")
        assert "R31_WEBHOOK" in denied.value.message

    assert live.heard.changes == []


async def test_on_paper_a_webhook_takes_any_address_and_secret(paper: Place) -> None:
    request = trading(webhook={"url": HOOK, "secret": "a-secret-of-eight"})
    deployed = await paper.gate.deployments.subscribe(request, "live_subscribe", "")

    assert deployed.webhook is not None
    assert deployed.webhook.url == HOOK
    assert "a-secret-of-eight" not in json.dumps([dict(event.body) for event in paper.ledger.events()], default=str)


async def test_a_post_of_the_embedded_engine_is_published_at_once(paper: Place) -> None:
    post = await paper.gate.publications.post(POST, "arena_post", "")
    profile = await paper.gate.publications.profile(
        ProfileUpdateRequest(display_name="Ada"), "arena_profile_update", ""
    )

    assert (post.title, post.outcome) == ("A quiet week", None)
    assert (profile.display_name, profile.outcome) == ("Ada", None)


async def test_a_public_post_waits_for_a_human_and_is_published_once(live: Place) -> None:
    asked = await live.gate.publications.post(POST, "arena_post", "")
    before = list(live.heard.changes)
    assert asked.approval is not None
    await live.approve(asked.approval.intent_id)
    posted = await live.gate.publications.post(POST, "arena_post", "")
    report = await live.gate.reports.intent(asked.approval.intent_id)

    assert (asked.outcome, before) == ("approval_required", [])
    assert posted.title == "A quiet week"
    assert (report.state, report.kind) == ("ACKED", "publication")
    assert live.heard.changes == ["POST /arena/posts"]


@pytest.mark.parametrize("leak", ["account", "balance"])
async def test_a_post_that_gives_away_the_account_is_denied(live: Place, leak: str) -> None:
    looked = await live.context.judge.gathering.facts(
        _publication(), frozenset({"texts"}), live.context.channels.common
    )
    text = ACCOUNT if leak == "account" else next(each for each in looked.known_texts if each[0].isdigit())
    with pytest.raises(Denied) as denied:
        await live.gate.publications.post(POST.model_copy(update={"content": f"I hold {text} now"}), "arena_post", "")

    assert denied.value.message.startswith("R32_PUBLISH: ")
    assert live.heard.changes == []


def _publication() -> Any:
    from safety.terms.proposal import PublicationTerms

    return PublicationTerms(action="post", body="{}")


async def test_a_profile_change_waits_for_a_human(live: Place) -> None:
    request = ProfileUpdateRequest(description="I trade carefully")
    asked = await live.gate.publications.profile(request, "arena_profile_update", "")

    assert asked.outcome == "approval_required"
    assert live.heard.changes == []


async def test_an_approval_for_one_thing_is_worth_nothing_for_another(live: Place) -> None:
    asked = await live.gate.publications.post(POST, "arena_post", "")
    assert asked.approval is not None
    await live.approve(asked.approval.intent_id)
    other = await live.gate.publications.post(POST.model_copy(update={"title": "Another"}), "arena_post", "")

    assert other.outcome == "approval_required"
    assert live.heard.changes == []
