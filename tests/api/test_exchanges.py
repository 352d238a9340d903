"""An exchange is a row of data; an exchange with an incomplete row never reaches an order."""

from __future__ import annotations

import ast
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from api.exchanges import EXCHANGES, Exchange, ExchangeId
from engine.venues.exchange.convention import Convention
from engine.venues.exchange.conventions import CONVENTIONS

ROOT = Path(__file__).parents[2]


def test_every_exchange_of_the_api_has_a_row_under_its_own_name() -> None:
    assert {name: row.id for name, row in EXCHANGES.items()} == {name: name for name in get_args(ExchangeId)}


@pytest.mark.parametrize("name", [each.name for each in fields(Exchange)])
def test_a_row_that_leaves_out_any_field_of_an_exchange_cannot_be_made(name: str) -> None:
    row = EXCHANGES["binance"]
    given = {each.name: getattr(row, each.name) for each in fields(Exchange)}

    assert Exchange(**given) == row
    with pytest.raises(TypeError, match=name):
        Exchange(**{key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize("name", [each.name for each in fields(Convention)])
def test_a_row_that_leaves_out_any_field_of_a_convention_cannot_be_made(name: str) -> None:
    row = CONVENTIONS["binance"]
    given = {each.name: getattr(row, each.name) for each in fields(Convention)}

    assert Convention(**given) == row
    with pytest.raises(TypeError, match=name):
        Convention(**{key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize("row", EXCHANGES.values(), ids=EXCHANGES)
def test_a_new_account_can_pay_for_the_smallest_order_and_its_fee(row: Exchange) -> None:
    assert Decimal(0) <= row.maker <= row.taker < Decimal("0.01")
    assert 0 < row.minimum * (1 + row.taker) < row.opening_balance


NAMES = {*get_args(ExchangeId), "binanceusdm"}
PRODUCT = ("api", "engine", "prompts", "resources", "safety", "server", "tools")


def names_compared(source: str) -> list[str]:
    """Places where a source file tells exchanges apart by name: comparison, membership, prefix, pattern or set."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        told: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            told = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            told = [node.value]
        elif isinstance(node, ast.Set):
            told = list(node.elts)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"startswith", "endswith"}:
            told = list(node.args)
        parts = [part for each in told for part in (each.elts if isinstance(each, ast.Tuple | ast.List) else [each])]
        found += [ast.unparse(node) for part in parts if isinstance(part, ast.Constant) and part.value in NAMES]
    return found


@pytest.mark.parametrize(
    "source",
    [
        'if exchange == "lighter": pass',
        'if "upbit" != own.exchange: pass',
        'if exchange in ("gate", "gatefutures"): pass',
        'NEEDS = frozenset({"hyperliquid"})',
        'if exchange.startswith("binance"): pass',
        'match exchange:\n    case "polymarket":\n        pass',
    ],
)
def test_each_way_of_comparing_names_is_seen(source: str) -> None:
    assert names_compared(source)


def test_no_module_tells_exchanges_apart_by_name() -> None:
    sources = {path: path.read_text(encoding="utf-8") for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")}
    naming = {path: text for path, text in sources.items() if any(name in text for name in NAMES)}
    found = {str(path.relative_to(ROOT)): names_compared(text) for path, text in naming.items()}

    assert len(sources) > 100
    assert {path: where for path, where in found.items() if where} == {}


def test_every_exchange_has_a_row_of_conventions() -> None:
    assert {name: row.exchange for name, row in CONVENTIONS.items()} == {name: name for name in get_args(ExchangeId)}
