"""JSON schemas as clients can take them: flat, without `$ref`, titles and null alternatives, and small.

Several clients cannot follow `$ref`, and every word of an input schema is paid for by the model in each conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

from pydantic import BaseModel

from api.outputs import tables_of

from .declaration import ToolRow

Schema = dict[str, Any]

_UNTOLD = ("default", "examples", "required")
_WORTH_A_REFERENCE = 4
"""Fields from which on a type is named rather than shown again."""
_WORDS_WORTH_TELLING = 3
"""A description of fewer words repeats the field's name."""

# Bounds of lengths are told to whoever crosses them, which spares tokens.
_DROPPED = ("$defs", "title", "discriminator", "contentMediaType", "minLength", "maxLength", "minItems", "maxItems")


def input_schema(model: type[BaseModel]) -> Schema:
    """The arguments of a tool. Always an object with `properties`.

    It does not say that further arguments are errors, though they are: Google's client library fails on
    `additionalProperties: false`, and OpenAI's adds it by itself.
    """
    schema = _flat(model, mode="validation")
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return schema


class OutputSchemas:
    """Builds the result schemas of all tools, one after the other, in as few tokens as tell everything once.

    A field is described where it first appears, and so is a type: a later one of the same kind says where to look.
    Fields of nested objects have a name and a type, and no type where they are text. Schemas are open: the hosted
    service may add fields.
    """

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()

    def of(self, tool: str, model: type[BaseModel]) -> Schema:
        """The result schema of the next tool."""
        whole = f"{model.__module__}.{model.__qualname__}"
        schema = model.model_json_schema(mode="serialization")
        if whole in self._shown:
            names = cast("Schema", schema["properties"])
            reference = f"As in {self._shown[whole]}."
            return {"type": "object", "description": reference, "properties": {name: {} for name in names}}
        _show_tables(schema, model)
        definitions: Schema = schema.get("$defs", {})
        first_here = self._shorten(tool, schema, definitions)
        flat = cast("Schema", _inlined(schema, definitions, ()))
        flat.pop("description", None)
        flat.setdefault("properties", {})
        self._shown.update(first_here, **{whole: tool})
        return self._tell(flat)

    def _shorten(self, tool: str, schema: Schema, definitions: Schema) -> dict[str, str]:
        """Replace types that an earlier tool has shown; give back those that this one shows first."""
        for name, definition in definitions.items():
            if name in self._shown and len(definition.get("properties", ())) >= _WORTH_A_REFERENCE:
                definitions[name] = {"type": "object", "description": f"As in {self._shown[name]}."}
        used = _references(schema, definitions, set())
        return {name: tool for name in used if name not in self._shown}

    def _tell(self, schema: Schema) -> Schema:
        here: set[tuple[str, str]] = set()
        told = _told(schema, lambda name, text: self._is_new(name, text, here))
        self._told |= here
        return _once(cast("Schema", told))

    def _is_new(self, name: str, text: str, here: set[tuple[str, str]]) -> bool:
        if (name, text) in self._told:
            return False
        here.add((name, text))
        return True


def definitions(rows: Iterable[ToolRow]) -> dict[str, Schema]:
    """The tools as the committed snapshot holds them and as `tools/list` serves them, by name."""
    outputs = OutputSchemas()
    return {row.name: _definition(row, outputs) for row in rows}


def _definition(row: ToolRow, outputs: OutputSchemas) -> Schema:
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
        "inputSchema": input_schema(operation.request),
        "outputSchema": outputs.of(row.name, operation.response),
    }


def _show_tables(schema: Schema, model: type[BaseModel]) -> None:
    """Lists of rows as tools write them: columns once, and rows of values."""
    for name in tables_of(model):
        field = schema["properties"][name]
        row = schema["$defs"][field["items"]["$ref"].rpartition("/")[2]]
        columns = {"type": "array", "items": {"type": "string"}}
        rows = {"type": "array", "items": {"type": "array"}}
        words = f"{field['description']} Columns: {', '.join(row['properties'])}."
        table = {"columns": columns, "rows": rows}
        schema["properties"][name] = {"type": "object", "properties": table, "description": words}


