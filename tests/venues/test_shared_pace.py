"""The pace of requests: no minute holds more than an exchange allows, and light requests wait less than heavy ones."""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from pathlib import Path

import pytest

from api.exchanges import ExchangeId
from engine.store.database import Store, default_url
from engine.store.exchange_data import take_turn
from engine.venues.exchange.conventions import CONVENTIONS

HOUR = 3_600_000


def reading(kind: str, **more: object) -> str:
    """The body of a Hyperliquid query."""
    return json.dumps({"type": kind, **more})


def candles(hours: int) -> str:
    """A Hyperliquid query of hours."""
    asked = {
        "coin": "BTC",
        "interval": "1h",
        "startTime": 1_700_000_000_000,
        "endTime": 1_700_000_000_000 + hours * HOUR,
    }
    return reading("candleSnapshot", req=asked)


WEIGHTS = {
    json.dumps({"action": {"type": "order", "orders": [{}]}, "nonce": 1}): 1,
    json.dumps({"action": {"type": "cancelByCloid"}, "nonce": 1}): 1,
    reading("clearinghouseState", user="0x1"): 2,
    reading("spotClearinghouseState", user="0x1"): 2,
    reading("orderStatus", user="0x1", oid=1): 2,
    reading("l2Book", coin="BTC"): 2,
    reading("frontendOpenOrders", user="0x1"): 20,
    reading("userFills", user="0x1"): 20,
    candles(60): 21,
    candles(600): 30,
    candles(5_000): 20 + 5_000 / 60,
    candles(90_000): 20 + 5_000 / 60,
}
"""The weights of requests by Hyperliquid's page on rate limits; it answers with at most 5,000 candles."""


@pytest.mark.parametrize(("body", "weight"), WEIGHTS.items(), ids=range(len(WEIGHTS)))
def test_a_request_takes_the_share_that_hyperliquid_counts(body: str, weight: float) -> None:
    assert CONVENTIONS["hyperliquid"].turns(body) == pytest.approx(weight / 20)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    """The database that the processes of a home share."""
    opened = Store.open(default_url(tmp_path))
    yield opened
    opened.close()


def wait(store: Store, exchange: ExchangeId, now: float, body: str) -> float:
    """The seconds that a request at `now` has to wait."""
    row = CONVENTIONS[exchange]
    return store.write_now(lambda c: take_turn(c, row.ccxt_id, row.interval, row.burst, now, row.turns(body)))


def heaviest_minute(sent: list[tuple[float, float]]) -> float:
    """The most that any 60 seconds hold."""
    return max(sum(weight for at, weight in sent if end - 60 < at <= end) for end, _ in sent)


@pytest.mark.parametrize("seed", range(3))
def test_no_minute_of_hyperliquid_weighs_more_than_1200(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    sent: list[tuple[float, float]] = []
    now = 1_700_000_000.0
    for _ in range(200):
        body, weight = dice.choice(list(WEIGHTS.items()))
        now += dice.choice([0.0, 0.0, 0.2, 30.0 if dice.random() < 0.05 else 0.0])
        now += wait(store, "hyperliquid", now, body)
        sent.append((now, weight))

    assert 600 < heaviest_minute(sent) <= 1_200 + 1e-6


def test_no_minute_of_lighter_has_more_than_60_requests(store: Store) -> None:
    sent: list[tuple[float, float]] = []
    now = 1_700_000_000.0
    for _ in range(100):
        now += wait(store, "lighter", now, "")
        sent.append((now, 1))

    assert 50 < heaviest_minute(sent) <= 60


def test_a_hundred_orders_and_balances_of_hyperliquid_follow_each_other_without_a_wait(store: Store) -> None:
    light = [body for body, weight in WEIGHTS.items() if weight <= 2]

    assert [wait(store, "hyperliquid", 1_700_000_000.0, light[i % len(light)]) for i in range(100)] == [0.0] * 100
