"""The OpenAPI description, made from the declarations when a client asks for it and not before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.endpoint import Endpoint

from .binding import PREFIX

_TEMPLATE: Final = "#/components/schemas/{model}"


def describe(endpoints: Sequence[Endpoint[Any, Any]]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of `endpoints`."""
    requests: list[tuple[Any, JsonSchemaMode]] = [(e.request, "validation") for e in endpoints]
    responses: list[tuple[Any, JsonSchemaMode]] = [(e.response, "serialization") for e in endpoints]
    schemas, shared = models_json_schema([*requests, *responses], ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        request = schemas[(endpoint.request, "validation")]
        response = schemas[(endpoint.response, "serialization")]
        fields = _resolved(request, shared).get("properties", {})
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, fields, request, response
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "HeyTraders API, embedded engine", "version": "1.0.4"},
        "paths": paths,
        "components": {
            "schemas": shared.get("$defs", {}),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _operation(
    endpoint: Endpoint[Any, Any], fields: dict[str, Any], request: dict[str, Any], response: dict[str, Any]
) -> dict[str, Any]:
    in_body = endpoint.method in {"POST", "PUT", "PATCH"}
    outside_body = endpoint.path_fields if in_body else tuple(fields)
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.section],
        "summary": endpoint.summary,
        "parameters": [_parameter(endpoint, name, fields.get(name, {})) for name in outside_body],
        "responses": {"200": {"description": "The envelope", "content": _json(_envelope(response))}},
    }
    if in_body:
        operation["requestBody"] = {"content": _json(request)}
    if endpoint.scope:
        operation["security"] = [{"key": []}]
    return operation


def _parameter(endpoint: Endpoint[Any, Any], name: str, schema: dict[str, Any]) -> dict[str, Any]:
    in_path = name in endpoint.path_fields
    required = in_path or endpoint.request.model_fields[name].is_required()
    return {"name": name, "in": "path" if in_path else "query", "required": required, "schema": schema}


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"success": {"type": "boolean"}, "data": data, "error": {"type": "null"}, "meta": _META},
        "required": ["success", "data", "meta"],
    }


_META: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"timestamp": {"type": "string", "format": "date-time"}},
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _resolved(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    return shared["$defs"][reference.rpartition("/")[2]] if reference else schema
