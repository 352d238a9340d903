"""A ledger in a temporary folder, at noon."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from safety.ledger import Ledger

from .books import Clock


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def clock() -> Clock:
    """Noon UTC, until a test moves it."""
    return Clock()


@pytest.fixture
def ledger(home: Path, clock: Clock) -> Generator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(home, now=clock)
    yield opened
    opened.close()
