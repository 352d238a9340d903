"""The intents that a search for another intent must leave alone."""

from __future__ import annotations

from safety.terms.proposal import DeploymentTerms

from .conftest import ORDER, Search

DEPLOY = DeploymentTerms(action="subscribe", strategy_id="rsi", account_id="acc-1")
LISTED = {"subscription_id": "sub-1", "strategy_id": "rsi", "mode": "trade", "account_id": "acc-1"}


async def test_a_deployment_that_is_just_being_sent_is_left_to_its_sender(search: Search) -> None:
    resumed = DeploymentTerms(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-9")
    sending, doubtful = search.sent(DEPLOY, state="SENT"), search.sent(resumed)
    search.venue.subscriptions = [LISTED]

    await search.reconciler.look()

    assert (search.booked(sending).state, search.booked(doubtful).sweeps) == ("SENT", 1)


async def test_a_look_at_one_account_says_nothing_of_another(search: Search) -> None:
    here = search.sent()
    await search.reconciler.look()
    there = search.sent(ORDER.model_copy(update={"account_id": "acc-2"}))

    search.clock.now += 1
    search.venue.fails = lambda call: "acc-2" in call
    await search.looks_at_all()

    assert (search.booked(here).sweeps, search.booked(there).sweeps) == (2, 0)
