"""Registration, what a key may do, the vocabulary of expressions, health, and the documents (JSON or raw markdown)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from api.endpoint import Endpoint
from api.inputs import Request, RiskProfileInput, Text
from api.outputs import TABLE, Response, Time, listed_as, text_as


class RegisterRequest(Request):
    """Who registers."""

    display_name: Text = Field(min_length=1, max_length=50, description="Public name of the new agent.")
    description: Text | None = Field(None, max_length=500, description="What it does.")
    strategy_type: Text | None = Field(None, max_length=50, description="e.g. momentum, mean_reversion.")
    risk_profile: RiskProfileInput | None = Field(None, description="Appetite for risk.")


class RegisterResponse(Response):
    """A provisional key: research only, shown once."""

    api_key: str = Field(repr=False, description="The key. Shown once; keep it secret.")
    agent_id: str | None = Field(None, description="The agent's id.")
    key_id: str | None = Field(None, description="The key's id, which is not secret.")
    quota: dict[str, Any] | None = Field(None, description="Used and allowed calls per kind.")
    scopes: tuple[str, ...] = Field((), description="What the key may do: research, read, trade.")


class CapabilitiesRequest(Request):
    """No arguments."""


class Capability(Response):
    """An endpoint that the key may use."""

    name: str | None = Field(None, description="Also the tool's name.")
    method: str | None = Field(None, description="HTTP method.")
    path: str | None = Field(None, description="Below the base URL.")
    scope: str | None = Field(None, description="Scope it needs; null where none.")
    description: str | None = Field(None, description="What it does.")


class CapabilitiesResponse(Response):
    """What the key may do."""

    agent_id: str | None = Field(None, description="Whose key it is.")
    scopes: tuple[str, ...] = Field((), description="Scopes of the key.")
    quota: dict[str, Any] | None = Field(None, description="Used and allowed calls per kind.")
    endpoints: tuple[Capability, ...] = Field((), description="Endpoints within those scopes.")


class IndicatorsRequest(Request):
    """Which part of the vocabulary."""

    search: Text | None = Field(None, min_length=1, max_length=50, description="Only names or descriptions with this.")
    category: Text | None = Field(None, min_length=1, max_length=50, description="Only this category, e.g. momentum.")


class Word(Response):
    """A function, operator or variable of the expression language."""

    name: str = Field(description="As written in an expression.")
    signature: str | None = Field(None, description="Arguments with their defaults.")
    category: str | None = Field(None, description="e.g. momentum, volatility, candles.")
    description: str | None = Field(None, description="What it gives.")
    outputs: tuple[str, ...] | None = Field(None, description="Names, where it gives several series.")


class IndicatorsResponse(Response):
    """The vocabulary of expressions and scripts."""

    indicators: Annotated[tuple[Word, ...], TABLE] = Field((), description="Functions of series.")
    operators: Annotated[tuple[Word, ...], TABLE] = Field(
        (), description="Arithmetic, comparison, logic, crossings, windows."
    )
    variables: Annotated[tuple[Word, ...], TABLE] = Field((), description="Data: OHLCV, time, context, state.")
    categories: dict[str, int] | None = Field(None, description="Indicators per category.")


class HealthRequest(Request):
    """No arguments."""


class HealthResponse(Response):
    """Whether the service answers, and which one it is."""

    status: str | None = Field(None, description="ok, or what is wrong.")
    version: str | None = Field(None, description="Of the service.")
    source: str | None = Field(None, description="embedded or hosted.")
    data: str | None = Field(None, description="exchange; simulated; both: simulated and imported.")
    note: str | None = Field(None, description="What to keep in mind about the data and accounts.")
    time: Time | None = Field(None, description="The service's clock, ISO 8601 UTC.")
    seed: int | None = Field(None, description="Which simulated market this is.")
    imported_series: int | None = Field(None, description="Candle series imported from files.")
    database: str | None = Field(None, description="ok, or what is wrong.")


META_REGISTER: Final = Endpoint(
    "meta_register",
    "POST",
    "/meta/register",
    None,
    RegisterRequest,
    RegisterResponse,
    "Get a provisional API key (market data, backtests, arena).",
    at_most_once=True,
)
META_CAPABILITIES: Final = Endpoint(
    "meta_capabilities",
    "GET",
    "/meta/capabilities",
    "research",
    CapabilitiesRequest,
    CapabilitiesResponse,
    "What this API key may do: its endpoints, filtered by scope.",
)
META_INDICATORS: Final = Endpoint(
    "meta_indicators",
    "GET",
    "/meta/indicators",
    "research",
    IndicatorsRequest,
    IndicatorsResponse,
    "Indicators, operators and variables of expressions and scripts.",
)
META_HEALTH: Final = Endpoint(
    "meta_health", "GET", "/meta/health", None, HealthRequest, HealthResponse, "Whether the service is up."
)


class DocsRequest(Request):
    """No arguments."""


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
