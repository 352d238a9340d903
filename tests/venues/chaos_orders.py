"""A process that places orders or fetches candles and is killed repeatedly: `python -m tests.venues.chaos_orders`.

It imports once and forks for each run, so that a kill costs no startup. Each run first requests its open orders; its
time counts from its first order. Each label is logged before its order is placed.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from api.accounts import OpenOrdersRequest
from api.errors import HeyTradersError
from api.orders import PlaceRequest
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.market import open_feed
from engine.store.database import Store, default_url
from engine.venues.exchange import accounts as accounts_module
from engine.venues.exchange import session
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

LOG = "labels.txt"
DEBUG_LOG = "debug.log"
ORDERS = 8
"""Maximum number of orders per run."""


def main(what: str, url: str, home: str, kills: int, terms: str, secrets: str) -> None:
    """Start and die `kills` times. `what` is an exchange for orders, or `fetch`."""
    import ccxt.async_support
    import ccxt.prediction

    assert ccxt.async_support.__version__ == ccxt.prediction.__version__
    dice = random.Random(kills)
    log = Path(home) / LOG
    log.touch()
    for life in range(kills):
        known = log.stat().st_size
        child = os.fork()
        if child == 0 and what == "fetch":
            _fetch(url, Path(home), json.loads(terms))
        elif child == 0:
            _live(what, url, Path(home), life, json.loads(terms), tuple(json.loads(secrets)))
        while what != "fetch" and log.stat().st_size == known:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.2, 2.5) if what == "fetch" else dice.uniform(0.0, 0.8))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _live(exchange: str, url: str, home: Path, life: int, terms: dict[str, str], secrets: tuple[str, ...]) -> NoReturn:
    store = Store.open(default_url(home))
    logging.basicConfig(filename=home / DEBUG_LOG, level=logging.DEBUG)
    session.take_turn = _at_once
    setattr(accounts_module, "_LOOK_SECONDS", 0.01)  # noqa: B010 - not part of its interface
    connector = Connector(store, {exchange: url})  # pyright: ignore[reportArgumentType] - the caller names an exchange
    own = OwnAccount("main", exchange, "", testnet=False, keys=lambda: Keys(secrets))  # pyright: ignore[reportArgumentType] - likewise
    accounts = ExchangeAccounts(store, connector, Markets(store, connector), lambda: [own], real_prices=True)
    log = os.open(home / LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    with suppress(HeyTradersError):
        accounts.open_orders(OpenOrdersRequest(account_id="main", symbol=terms["symbol"]))
    for number in range(ORDERS):
        label = f"life {life} order {number}"
        os.write(log, f"{label}\n".encode())
        with suppress(HeyTradersError):
            accounts.place(PlaceRequest.model_validate({**terms, "label": label}))
    time.sleep(60)
    os._exit(0)


def _at_once(*_: object) -> float:
    """No rate limit delays a request."""
    return 0.0


def _fetch(url: str, home: Path, span: dict[str, int]) -> NoReturn:
    store = Store.open(default_url(home))
    connector = Connector(store, {"binance": url})
    feed = open_feed(store, AcceleratedClock(span["now"]), 7, "exchange", connector)
    feed.candles(Instrument("binance", "BTC", "USDT"), "1h", start=span["start"])
    time.sleep(60)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6])
