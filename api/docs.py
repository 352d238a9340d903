"""The documentation section: a list and four documents, public, as JSON or raw markdown."""

from __future__ import annotations

from typing import Final

from pydantic import Field, model_validator

from .endpoint import Endpoint, Request, Response
from .outputs import listed_as, text_as


class DocsRequest(Request):
    """Nothing to say."""


class DocumentInfo(Response):
    """A document of the list."""

    slug: str | None = Field(None, description="What docs_read takes.")
    title: str | None = Field(None, description="Its heading.")
    description: str | None = Field(None, description="What it covers.")
    path: str | None = Field(None, description="Its endpoint.")
    size: int | None = Field(None, description="Bytes of its markdown.")


class DocsListResponse(Response):
    """All documents."""

    documents: tuple[DocumentInfo, ...] = Field((), description="In reading order.")

    _bare_list = model_validator(mode="before")(listed_as("documents"))


class DocumentResponse(Response):
    """One document."""

    slug: str | None = Field(None, description="Its name.")
    title: str | None = Field(None, description="Its heading.")
    content: str | None = Field(None, description="Markdown.")

    _bare_text = model_validator(mode="before")(text_as("content"))


def _document(name: str, slug: str, summary: str) -> Endpoint[DocsRequest, DocumentResponse]:
    return Endpoint(name, "GET", f"/docs/{slug}", None, DocsRequest, DocumentResponse, summary)


DOCS_LIST: Final = Endpoint(
    "docs_list", "GET", "/docs", None, DocsRequest, DocsListResponse, "List all available documents."
)
DOCS_SIGNAL_DSL: Final = _document(
    "docs_signal_dsl", "signal-dsl", "Script guide: syntax, indicators, execution modes, intents."
)
DOCS_OPERATORS: Final = _document("docs_operators", "operators", "Every operator and indicator with its signature.")
DOCS_DATA: Final = _document("docs_data", "data", "Data variables: OHLCV, state, context, time, on-chain.")
DOCS_API_REFERENCE: Final = _document("docs_api_reference", "api-reference", "Every endpoint at a glance.")
