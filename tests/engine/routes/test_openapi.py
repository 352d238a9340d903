"""The OpenAPI description contains every served endpoint, with its parameters and models."""

from __future__ import annotations

import json
from typing import Any

from api.catalogue import endpoint
from engine.routes import SECTIONS
from tests.engine.conftest import Call


async def test_every_served_endpoint_is_described(call: Call) -> None:
    described = (await call("GET", "/openapi.json", key=None)).json()

    served = {route.endpoint for section in SECTIONS for route in section}
    operations = {
        (method, path, operation["operationId"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert operations == {(e.method.lower(), f"/api/v1{e.path}", e.name) for e in served}


async def test_parameters_and_bodies_are_the_declared_models(call: Call) -> None:
    described = (await call("GET", "/openapi.json", key=None)).json()

    tickers = described["paths"]["/api/v1/market/tickers"]["get"]
    scan = described["paths"]["/api/v1/market/scan"]["post"]
    body = _resolved(scan["requestBody"]["content"]["application/json"]["schema"], described)
    assert {p["name"] for p in tickers["parameters"]} == set(endpoint("market_tickers").request.model_fields)
    assert set(body["properties"]) == set(endpoint("market_scan").request.model_fields)
    assert "security" not in tickers
    assert scan["security"] == [{"key": []}]


async def test_every_reference_leads_somewhere(call: Call) -> None:
    described = (await call("GET", "/openapi.json", key=None)).json()

    named = {part.partition('"')[0] for part in json.dumps(described).split('"$ref": "')[1:]}
    assert all(_resolved({"$ref": reference}, described) for reference in named)


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found: Any = document if "$ref" in schema else schema
    for part in schema.get("$ref", "#").split("/")[1:]:
        found = found[part]
    return found
