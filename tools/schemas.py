"""JSON schemas as clients can take them: flat, without `$ref`, titles and null alternatives, and small.

Several clients cannot follow `$ref`, and every word of an input schema is paid for by the model in each conversation.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from .declaration import ToolRow

Schema = dict[str, Any]

_DROPPED = ("$defs", "title", "discriminator", "contentMediaType")


def input_schema(model: type[BaseModel], examples: tuple[Schema, ...] = ()) -> Schema:
    """The arguments of a tool. Always an object with `properties`, and closed: unknown arguments are errors."""
    schema = _flat(model, mode="validation")
    schema.pop("description", None)
    schema.setdefault("properties", {})
    schema["additionalProperties"] = False
    if examples:
        schema["examples"] = list(examples)
    return schema


def output_schema(model: type[BaseModel]) -> Schema:
    """The result of a tool. Open: the hosted service may add fields."""
    schema = _flat(model, mode="serialization")
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return _told(schema)


def definition(row: ToolRow) -> Schema:
    """A tool as the committed snapshot holds it and as `tools/list` serves it."""
    operation = row.operation()
    hints = row.hints
    return {
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "annotations": {
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
        "inputSchema": input_schema(operation.request, row.examples),
        "outputSchema": output_schema(operation.response),
    }


def _flat(model: type[BaseModel], *, mode: Any) -> Schema:
    schema = model.model_json_schema(mode=mode)
    return cast("Schema", _inlined(schema, schema.get("$defs", {}), ()))


def _inlined(node: Any, definitions: Schema, path: tuple[str, ...]) -> Any:
    """Copy a schema with every local `$ref` replaced by what it names. A recursive one becomes an open object."""
    if isinstance(node, list):
        return [_inlined(item, definitions, path) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    node = cast("Schema", node)
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in path:
            return {"type": "object"}
        target = _inlined(definitions[name], definitions, (*path, name))
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return {**target, **_inlined(siblings, definitions, path)}
    flat = {
        key: _properties(value, definitions, path) if key == "properties" else _inlined(value, definitions, path)
        for key, value in node.items()
        if key not in _DROPPED
    }
    if isinstance(flat.get("required"), list):
        flat["required"] = [name for name in flat["required"] if not _nullable(node["properties"][name])]
    return flat


def _nullable(schema: Schema) -> bool:
    """Whether null is among the options: such a field may be left out, since null fields are."""
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def _properties(properties: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """The same for a mapping whose keys are names of ours, which may well be called `title`."""
    return {name: _without_null(_inlined(schema, definitions, path)) for name, schema in properties.items()}


def _without_null(schema: Schema) -> Schema:
    """`X or null` becomes `X`: an absent argument is left out, and so are null fields of results."""
    if schema.get("default", ...) is None:
        del schema["default"]
    options = schema.get("anyOf")
    if not isinstance(options, list):
        return schema
    real = [option for option in cast("list[Schema]", options) if option.get("type") != "null"]
    if len(real) == 1:
        del schema["anyOf"]
        return {**real[0], **schema}
    schema["anyOf"] = real
    return schema


def _told(node: Any) -> Any:
    """Drop what tells nothing about a result: defaults, examples, and that further fields may come."""
    if isinstance(node, list):
        return [_told(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _told(schema) for name, schema in value.items()} if key == "properties" else _told(value)
        for key, value in cast("Schema", node).items()
        if key not in ("default", "examples") and not (key == "additionalProperties" and value is True)
    }
