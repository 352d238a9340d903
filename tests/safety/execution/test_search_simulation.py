"""Days of looking for orders in seconds, at venues whose listings are late: no missing order is ever reported as found.

Time is simulated, so each run covers more than a test against a real clock could. The venue has the truth.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from api.client import Client, Retries
from api.transport import embedded
from safety.ledger import Ledger
from safety.sending.reconciliation import Reconciler
from safety.terms.intent import Intent
from safety.terms.proposal import Channels

from .conftest import ORDER, Clock, Search, row
from .venue import Venue, at

LATEST: Final = 40.0
"""Seconds after which no order appears any more; the grace is 60."""

ORDERS: Final = 12


@dataclass
class Truth:
    """The orders that will be placed, and when they become visible."""

    coming: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])
    placed: set[str] = field(default_factory=set[str])

    def plans(self, intent: Intent, moment: float, shown: float, order: dict[str, Any]) -> None:
        """Place the order of an intent at one time and list it at another."""
        self.placed.add(intent.intent_id)
        self.coming.append((shown, {**order, "label": intent.label, "created_at": at(moment)}))

    def show(self, venue: Venue, now: float) -> None:
        """List the orders that have become visible."""
        for each in [due for due in self.coming if due[0] <= now]:
            self.coming.remove(each)
            venue.books(each[1])


@asynccontextmanager
async def searching(home: Path, clock: Clock, *, echoes: bool) -> AsyncGenerator[Search]:
    ledger = Ledger.open(home, now=clock)
    venue = Venue(clock, echoes=echoes)
    client = Client(embedded(venue), source="hosted", retries=Retries(attempts=1), now=clock)
    try:
        ledger.note_labels("venue", echoes)
        yield Search(clock, ledger, venue, client, Reconciler(client, ledger, Channels.hosted("venue"), now=clock))
    finally:
        await client.aclose()
        ledger.close()


async def run(search: Search, chance: random.Random, *, echoes: bool) -> tuple[list[Intent], Truth]:
    """A dozen orders with unknown outcomes among those of strangers, at a venue that is late and often down."""
    truth, intents = Truth(), list[Intent]()
    search.venue.fails = lambda _: chance.random() < 0.3
    for number in range(ORDERS):
        amount = Decimal(chance.choice(("0.001", "0.002", "0.003"))) if echoes else Decimal(number + 1) / 1000
        action = ORDER.model_copy(update={"amount": amount, "account_id": chance.choice(("acc-1", "acc-2"))})
        intent = search.sent(action, state=chance.choice(("UNKNOWN", "UNKNOWN", "SENT")))
        intents.append(intent)
        now = search.clock.now
        if chance.random() < 0.6:
            late = now + chance.uniform(0, LATEST / 2)
            truth.plans(intent, late, late + chance.uniform(0, LATEST / 2), row(action))
        for _ in range(chance.randrange(4)):
            stranger = row(action, amount=chance.choice((5.0, 6.0)), label=None, created_at=at(now))
            truth.coming.append((now + chance.uniform(0, 10), stranger))
        await pass_time(search, truth, chance.uniform(0, 30), chance)
    await pass_time(search, truth, 3600.0, chance, step=30.0)
    return intents, truth


async def pass_time(search: Search, truth: Truth, seconds: float, chance: random.Random, *, step: float = 8.0) -> None:
    end = search.clock.now + seconds
    while search.clock.now < end:
        truth.show(search.venue, search.clock.now)
        await search.reconciler.look()
        search.clock.now += chance.uniform(0.5, step)


@pytest.mark.parametrize(("seed", "echoes"), [(0, True), (1, False)], ids=["labels echoed", "labels dropped"])
async def test_what_is_there_is_found_what_is_not_is_absent_and_nothing_else(
    tmp_path: Path, seed: int, echoes: bool
) -> None:
    await assert_finds_the_truth(tmp_path, seed, echoes=echoes)


@pytest.mark.slow
@pytest.mark.parametrize("echoes", [True, False], ids=["labels echoed", "labels dropped"])
async def test_the_same_three_hundred_times(tmp_path: Path, echoes: bool) -> None:
    for seed in range(300):
        await assert_finds_the_truth(tmp_path / str(seed), seed, echoes=echoes)


async def assert_finds_the_truth(home: Path, seed: int, *, echoes: bool) -> None:
    async with searching(home, Clock(), echoes=echoes) as search:
        intents, truth = await run(search, random.Random(seed), echoes=echoes)
        stands = {each.intent_id: search.booked(each).state for each in intents}
        labels = {made["order_id"]: made["label"] for made in search.venue.rows}
        found = {each.label: search.booked(each).order_id for each in intents if each.intent_id in truth.placed}
        switch = search.ledger.switch()

    assert stands == {each.intent_id: "ACKED" if each.intent_id in truth.placed else "ABSENT" for each in intents}
    assert {label: labels[order_id or ""] for label, order_id in found.items()} == {label: label for label in found}
    assert switch.state == "ACTIVE"