def _references(node: Any, definitions: Schema, found: set[str]) -> set[str]:
    """The names of all definitions that a schema uses, directly or through others."""
    if isinstance(node, list):
        for item in cast("list[Any]", node):
            _references(item, definitions, found)
    elif isinstance(node, dict):
        fields = cast("Schema", node)
        reference = fields.get("$ref")
        name = reference.rpartition("/")[2] if isinstance(reference, str) else None
        if name is not None and name not in found:
            found.add(name)
            _references(definitions[name], definitions, found)
        for key, value in fields.items():
            if key != "$defs":
                _references(value, definitions, found)
    return found


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
        if str(target.get("description", "")).startswith("As in "):
            siblings.pop("description", None)
        return {**target, **_inlined(siblings, definitions, path)}
    flat = {
        key: _properties(value, definitions, path) if key == "properties" else _inlined(value, definitions, path)
        for key, value in node.items()
        if key not in _DROPPED and not (key == "additionalProperties" and value is False)
    }
    if isinstance(flat.get("required"), list):
        flat["required"] = [name for name in flat["required"] if not _nullable(node["properties"][name])]
    return flat


def _nullable(schema: Schema) -> bool:
    """Whether null is among the options: such a field may be left out, since null fields are."""
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def _properties(properties: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """The same for a mapping whose keys are names of ours, which may well be called `title`."""
    return {name: _shown_once(_without_null(_inlined(s, definitions, path))) for name, s in properties.items()}


def _shown_once(schema: Schema) -> Schema:
    """Drop examples where the description gives one."""
    if "e.g." in schema.get("description", ""):
        schema.pop("examples", None)
    return schema


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


def _told(node: Any, is_new: Callable[[str, str], bool], depth: int = 0) -> Any:
    """Drop what tells little about a result: defaults, examples, what is required, that further fields may come."""
    if isinstance(node, list):
        return [_told(item, is_new, depth) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("Schema", node)
    kept: Schema = {}
    for key, value in fields.items():
        if key == "properties":
            kept[key] = {name: _field(name, schema, is_new, depth + 1) for name, schema in value.items()}
        elif key == "items":
            kept[key] = _without_words(_told(value, is_new, depth))
        elif key not in _UNTOLD and not _is_plain(key, value, fields, depth):
            kept[key] = _told(value, is_new, depth)
    return kept


def _once(schema: Schema) -> Schema:
    """Show each kind of nested object once among the fields of a result."""
    shown: dict[str, str] = {}
    for name, field in schema["properties"].items():
        holder = field if "properties" in field else field.get("items", {})
        fields = holder.get("properties", ())
        if len(fields) >= _WORTH_A_REFERENCE:
            first = shown.setdefault(json.dumps(fields), name)
            if first != name:
                del holder["properties"]
                holder["description"] = f"As in {first}."
    return schema


def _without_words(schema: Schema) -> Schema:
    """What a list holds, without a description of it: that of the list says it."""
    if str(schema.get("description", "As in ")).startswith("As in "):
        return schema
    return {key: value for key, value in schema.items() if key != "description"}


def _is_plain(key: str, value: Any, fields: Schema, depth: int) -> bool:
    """Whether the rest of a schema says the same: that it is open, and the type of what has values or fields."""
    if key == "type":
        return "enum" in fields or (depth > 0 and value == "object" and "properties" in fields)
    return key == "additionalProperties" and value is True


def _field(name: str, schema: Schema, is_new: Callable[[str, str], bool], depth: int) -> Schema:
    told: Schema = _told(schema, is_new, depth)
    text = told.get("description")
    told_by_name = text is not None and len(text.split()) < _WORDS_WORTH_TELLING
    if text and not text.startswith("As in ") and (depth > 1 or told_by_name or not is_new(name, text)):
        del told["description"]
    if "enum" in told and not is_new(name, str(told["enum"])):
        del told["enum"]
        told["type"] = "string"
    if depth > 1 and told == {"type": "string"}:
        return {}
    return told
