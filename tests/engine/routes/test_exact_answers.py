"""The engine's answers match the response models exactly; no undocumented field leaks."""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Annotated, Any, Union, cast, get_args, get_origin

import pytest
from pydantic import BaseModel, ConfigDict, create_model

from api.catalogue import endpoint
from api.outputs import Response
from tests.engine.conftest import Call

_BTC = {"symbol": "BTC/USDT"}

CALLS: tuple[tuple[str, str, str, dict[str, Any] | None], ...] = (
    ("meta_register", "POST", "/meta/register", {"display_name": "Bot"}),
    ("meta_capabilities", "GET", "/meta/capabilities", None),
    ("meta_indicators", "GET", "/meta/indicators", None),
    ("meta_health", "GET", "/meta/health", None),
    ("docs_list", "GET", "/docs", None),
    ("docs_data", "GET", "/docs/data", None),
    ("market_tickers", "GET", "/market/tickers?exchange=polymarket", None),
    ("market_tickers", "GET", "/market/tickers?limit=3", None),
    ("market_ohlcv", "GET", "/market/ohlcv?symbol=BTC/USDT&limit=3", None),
    ("market_evaluate", "POST", "/market/evaluate", {**_BTC, "expression": "rsi(close, 14)[-1]"}),
    ("market_evaluate", "POST", "/market/evaluate", {**_BTC, "expression": "close > 0"}),
    ("market_scan", "POST", "/market/scan", {"universe": ["top30", "NO/USDT"], "condition": "rsi(close, 14) < 50"}),
    ("market_rank", "POST", "/market/rank", {"universe": ["top30", "NO/USDT"], "expression": "log(9 - close)"}),
)


@pytest.mark.parametrize(("name", "method", "path", "body"), CALLS, ids=range(len(CALLS)))
async def test_an_answer_has_no_field_beyond_its_model(
    call: Call, name: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await call(method, path, content=None if body is None else json.dumps(body))

    assert answer.status_code == 200, answer.text
    exact(endpoint(name).response).model_validate(answer.json()["data"])


def test_the_exact_twin_of_a_model_refuses_what_the_model_would_keep() -> None:
    twin = exact(endpoint("market_scan").response)

    with pytest.raises(ValueError, match="surprise"):
        twin.model_validate({"details": [{"symbol": "BTC/USDT", "surprise": 1}]})


@cache
def exact(model: type[BaseModel]) -> type[BaseModel]:
    """The same model, with unknown fields forbidden in it and in all nested models."""
    fields: dict[str, Any] = {
        name: (_exact_annotation(field.annotation), field) for name, field in model.model_fields.items()
    }
    return create_model(f"Exact{model.__name__}", __config__=ConfigDict(extra="forbid"), **fields)


def _exact_annotation(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Response):
        return exact(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_exact_annotation(inner[0]), *inner[1:])]
    if origin in {Union, types.UnionType}:
        return Union[tuple(_exact_annotation(each) for each in inner)]  # noqa: UP007 - built from parts
    if origin in {tuple, list, dict}:
        return cast("Any", origin)[tuple(_exact_annotation(each) for each in inner)]
    return cast("Any", annotation)
