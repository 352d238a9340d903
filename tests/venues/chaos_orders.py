"""A process that places orders or fetches candles and is killed again and again: `python -m tests.venues.chaos_orders`.

It imports once and forks for each life, so that a kill costs no start. Each label is logged before its order is placed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from api.errors import HeyTradersError
from api.orders import PlaceRequest
from api.symbols import Instrument
from engine.clock import AcceleratedClock
from engine.feeds.market import open_feed
from engine.store.database import Store, default_url
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

LOG = "labels.txt"


def main(what: str, url: str, home: str, kills: int, terms: str, secrets: str) -> None:
    """Live and die `kills` times: `what` is an exchange to place orders at, or `fetch`."""
    import ccxt.async_support
    import ccxt.prediction

    assert ccxt.async_support.__version__ == ccxt.prediction.__version__
    dice = random.Random(kills)
    for life in range(kills):
        child = os.fork()
        if child == 0 and what == "fetch":
            _fetch(url, Path(home), json.loads(terms))
        elif child == 0:
            _live(what, url, Path(home), life, json.loads(terms), tuple(json.loads(secrets)))
        time.sleep(dice.uniform(0.2, 2.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _live(exchange: str, url: str, home: Path, life: int, terms: dict[str, str], secrets: tuple[str, ...]) -> NoReturn:
    store = Store.open(default_url(home))
    connector = Connector(store, {exchange: url})  # pyright: ignore[reportArgumentType] - the caller names an exchange
    own = OwnAccount("main", exchange, "", testnet=False, keys=lambda: Keys(secrets))  # pyright: ignore[reportArgumentType] - likewise
    accounts = ExchangeAccounts(store, connector, Markets(store, connector), lambda: [own], real_prices=True)
    log = os.open(home / LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    for number in range(10_000):
        label = f"life {life} order {number}"
        os.write(log, f"{label}\n".encode())
        with suppress(HeyTradersError):
            accounts.place(PlaceRequest.model_validate({**terms, "label": label}))
    os._exit(0)


def _fetch(url: str, home: Path, span: dict[str, int]) -> NoReturn:
    store = Store.open(default_url(home))
    connector = Connector(store, {"binance": url})
    feed = open_feed(store, AcceleratedClock(span["now"]), 7, "exchange", connector)
    feed.candles(Instrument("binance", "BTC", "USDT"), "1h", start=span["start"])
    time.sleep(60)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6])
