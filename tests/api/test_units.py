"""Each name has one unit across all answers: names ending in `_pct` are in percent, all other ratios are fractions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final, get_args

from pydantic import BaseModel

from api.catalogue import ENDPOINTS

PORTFOLIO_STOPS: Final = {"stop_loss", "take_profit"}
"""Backtest figures that the API document gives in percent under these names."""
TABLES_OF_PERCENT: Final = {"months"}


def fields(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """Name and description of every field of an answer, including nested fields."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield name, field.description or ""
        for inner in _models(field.annotation):
            yield from fields(inner, seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def test_a_name_tells_percent_from_a_fraction() -> None:
    seen: set[type[BaseModel]] = set()
    told = [each for endpoint in ENDPOINTS for each in fields(endpoint.response, seen)]
    percent = {name for name, words in told if "percent" in words.lower()}
    fractions = {name for name, words in told if "fraction" in words.lower()}

    assert {name for name in percent if not name.endswith("_pct")} <= PORTFOLIO_STOPS | TABLES_OF_PERCENT
    assert {name for name in fractions if name.endswith("_pct")} == set()
    assert percent & fractions == set()


def test_the_data_document_says_so() -> None:
    text = files("engine.documents").joinpath("data.md").read_text(encoding="utf-8")

    assert "names that end in _pct are percent" in text
    assert "All other ratios are fractions" in text
