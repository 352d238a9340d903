"""An exchange is a row of data; an exchange with an incomplete row never reaches an order."""

from __future__ import annotations

import ast
from dataclasses import fields
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from api.exchanges import EXCHANGE_ALIASES, EXCHANGES, USUAL_EXCHANGE, Exchange, ExchangeId, MarketType
from engine.feeds.simulation.venues import VENUES
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


NAMES = {*get_args(ExchangeId), *EXCHANGE_ALIASES}
PRODUCT = ("api", "engine", "prompts", "resources", "safety", "server", "tools")
ROWS = {
    "api/exchanges.py",
    "engine/venues/exchange/convention.py",
    "engine/venues/exchange/conventions.py",
    "engine/feeds/simulation/venues.py",
}
"""Modules with a complete table of the exchanges, or with the functions that its rows hold."""

UNMISTAKABLE = {name for name in get_args(ExchangeId) if not name.startswith("gate")}
"""Names that mean nothing else in code. A gate is also what checks orders."""


@cache
def modules_with_a_name() -> dict[str, ast.Module]:
    """The modules whose text contains the name of an exchange in quotes, or an unmistakable one anywhere.

    What the tests below look for is in no other module, so the others need not be parsed.
    """
    quoted = [f"{quote}{name}{quote}" for name in sorted(NAMES) for quote in "'\""]
    sources = {path: path.read_text(encoding="utf-8") for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")}
    assert len(sources) > 100
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(source)
        for path, source in sources.items()
        for text in [source.lower()]
        if any(name in text for name in UNMISTAKABLE) or any(name in text for name in quoted)
    }


def names_compared(tree: ast.Module) -> list[str]:
    """Places where a module tells exchanges apart by name: comparison, membership, prefix, pattern or set."""
    found: list[str] = []
    for node in ast.walk(tree):
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
    assert names_compared(ast.parse(source))


def test_no_module_tells_exchanges_apart_by_name() -> None:
    found = {name: names_compared(tree) for name, tree in modules_with_a_name().items()}

    assert {name: where for name, where in found.items() if where} == {}


def test_every_exchange_has_a_row_of_conventions() -> None:
    assert {name: row.exchange for name, row in CONVENTIONS.items()} == {name: name for name in get_args(ExchangeId)}


def names_exchange(node: ast.AST) -> bool:
    """Whether a node is an exchange's id as a value, or a name of ours that contains an exchange's."""
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    named = str(next((getattr(node, key) for key in ("id", "attr", "name", "arg") if hasattr(node, key)), ""))
    return any(name in named.lower() for name in UNMISTAKABLE)


@pytest.mark.parametrize(
    "source",
    [
        'Instrument("gate", base, quote)',
        'LARGE = {"upbit": 1}',
        "_UPBIT_QUOTES = 1",
        "def lighter_only(): pass",
        "import engine.hyperliquid",
        "place(binance=True)",
    ],
)
def test_each_way_of_naming_an_exchange_is_seen(source: str) -> None:
    assert any(names_exchange(node) for node in ast.walk(ast.parse(source)))


def test_code_outside_the_rows_names_no_exchange() -> None:
    modules = modules_with_a_name()
    found = {name: [ast.unparse(n) for n in ast.walk(modules[name]) if names_exchange(n)] for name in modules}

    assert {name for name, where in found.items() if where} == ROWS


def test_each_market_type_has_one_usual_exchange_and_perpetuals_are_where_a_row_says() -> None:
    assert set(USUAL_EXCHANGE) == set(get_args(MarketType))
    twins = {row.id: row.perpetuals for row in EXCHANGES.values() if row.perpetuals is not None}
    assert twins == {"binance": "binancefuturesusd", "gate": "gatefutures"}
    assert {row.market_type for row in EXCHANGES.values() if row.id in twins.values()} == {"perpetual"}


def test_every_exchange_of_coins_has_a_simulated_venue() -> None:
    coins = {row.id for row in EXCHANGES.values() if row.market_type != "prediction"}
    assert sorted(venue.exchange for venue in VENUES) == sorted(coins)
