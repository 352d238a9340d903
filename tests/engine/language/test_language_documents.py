"""The written documents: every example compiles, every name exists."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from api.symbols import Instrument
from engine.language import ScriptContext, check_expression, check_script
from engine.language.catalogue import render
from engine.language.operators import OPERATORS, primary
from engine.language.words import FORMS, VARIABLES
from tools.surface import exposed

SPOT = (Instrument("binance", "BTC", "USDT"), Instrument("binance", "ETH", "USDT"))
PERPETUAL = (Instrument("binancefuturesusd", "BTC", "USDT"),)


def _document(slug: str) -> str:
    return files("engine.documents").joinpath(f"{slug}.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", _document("signal-dsl"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        ("python", ScriptContext(SPOT)),
        ("python cross", ScriptContext(SPOT, mode="cross")),
        ("python perpetual", ScriptContext(PERPETUAL)),
    ],
)
def test_every_script_of_the_guide_compiles(kind: str, context: ScriptContext) -> None:
    scripts = _blocks(kind)

    assert scripts
    for script in scripts:
        report = check_script(script, context)
        assert report.ok, report.diagnostics


def test_every_expression_of_the_guide_is_one() -> None:
    expressions = [line for block in _blocks("expression") for line in block.splitlines()]

    assert len(expressions) >= 8
    for expression in expressions:
        assert check_expression(expression).source == expression


def test_every_name_in_code_exists() -> None:
    words = {*OPERATORS, *VARIABLES, *FORMS}
    options = {"side", "limit", "stop_loss", "take_profit", "trailing_stop", "pyramiding", "spacing", "tag"}
    others = options | {
        "and",
        "or",
        "not",
        "max_volume_share",
        "partial",
        "missing",
        "as_of",
        "note",
        "source",
        "data_source",
        "dca",
        "grid",
        "pair_trading",
        "cross_sectional",
    }
    tools = {row.name for row in exposed()}
    for slug in ("signal-dsl", "data"):
        for name in re.findall(r"`([a-z][a-z0-9_]{2,})`", _document(slug)):
            assert name in words | others | tools | {"operators", "data", "end_of_data"}, name


def test_the_data_document_names_every_variable() -> None:
    named = set(re.findall(r"`([A-Za-z_0-9]+)`", _document("data")))

    assert set(VARIABLES) <= named


def test_the_operators_document_names_every_operator_with_its_signature() -> None:
    document = render()

    for operator in primary():
        assert f"`{operator.signature}`" in document
