"""Parameters as tables for readers: the fields of a JSON schema as rows, and the parameters of the ready strategies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from .strategies import PARAMETERS

ParameterSchema = Mapping[str, Any]

_MAX_DEPTH: Final = 4


_OPENING: Final = """### Ready strategies

`dca`, `grid`, `pair_trading` and `cross_sectional` write their script from parameters, which are beside the others in
the body (tools take them as the object `parameters`). The result shows the script; start from it to change what the
parameters cannot. `cross_sectional` also takes a `script` that gives `alpha`, the number to rank the universe by.
A market that cannot be sold short trades the long side only, and the result says so."""


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One field. `path` is dotted, with `[]` after a list; `default` is JSON, empty if it has no default."""

    path: str
    type: str
    required: bool
    default: str
    description: str


def rows(schema: ParameterSchema) -> Iterator[ParameterRow]:
    """The fields of an object schema and of the objects inside it, outer before inner."""
    yield from _rows(schema, schema.get("$defs", {}), "", 0)


def _rows(schema: ParameterSchema, shared: ParameterSchema, prefix: str, depth: int) -> Iterator[ParameterRow]:
    required = schema.get("required", ())
    for name, field in cast("Mapping[str, ParameterSchema]", schema.get("properties", {})).items():
        path = f"{prefix}{name}"
        yield ParameterRow(
            path=path,
            type=type_text(field, shared),
            required=name in required,
            default=json.dumps(field["default"]) if field.get("default") is not None else "",
            description=str(field.get("description") or _resolve(field, shared).get("description", "")),
        )
        inner, suffix = _inner_object(field, shared)
        if inner is not None and depth < _MAX_DEPTH:
            yield from _rows(inner, shared, f"{path}{suffix}.", depth + 1)


def type_text(field: ParameterSchema, shared: ParameterSchema) -> str:
    """`string (1-50 characters) or null`, `integer (1-500)`, `list of string`, `"buy" / "sell"`."""
    field = _resolve(field, shared)
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        texts = dict.fromkeys(type_text({**option}, shared) for option in options)
        return " or ".join(sorted(texts, key=lambda text: text == "null"))
    if "const" in field:
        return json.dumps(field["const"])
    if "enum" in field:
        return " / ".join(json.dumps(choice) for choice in field["enum"])
    kind = field.get("type", "any")
    if kind == "array":
        return _array_text(field, shared)
    return f"{kind}{_range_text(field)}"


def _array_text(field: ParameterSchema, shared: ParameterSchema) -> str:
    items = cast("ParameterSchema | None", field.get("items"))
    inner = type_text(items, shared) if items else "any"
    return f"list of {inner}{_between(field.get('minItems'), field.get('maxItems'), ' items')}"


def _range_text(field: ParameterSchema) -> str:
    if field.get("format"):
        return f" ({field['format']})"
    if "minLength" in field or "maxLength" in field:
        return _between(field.get("minLength"), field.get("maxLength"), " characters")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    if above is None and below is None:
        return _between(field.get("minimum"), field.get("maximum"), "")
    low = f"above {above:.12g}" if above is not None else _bound("at least", field.get("minimum"))
    high = f"below {below:.12g}" if below is not None else _bound("at most", field.get("maximum"))
    return f" ({', '.join(part for part in (low, high) if part)})"


def _bound(word: str, value: float | None) -> str:
    return "" if value is None else f"{word} {value:.12g}"


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f" (at most {high:.12g}{unit})"
    if high is None:
        return f" (at least {low:.12g}{unit})"
    return f" ({low:.12g}-{high:.12g}{unit})"


def _inner_object(field: ParameterSchema, shared: ParameterSchema) -> tuple[ParameterSchema | None, str]:
    """The object that a field is or lists, and `[]` if it is a list."""
    field = _resolve(field, shared)
    for option in (_resolve(each, shared) for each in field.get("anyOf", (field,))):
        if option.get("type") == "array" and isinstance(option.get("items"), Mapping):
            inner, suffix = _inner_object(option["items"], shared)
            return inner, f"[]{suffix}"
        if option.get("properties"):
            return option, ""
    return None, ""


def _resolve(field: ParameterSchema, shared: ParameterSchema) -> ParameterSchema:
    reference = str(field.get("$ref", ""))
    return {**shared[reference.rpartition("/")[2]], **field, "$ref": ""} if reference else field


def strategy_tables() -> str:
    """The parameters of the ready strategies as markdown: one table per strategy with parameters."""
    parts = [_OPENING]
    for strategy, model in PARAMETERS.items():
        if strategy == "signal":
            continue
        lines = [
            f"| `{row.path}` | {row.type.replace('|', '&#124;')} | {'yes' if row.required else 'no'} | "
            f"{f'`{row.default}`' if row.default else ''} | {row.description} |"
            for row in rows(model.model_json_schema())
        ]
        head = ["| Parameter | Type | Required | Default | Description |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"**{strategy}**: {(model.__doc__ or '').strip()}", "", *head, *lines]))
    return "\n\n".join(parts)


def strategies_document() -> str:
    """The same as a separate document."""
    return strategy_tables().replace("### ", "# ", 1)
