"""One shared world for the folder, because setting it up runs a backtest."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.live import LiveSettings

from .world import World

NOON = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""


@contextmanager
def settled(home: Path) -> Generator[World]:
    """An engine with a stopped clock and at least one object of every kind."""
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
    """One world for all tests that do not change it, apart from an additional order or backtest."""
    with settled(tmp_path_factory.mktemp("conformance")) as made:
        yield made
