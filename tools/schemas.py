"""JSON schemas in the form that clients accept: flat, without `$ref`, titles and null alternatives, and small.

Several clients cannot follow `$ref`, and the model pays for every word of an input schema in each conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

from pydantic import BaseModel

from api.outputs import Response, tables_of

from .declaration import ToolRow

Schema = dict[str, Any]

_UNTOLD = ("default", "examples", "required")
_WORTH_A_REFERENCE = 3
"""From this number of fields on, a type is referred to and not shown again."""
_WORDS_WORTH_TELLING = 3
"""A shorter description only repeats the field's name."""

_HIGHEST_TOLD = 1_000_000
"""Higher bounds protect machines and tell a caller nothing."""

# Length bounds appear in the refusal instead, which saves tokens.
_DROPPED = ("$defs", "title", "discriminator", "contentMediaType", "minLength", "maxLength", "minItems", "maxItems")


def input_schema(model: type[BaseModel]) -> Schema:
    """The arguments of a tool. Always an object with `properties`.

    The schema does not say that unknown arguments are errors, though they are: Google's client library fails on
    `additionalProperties: false`, and OpenAI's adds it itself. Gemini refuses every text format except `date-time`, so
    the description of a day gives its format.
    """
    schema = _flat(model, mode="validation")
    schema.pop("description", None)
    for field in schema.setdefault("properties", {}).values():
        if field.get("format") == "date":
            del field["format"]
            field["description"] = f"YYYY-MM-DD. {field.get('description', '')}".rstrip()
    return schema


class OutputSchemas:
    """Builds the result schemas of all tools, one after the other, with as few tokens as possible.

    A field is described at its first appearance, and so is a type: later ones of the same kind refer to it. Fields of
    nested objects have a name and a type; text fields omit the type. Schemas are open, because the hosted service may
    add fields.
    """

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._tables: dict[str, str] = {}

    def of(self, tool: str, model: type[BaseModel]) -> Schema:
        """The result schema of the next tool."""
        schema = model.model_json_schema(mode="serialization")
        names = cast("Schema", schema["properties"])
        shown_by = self._shown.get(_qualified(model))
        if shown_by is not None and len(names) >= _WORTH_A_REFERENCE:
            reference = f"As in {shown_by}."
            return {"type": "object", "description": reference, "properties": {name: {} for name in names}}
        self._show_tables(tool, schema, model)
        definitions: Schema = schema.get("$defs", {})
        first_here = self._shorten(tool, schema, definitions)
        flat = cast("Schema", _inlined(schema, definitions, ()))
        flat.pop("description", None)
        flat.setdefault("properties", {})
        self._shown.update(first_here, **dict.fromkeys(_kinds(model), tool))
        return self._tell(flat)

    def _show_tables(self, tool: str, schema: Schema, model: type[BaseModel]) -> None:
        """Lists of rows in the form that tools write: columns once, and rows of values."""
        for name in tables_of(model):
            field = schema["properties"][name]
            items = field["items"] if "items" in field else field["anyOf"][0]["items"]
            kind = items["$ref"].rpartition("/")[2]
            shown_by = self._tables.setdefault(kind, f"{name} of {tool}")
            names = ", ".join(schema["$defs"][kind]["properties"])
            columns = f"Columns: {names}." if shown_by == f"{name} of {tool}" else f"Columns as in {shown_by}."
            table = {"columns": {"type": "array"}, "rows": {"type": "array"}}
            words = f"{field['description']} {columns}"
            schema["properties"][name] = {"type": "object", "properties": table, "description": words}

    def _shorten(self, tool: str, schema: Schema, definitions: Schema) -> dict[str, str]:
        """Replace types that an earlier tool has shown; return those that this tool shows first."""
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
    """The tools in the form of the committed snapshot and of `tools/list`, by name."""
    rows = tuple(rows)
    outputs = OutputSchemas()
    results = {row.name: outputs.of(row.name, row.operation().response) for row in sorted(rows, key=_fullness)}
    return {row.name: _definition(row, results[row.name]) for row in rows}


def _fullness(row: ToolRow) -> int:
    """Puts the results with the most fields first, so that smaller ones of the same kind can refer to them."""
    schema = row.operation().response.model_json_schema(mode="serialization")
    parts: list[Schema] = [schema, *schema.get("$defs", {}).values()]
    return -sum(len(part.get("properties", ())) for part in parts)


def _definition(row: ToolRow, result: Schema) -> Schema:
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
        "inputSchema": input_schema(row.operation().request),
        "outputSchema": result,
    }


def _kinds(model: type[BaseModel]) -> list[str]:
    """A response model and its base models: by their names in `$defs`, and with their modules."""
    kinds = [kind for kind in model.__mro__ if issubclass(kind, Response) and kind is not Response]
    return [name for kind in kinds for name in (kind.__name__, _qualified(kind))]


def _qualified(model: type[BaseModel]) -> str:
    return f"{model.__module__}.{model.__qualname__}"


def _references(node: Any, definitions: Schema, found: set[str]) -> set[str]:
    """The names of all definitions that a schema uses, directly or indirectly."""
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
    """Copy a schema and replace every local `$ref` with its target. A recursive one becomes an open object."""
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
        if key not in _DROPPED and not _goes_without_saying(key, value)
    }
    if isinstance(flat.get("required"), list):
        flat["required"] = [name for name in flat["required"] if not _nullable(node["properties"][name])]
    return flat


def _goes_without_saying(key: str, value: Any) -> bool:
    """Whether a keyword states what a caller assumes anyway: no further fields, nothing below 0, no maximum count."""
    if key == "additionalProperties":
        return value is False
    if key in ("minimum", "exclusiveMinimum"):
        return value == 0
    return key == "maximum" and value > _HIGHEST_TOLD


def _nullable(schema: Schema) -> bool:
    """Whether null is an option: such a field may be left out, since results omit null fields."""
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def _properties(properties: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """The same for a mapping whose keys are our names, so that `title` can be one of them."""
    return {name: _shown_once(_without_null(_inlined(s, definitions, path))) for name, s in properties.items()}


def _shown_once(schema: Schema) -> Schema:
    """Drop examples that the description already gives."""
    if "e.g." in schema.get("description", ""):
        schema.pop("examples", None)
    return schema


def _without_null(schema: Schema) -> Schema:
    """`X or null` becomes `X`: callers leave an absent argument out, and results omit null fields."""
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
    """Drop keywords that say little about a result: defaults, examples, required fields, open objects."""
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
            if "items" in value:
                kept[key] = {"type": "array"}  # a table: its cells are numbers, or null where one is missing
            elif depth <= 1 or value != {"type": "string"}:
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
    """The items of a list, without a description: the list has it."""
    if str(schema.get("description", "As in ")).startswith("As in "):
        return schema
    return {key: value for key, value in schema.items() if key != "description"}


def _is_plain(key: str, value: Any, fields: Schema, depth: int) -> bool:
    """Whether the rest of a schema says the same: that it is open, and the type of an enum or an object."""
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
