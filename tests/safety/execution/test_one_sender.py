"""Only one module sends calls that cost money, and only one other module names them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = ("api", "safety", "server", "tools", "resources", "prompts")


@functools.cache
def names() -> frozenset[tuple[str, str]]:
    """File and name, for each name and attribute read anywhere in the packages."""
    return frozenset(_names())


def _names() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute):
                    yield file, node.attr
                elif isinstance(node, ast.Name):
                    yield file, node.id


def files_with(name: str) -> set[str]:
    return {file for file, found in names() if found == name}


def test_only_the_executor_sends_once() -> None:
    assert files_with("send_once") == {"api/client.py", "safety/sending/execution.py"}


def test_only_the_executor_settles_what_was_sent_and_only_reconciliation_what_is_in_doubt() -> None:
    settling = {file for file in files_with("settle") if not file.startswith(("safety/ledger/", "api/symbols"))}

    assert settling == {"safety/sending/execution.py", "safety/sending/reconciliation.py"}


def test_the_call_that_places_an_order_is_named_where_it_is_sent_from_and_nowhere_else() -> None:
    assert files_with("ORDERS_PLACE") == {"api/orders.py", "api/catalogue.py", "safety/sending/execution.py"}


def test_the_ledger_lets_only_the_executor_claim() -> None:
    assert files_with("claim") - {"safety/ledger/__init__.py", "safety/ledger/booking.py"} == {
        "safety/sending/execution.py"
    }
