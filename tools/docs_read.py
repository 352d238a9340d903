"""Reads a document in pieces that fit a model's context."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from api.catalogue import endpoint
from api.errors import InvalidInput
from api.inputs import Request, Whole, one_of
from api.meta import DocsRequest
from api.outputs import Response
from api.parameter_tables import strategies_document

from .context import ToolContext
from .declaration import Operation

ReadableDocument = Literal["signal-dsl", "operators", "data", "strategies", "api-reference"]

STRATEGIES: Final = "Parameters of the ready strategies"


class ReadRequest(Request):
    """Which document, and which part of it."""

    slug: Annotated[ReadableDocument, one_of(get_args(ReadableDocument))] = Field(description="Which document.")
    offset: Whole = Field(0, ge=0, le=10_000_000, description="Character to start at: next_offset of the last piece.")
    limit: Whole = Field(16_000, ge=500, le=40_000, description="Maximum characters; a piece ends with a line.")


class Piece(Response):
    """A part of a document."""

    slug: str = Field(description="Which document.")
    title: str | None = Field(None, description="Its heading.")
    content: str = Field(description="Markdown.")
    total: int = Field(description="Characters of the whole document.")
    next_offset: int | None = Field(None, description="Where the next piece starts; absent at the end.")


async def read(context: ToolContext, request: ReadRequest) -> Piece:
    """Fetch the document and cut the piece out.

    Raises:
        InvalidInput: The document is shorter.
    """
    title, text = await _document(context, request.slug)
    if request.offset > len(text):
        raise InvalidInput(
            f"offset {request.offset} lies beyond the {len(text)} characters of {request.slug}",
            suggestion="Use next_offset of the last piece; where it is absent, that was the end",
            corrected=f'docs_read(slug="{request.slug}")',
        )
    end = _line_end(text, request.offset, request.offset + request.limit)
    return Piece(
        slug=request.slug,
        title=title,
        content=text[request.offset : end],
        total=len(text),
        next_offset=end if end < len(text) else None,
    )


async def _document(context: ToolContext, slug: ReadableDocument) -> tuple[str | None, str]:
    """Title and text. The parameters of ready strategies come from here; other documents come from the service."""
    if slug == "strategies":
        return STRATEGIES, strategies_document()
    document = await context.client.call(endpoint(f"docs_{slug.replace('-', '_')}"), DocsRequest())
    return document.title, document.content or ""


def _line_end(text: str, start: int, limit: int) -> int:
    """The last line break before `limit`, or `limit` itself if one line is longer."""
    if limit >= len(text):
        return max(len(text), start)
    return text.rfind("\n", start, limit) + 1 or limit


OPERATION: Final = Operation(ReadRequest, Piece, read)
