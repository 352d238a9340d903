"""Which layer may import which, as `pyproject.toml` states it, and that orders have only one path to money."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PRODUCT = ("api", "engine", "prompts", "resources", "safety", "server", "tools")
REACHES_MONEY = frozenset({"place", "cancel", "set_exits"})

SECOND_DOORS = {
    "engine/live/shortcut.py": "from engine.venues.exchange.accounts import ExchangeAccounts",
    "engine/routes/shortcut.py": "from engine.venues.paper.accounts import PaperAccounts",
    "engine/research/shortcut.py": "from engine.venues.venue import Venues",
    "engine/live/client.py": "from api.client import Client",
    "server/shortcut.py": "from engine.venues.exchange.orders import arguments",
    "safety/policy/shortcut.py": "from safety.sending.execution import OrderSender",
    "tools/shortcut.py": "from safety.sending.execution import OrderSender",
    "engine/jobs/shortcut.py": "import ccxt",
}
"""Modules that would reach money without the gate or the venue port."""


def test_no_layer_reaches_where_it_must_not() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_a_second_door_to_money_is_found(tmp_path: Path) -> None:
    """Each violation is added to a copy of the product, and the import contracts report it."""
    for folder in PRODUCT:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, line in SECOND_DOORS.items():
        (tmp_path / path).write_text(f"{line}\n", encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; lint_imports(no_cache=True)"],
        cwd=tmp_path, env={**os.environ, "COLUMNS": "500", "PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    named = checked.stdout.replace("\n", " ")
    for path in SECOND_DOORS:
        module = path.removesuffix(".py").replace("/", ".")
        assert module in named, f"{module} was not found: {checked.stdout[-2_000:]} {checked.stderr[-2_000:]}"


def calls(source: str) -> Iterator[tuple[str, str]]:
    """Receiver and name of every method call in a source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr


def sources(folder: str) -> Iterator[tuple[str, str]]:
    """Path and text of every module of a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def around_the_door(path: str, source: str) -> list[str]:
    """Calls in live strategies that place or cancel orders through anything but their order door."""
    found = [f"{receiver}.{name}" for receiver, name in calls(source) if name in REACHES_MONEY]
    return [] if path == "engine/live/door.py" else [call for call in found if "door" not in call.split(".")[-2]]


@pytest.mark.long
def test_live_strategies_place_and_cancel_through_their_door_only() -> None:
    assert around_the_door("engine/live/trading.py", "self._venues.of(agent, account).place(order)") != []
    found = [call for path, source in sources("engine/live") for call in around_the_door(path, source)]

    assert found == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "receiver", "home"),
    [
        ("send_once", "", ("api/client.py", "api/transport.py", "safety/sending/execution.py")),
        ("write", "connector", ("engine/venues/exchange/accounts.py",)),
    ],
)
def test_one_module_sends(name: str, receiver: str, home: tuple[str, ...]) -> None:
    """One POST in the gate, and one call that changes something at an exchange."""
    found = {
        path
        for folder in PRODUCT
        for path, source in sources(folder)
        if f".{name}(" in source
        for called_on, called in calls(source)
        if called == name and receiver in called_on
    }

    assert found
    assert found <= set(home)
