"""JSON schemas as rows of the reference's tables."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from api.parameter_tables import rows


class Inner(BaseModel):
    """An inner object."""

    depth: float = Field(gt=0, le=10, description="Metres.")


class Outer(BaseModel):
    """One field of every kind."""

    name: str = Field(min_length=1, max_length=50, description="What it is called.")
    count: int = Field(5, ge=1, le=500)
    share: float | None = Field(None, ge=0, lt=1)
    side: Literal["buy", "sell"] = "buy"
    words: Annotated[list[str], Field(min_length=1, max_length=3)]
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()


ROWS = {row.path: row for row in rows(Outer.model_json_schema())}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("name", "string (1-50 characters)"),
        ("count", "integer (1-500)"),
        ("share", "number (at least 0, below 1) or null"),
        ("side", '"buy" / "sell"'),
        ("words", "list of string (1-3 items)"),
        ("inner", "object or null"),
        ("inner.depth", "number (above 0, at most 10)"),
        ("many", "list of object"),
        ("many[].depth", "number (above 0, at most 10)"),
    ],
)
def test_a_type_names_its_range(path: str, text: str) -> None:
    assert ROWS[path].type == text


def test_fields_come_outer_before_inner() -> None:
    assert list(ROWS) == [
        "name",
        "count",
        "share",
        "side",
        "words",
        "inner",
        "inner.depth",
        "many",
        "many[].depth",
    ]


def test_what_is_required_and_what_is_the_default() -> None:
    assert [path for path, row in ROWS.items() if row.required] == ["name", "words", "inner.depth", "many[].depth"]
    assert ROWS["count"].default == "5"
    assert ROWS["share"].default == ""
    assert ROWS["name"].description == "What it is called."
