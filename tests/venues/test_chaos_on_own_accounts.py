"""Kills and faults on own accounts: no order is sent twice, and the account shows what the exchange has.

The long run makes 500 kills at each of four exchanges and prints its figures:

    HEYTRADERS_TEST_KILLS=500 uv run --group dev pytest -n 0 -m slow -s tests/venues/test_chaos_on_own_accounts.py
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections import Counter, deque
from pathlib import Path
from typing import get_args

import anyio
import anyio.to_thread
import pytest

from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.market import open_feed
from engine.store.database import Store, default_url
from engine.store.exchange_data import orders_of
from engine.venues.exchange import session
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.orders import order_id_for
from engine.venues.exchange.reading import AccountReader
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

from . import fake_venue
from .chaos_orders import DEBUG_LOG, LOG
from .fake_binance import FakeBinance
from .fake_polymarket import FakePolymarket
from .fake_venue import Fault, serving, truth
from .test_own_accounts import CREDENTIALS, SECRETS, VENUES, at_once

pytest.importorskip("ccxt")

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("HEYTRADERS_TEST_KILLS", "40"))


class Dice(deque[Fault]):
    """An endless sequence with a fault for two of three orders."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def __bool__(self) -> bool:
        return self._random.random() < 2 / 3

    def popleft(self) -> Fault:
        """Any of them."""
        return self._random.choice(get_args(Fault))


@pytest.mark.slow
async def test_a_fetch_that_is_killed_at_random_is_resumed_and_whole(tmp_path: Path) -> None:
    """Two years of hours: each value is the exchange's, and no kill causes a page to be fetched twice."""
    now, lives = 1_772_366_415, 8
    start = now // 3_600 * 3_600 - 2 * 365 * 24 * 3_600
    fake = FakeBinance(lambda: now)
    with serving(fake) as url:
        span = json.dumps({"now": now, "start": start})
        command = [
            sys.executable,
            "-m",
            "tests.venues.chaos_orders",
            "fetch",
            url,
            str(tmp_path),
            str(lives),
            span,
            "[]",
        ]
        done = await anyio.run_process(command, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        store = Store.open(default_url(tmp_path))
        connector = Connector(store, {"binance": url})
        feed = open_feed(store, AcceleratedClock(now), 7, "exchange", connector)
        found = feed.candles(Instrument("binance", "BTC", "USDT"), "1h", start=start)
        connector.close()
        store.close()

    assert found.time.tolist() == list(range(start, now // 3_600 * 3_600, 3_600))
    closes = [float(truth("BTCUSDT", 3_600, at)[3]) for at in found.time.tolist()]
    assert found.bars.close.tolist() == closes
    assert fake.count("klines") <= 18 + lives


CHAOS = ("binance", "gate", "hyperliquid", "polymarket")


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        pytest.param("binance", 3, marks=pytest.mark.long),
        *(pytest.param(name, KILLS, marks=pytest.mark.slow) for name in CHAOS),
    ],
)
async def test_kills_and_faults_give_no_duplicate_and_no_false_state(
    name: str, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process is killed while it trades, and two of three orders meet a fault. No secret is logged."""
    monkeypatch.setattr(fake_venue, "HANG_SECONDS", 0.05)
    monkeypatch.setattr(session, "take_turn", at_once)
    make, exchange, symbol, price = VENUES[name]
    secrets = CREDENTIALS.get(exchange, SECRETS)
    fake = make()
    if isinstance(fake, FakePolymarket):
        fake.page_size = 1_000
    fake.faults = Dice(len(name))
    terms = {"account_id": "main", "exchange": exchange, "symbol": symbol, "side": "buy", "price": price}
    kind, amount = ("GTC", "12.5") if exchange == "polymarket" else ("limit", "0.0015")
    given = json.dumps({**terms, "order_type": kind, "amount": amount})
    with serving(fake) as url:
        command = [sys.executable, "-m", "tests.venues.chaos_orders", exchange, url, str(tmp_path), str(kills), given]
        done = await anyio.run_process([*command, json.dumps(secrets)], check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        store = Store.open(default_url(tmp_path))
        connector = Connector(store, {exchange: url})
        own = OwnAccount("main", exchange, "", testnet=False, keys=lambda: Keys(secrets))
        reader = AccountReader(store, connector, Markets(store, connector))
        shown = {row.label for row in await anyio.to_thread.run_sync(reader.orders, own)}
        rows = store.read_now(lambda c: orders_of(c, "main"))
        connector.close()
        store.close()

    labels = set((tmp_path / LOG).read_text(encoding="utf-8").split("\n")) - {""}
    ids = {label: order_id_for(exchange, "main", label) for label in labels}
    sent = Counter(one for request in fake.requests if fake.places(request) for one in OUR_ID.findall(request.body))
    at_exchange = Counter(order.client_id for order in fake.orders.values())
    log = (tmp_path / DEBUG_LOG).read_text(encoding="utf-8")
    print(  # noqa: T201 - the figures of a long run
        f"{name}: {kills} kills, {len(labels)} intents, {sum(sent.values())} sent, {len(at_exchange)} orders, "
        f"{max(at_exchange.values(), default=0)} at most of one intent, {len(log)} characters of log"
    )
    assert {row.label for row in rows} <= labels
    assert set(sent) <= set(ids.values())
    assert max(sent.values(), default=0) <= 1
    assert max(at_exchange.values(), default=0) <= 1
    assert shown == {label for label, own_id in ids.items() if own_id in at_exchange}
    assert not [secret for secret in secrets if len(secret) > 30 and secret.removeprefix("0x") in log]
    assert "signature=" not in log
    assert at_exchange
    assert kills < 10 or len(at_exchange) > kills / 2


OUR_ID = re.compile(r'htm[0-9a-f]{32}|t-[0-9a-f]{26}|0x[0-9a-f]{32}(?=")|(?<="salt":)\d+')
"""An id that we chose, in a body."""
