"""Fixtures of the tests of exits on own accounts."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.venues.exchange import plans as plans_module
from engine.venues.exchange import session

from .fake_venue import serving
from .own_exits import AT_VENUE, Setup


@pytest.fixture(params=AT_VENUE)
def setup(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Setup]:
    """An account at the exchange that a test is parametrized with, at a price of 30,000."""
    from .test_own_accounts import VENUES, at_once  # skips where ccxt is not installed

    monkeypatch.setattr(session, "take_turn", at_once)
    monkeypatch.setattr(plans_module, "_RESTING_SECONDS", 0.0)
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOK_SECONDS", 0.01)
    make, exchange, symbol, _ = VENUES[request.param]
    fake = make()
    fake.last = Decimal(30_000)
    with serving(fake) as url:
        made = Setup(tmp_path, url, fake, exchange, symbol)
        yield made
        made.close()
