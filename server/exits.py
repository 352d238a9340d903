"""Filters every answer to a client: removes secrets and hidden characters, and marks foreign text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.types import CallToolResult, ImageContent, TextContent

from safety.exits import redacted, redacted_value

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE_CHARACTERS: Final = 40_000
"""Maximum characters of a page's rows as JSON, about 15,000 tokens."""


def written(response: BaseModel, *, hosted: bool) -> str:
    """A result as JSON. Text from the hosted service is cleaned, and `foreign_text` names its fields."""
    text = _compact(response)
    if not hosted:
        return text
    from safety.exits import MARK, cleaned_value, foreign_fields

    value: dict[str, Any] = json.loads(text)
    safe = cleaned_value({name: inner for name, inner in value.items() if name != MARK})
    if safe != value:
        text = json.dumps(safe, ensure_ascii=False, separators=(",", ":"))
    foreign = foreign_fields(response)
    return f'{text[:-1]},"{MARK}":{json.dumps(foreign)}}}' if foreign else text


def _compact(response: BaseModel) -> str:
    """A response as compact JSON: columns named once per table, at most `PAGE_CHARACTERS` of rows, rounded ratios."""
    from api.outputs import tables_of, with_tables

    value = with_tables(response)
    for name in tables_of(type(response)):
        if name in value:
            _cut(value, value[name])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cut(page: dict[str, Any], table: dict[str, Any]) -> None:
    """Cut rows from the end of a page that is too long; the next page begins with them."""
    rows: list[Any] = table["rows"]
    length, fit = 0, 0
    while fit < len(rows) and length < PAGE_CHARACTERS:
        length += len(json.dumps(rows[fit], ensure_ascii=False, separators=(",", ":"))) + 1
        fit += 1
    left_out = len(rows) - fit
    if left_out and "total" in page:
        page["next_offset"] = page.get("next_offset", page["total"]) - left_out
        table["rows"] = rows[:fit]


def success(text: str) -> CallToolResult:
    """A result whose text is the same JSON as its structured content, without secrets. A picture follows it."""
    text, pictures = _without_pictures(text)
    safe = redacted(text)
    if safe != text:
        safe = json.dumps(redacted_value(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=safe), *pictures], structured_content=json.loads(safe))


def _without_pictures(text: str) -> tuple[str, list[ImageContent]]:
    """The result without its picture's bytes, and the picture as image content."""
    if '"picture":' not in text:
        return text, []
    value: dict[str, Any] = json.loads(text)
    picture: dict[str, Any] = value.get("picture") or {}
    data = picture.pop("data", None) if picture.get("format") == "png" else None
    if data is None:
        return text, []
    shown = ImageContent(type="image", data=data, mime_type="image/png")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")), [shown]


def failure(text: str) -> CallToolResult:
    """A result that the model can act on, without secrets."""
    return CallToolResult(content=[TextContent(type="text", text=redacted(text))], is_error=True)


def shown_resource(found: ReadResourceContents, *, hosted: bool) -> ReadResourceContents:
    """The same for a resource. JSON of the hosted service names its foreign text as a result does."""
    if isinstance(found.content, bytes):
        return found
    from safety.exits import MARK, cleaned, cleaned_value, foreign_texts

    text = found.content
    if hosted and found.mime_type == "application/json":
        value: dict[str, Any] = json.loads(text)
        foreign = foreign_texts(value)
        shown = {**value, MARK: foreign} if foreign else value
        text = json.dumps(cleaned_value(shown), ensure_ascii=False, separators=(",", ":"))
    return replace(found, content=redacted(cleaned(text, len(text))))
