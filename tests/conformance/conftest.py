"""One world for all tests of the folder, since settling it runs a backtest."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from engine.clock import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.live import LiveSettings

from .world import World

NOON = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""


@contextmanager
def settled(home: Path) -> Generator[World]:
    """An engine whose time stands still, with something of everything in it."""
    settings = EngineSettings(
        home, jobs=JobSettings(slots=1), live=LiveSettings(in_background=False, webhooks_to_loopback=True)
    )
    engine = anyio.run(Engine.open, settings, AcceleratedClock(NOON))
    made = World(engine, anyio.run(engine.access.local_key))
    anyio.run(made.settle)
    yield made
    anyio.run(engine.aclose)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """One for all tests that leave it as it is, but for an order or a backtest more."""
    with settled(tmp_path_factory.mktemp("conformance")) as made:
        yield made
