"""Two real processes on one database: neither may spend the other's money or fill the other's fills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.exchanges import EXCHANGES
from api.orders import Order, OrdersRequest, PlaceRequest
from api.times import AcceleratedClock
from engine.access import LOCAL_AGENT
from engine.engine import Engine, EngineSettings
from engine.store.database import Store
from engine.venues.paper.administration import Administration
from tests.postgresql import schema_url

from .conftest import START

ROOT = Path(__file__).parents[4]

WORKER = """
import asyncio, json, sys
from pathlib import Path
from api.errors import HeyTradersError
from api.orders import OrdersRequest, PlaceRequest
from engine.access import LOCAL_AGENT
from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings

home, url, start, count, fields = *sys.argv[1:3], float(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])

async def main():
    clock = AcceleratedClock(start)
    engine = await Engine.open(EngineSettings(Path(home), url), clock)
    outcomes = []
    for _ in range(count):
        try:
            order = engine.venues.paper(LOCAL_AGENT).place(PlaceRequest.model_validate(fields))
            outcomes.append(order.status)
        except HeyTradersError as error:
            outcomes.append(type(error).__name__)
    clock.advance(6 * 3600)
    engine.venues.paper(LOCAL_AGENT).orders(OrdersRequest())
    await engine.aclose()
    print(json.dumps(outcomes))

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.sqlite3'}"
    return schema_url(request.getfixturevalue("postgresql_server"), tmp_path)


def both(home: Path, url: str, count: int, fields: dict[str, Any]) -> Counter[str]:
    """Run the worker twice at once, and count its orders by outcome."""
    command = [sys.executable, "-c", WORKER, str(home), url, str(START), str(count), json.dumps(fields)]
    workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    return Counter(outcome for output in outputs for outcome in json.loads(output))


@pytest.fixture
async def price(tmp_path: Path, url: str) -> Decimal:
    """The simulated market's opening price of bitcoin; opens the database as well."""
    engine = await Engine.open(EngineSettings(tmp_path, url), AcceleratedClock(START))
    bought = engine.venues.paper(LOCAL_AGENT).place(_probe())
    await engine.aclose()
    assert bought.average_price is not None
    return bought.average_price


def _probe() -> PlaceRequest:
    return PlaceRequest.model_validate(
        {"account_id": "paper-gate", "exchange": "gate", "symbol": "BTC/USDT", "side": "buy", "amount": "0.0001"}
    )


@pytest.mark.long
async def test_two_processes_cannot_overspend_one_balance(tmp_path: Path, url: str, price: Decimal) -> None:
    amount = (Decimal(1_000) / price).quantize(Decimal("0.00001"))
    fields = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
    outcomes = both(tmp_path, url, 12, {**fields, "amount": str(amount)})

    # 24 orders of about 1,000 on 10,000: nine fit; the tenth would also need its fee.
    assert outcomes["FILLED"] + outcomes["InsufficientFunds"] == 24
    assert outcomes["FILLED"] in {9, 10}
    await _books_are_sound(tmp_path, url)


@pytest.mark.long
async def test_two_processes_fill_a_resting_order_once(tmp_path: Path, url: str, price: Decimal) -> None:
    """Both settle the same six hours at the same time, over forty orders placed by either."""
    limit = (price * Decimal("0.999")).quantize(Decimal(1))
    fields = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
    outcomes = both(tmp_path, url, 20, {**fields, "amount": "0.001", "order_type": "limit", "price": str(limit)})

    assert outcomes == {"OPEN": 40}
    orders = await _books_are_sound(tmp_path, url)
    resting = [order for order in orders if order.price is not None]
    assert len({order.exchange_order_id for order in resting}) == 40
    assert {order.status for order in resting} == {"FILLED"}
    with _office(url) as office:
        ledger = office.ledger("paper-binance", 10_000)
    bought = sum((row.amount for row in ledger if (row.book, row.asset) == ("free", "BTC")), Decimal(0))
    assert bought == Decimal("0.040")


@pytest.mark.long
async def test_a_thousand_orders_of_two_processes_leave_sound_books(tmp_path: Path, url: str, price: Decimal) -> None:
    amount = (Decimal(25) / price).quantize(Decimal("0.00001"))
    fields = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
    outcomes = both(tmp_path, url, 500, {**fields, "amount": str(amount)})

    # Orders of about 25 on 10,000, each with a fee of 0.1 %: the money runs out before the thousandth.
    worth = amount * price * Decimal("1.001")
    assert outcomes["FILLED"] + outcomes["InsufficientFunds"] == 1_000
    assert abs(outcomes["FILLED"] - Decimal(10_000) / worth) <= 1
    await _books_are_sound(tmp_path, url)


async def _books_are_sound(home: Path, url: str) -> list[Order]:
    engine = await Engine.open(EngineSettings(home, url), AcceleratedClock(START + 7 * 3600))
    listed = engine.venues.paper(LOCAL_AGENT).orders(OrdersRequest.model_validate({"limit": 200}))
    await engine.aclose()
    with _office(url) as office:
        assert office.verify() == {f"paper-{exchange}": [] for exchange in EXCHANGES}
    return list(listed.orders)


@contextmanager
def _office(url: str) -> Generator[Administration]:
    store = Store.open(url)
    yield Administration(store, AcceleratedClock(START), LOCAL_AGENT)
    store.close()
