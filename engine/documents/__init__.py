"""The four public documents: two are written by hand, two are generated from the engine's own definitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from api.endpoint import Endpoint
from api.errors import HTTP_STATUS, ErrorCode
from api.exchanges import EXCHANGES
from api.parameter_tables import ParameterRow, rows, strategy_tables
from engine.access import KeyLimits, QuotaSettings

Slug = Literal["signal-dsl", "operators", "data", "api-reference"]

SLUGS: Final[tuple[Slug, ...]] = get_args(Slug)

TITLES: Final[dict[Slug, tuple[str, str]]] = {
    "signal-dsl": ("Script guide", "The whole Signal DSL: syntax, execution modes, intents, examples."),
    "operators": ("Operators and indicators", "Every operator and indicator with its signature."),
    "data": ("Data variables", "What a script can read: prices, time, state, context, on-chain."),
    "api-reference": ("API reference", "Every endpoint with its parameters, results, errors and exchange notes."),
}
"""Title and description."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document."""

    slug: Slug
    title: str
    description: str
    content: str

    @property
    def size(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.content.encode())


class Library:
    """The four documents, each read or generated on first use. Blocking."""

    def __init__(self, quotas: QuotaSettings) -> None:
        self._quotas = quotas
        self._read: dict[Slug, Document] = {}

    def document(self, slug: Slug) -> Document:
        """One document."""
        if slug not in self._read:
            sources: dict[Slug, Callable[[], str]] = {
                "operators": _operators,
                "api-reference": self._api_reference,
            }
            content = sources[slug]() if slug in sources else _written(slug)
            self._read[slug] = Document(slug, *TITLES[slug], content)
        return self._read[slug]

    def _api_reference(self) -> str:
        from api.catalogue import ENDPOINTS
        from engine.documents import render

        return render(ENDPOINTS, self._quotas)


def _written(slug: Slug) -> str:
    return files("engine.documents").joinpath(f"{slug}.md").read_text(encoding="utf-8")


@cache
def _operators() -> str:
    from engine.language.catalogue import render

    return render()


_TITLES: Final = {
    "meta": "Meta",
    "market": "Market data and screening",
    "accounts": "Accounts",
    "orders": "Orders",
    "docs": "Documents",
    "backtest": "Backtests",
    "live-strategies": "Live strategies",
    "arena": "Community arena",
}

ERRORS: Final[dict[ErrorCode, str]] = {
    "VALIDATION_ERROR": "A parameter is missing, unknown or out of range. A wrong path is 404, a wrong method 405.",
    "BACKTEST_NOT_FOUND": "No backtest job or result has this id.",
    "STRATEGY_NOT_FOUND": "No live strategy has this id.",
    "SUBSCRIPTION_NOT_FOUND": "No subscription has this id.",
    "ORDER_NOT_FOUND": "No order has this id.",
    "INVALID_API_KEY": "The key is missing or not known.",
    "EXPIRED_API_KEY": "The key was valid once.",
    "INSUFFICIENT_PERMISSIONS": "The key lacks the scope that the endpoint needs; the message names it.",
    "RATE_LIMITED": "A quota is used up; the header `Retry-After` says for how many seconds.",
    "INTERNAL_ERROR": "The engine failed. The message never says how; its log does.",
    "DATA_UNAVAILABLE": "Symbol, account, document or candles do not exist; the message says what does.",
    "TA_OUT_OF_RANGE": "An indicator's period is longer than the history; the message names both.",
}

_EXCHANGE_IDS: Final = " / ".join(json.dumps(exchange) for exchange in EXCHANGES)

_OPENING: Final = """# HeyTraders API reference

Generated from the declarations that the engine, the client and the tools share.

Paths are below the base URL, `/api/v1`. GET and DELETE take parameters in the query (a list as repeated keys or as one
JSON list), the others one JSON object as the body. Unknown parameters are refused.

## Keys, scopes and limits

Send the key as `X-API-Key: <key>`; `Authorization: Bearer <key>` works as well. Scopes: `research` (market data,
backtests, arena), `read` (accounts, balances, orders), `trade` (place and cancel orders, subscribe).
`POST /meta/register` gives a provisional key with `research` that lasts {hours:g} hours.

| | Provisional key | Local key of the embedded engine |
|---|---|---|
{limits}

{registrations} registrations per hour and address. A used-up limit is `RATE_LIMITED` with a `Retry-After` header.

## Envelope

```json
{{"success": true, "data": {{}}, "error": null, "meta": {{"timestamp": "2026-01-01T00:00:00Z"}}}}
```
A failure has `"success": false`, `"data": null`, and in `"error"` a `code`, a `message` (what was wrong with which
value) and a `suggestion` (what to do next). Times are ISO 8601 in UTC. A field of
`data` is null, or left out, where it does not apply.
"""


def render(endpoints: Sequence[Endpoint[Any, Any]], quotas: QuotaSettings) -> str:
    """The whole reference as markdown."""
    parts = [_opening(quotas), "## Endpoints", _overview(endpoints)]
    for section, title in _TITLES.items():
        parts.append(f"## {title}")
        parts.extend(_endpoint(endpoint) for endpoint in endpoints if endpoint.path.split("/")[1] == section)
        if section == "backtest":
            parts.append(strategy_tables())
    notes = files("engine.documents").joinpath("exchange-notes.md").read_text(encoding="utf-8")
    parts += ["## Error codes", _errors(), "## Exchanges", _exchanges(), notes.strip()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _opening(quotas: QuotaSettings) -> str:
    rows_ = (("Requests per minute", "requests_per_minute"), ("Backtests per hour", "backtests_per_hour"))
    named = (*rows_, ("Backtests per day", "backtests_per_day"))
    return _OPENING.format(
        hours=quotas.provisional_key_seconds / 3600,
        limits="\n".join(_limit_row(title, name, quotas.provisional, quotas.local) for title, name in named),
        registrations=quotas.registrations_per_hour,
    )


def _limit_row(title: str, name: str, provisional: KeyLimits, local: KeyLimits) -> str:
    return _row(title, f"{getattr(provisional, name):,}", f"{getattr(local, name):,}")


def _overview(endpoints: Iterable[Endpoint[Any, Any]]) -> str:
    lines = [_row(e.method, f"`{e.path}`", e.scope or "no key", f"`{e.name}`", e.summary) for e in endpoints]
    return "\n".join(["| Method | Path | Scope | Name | What it does |", "|---|---|---|---|---|", *lines])


@cache
def _endpoint(endpoint: Endpoint[Any, Any]) -> str:
    needs = f"Needs a key with the scope `{endpoint.scope}`." if endpoint.scope else "Needs no key."
    notes = [endpoint.summary, needs]
    if endpoint.at_most_once:
        notes.append("Sending it twice does it twice: look before you repeat it.")
    if not endpoint.documented:
        notes.append("An addition of the embedded engine.")
    parts = [f"### {endpoint.method} {endpoint.path}", " ".join(notes)]
    request = list(rows(endpoint.request.model_json_schema(mode="validation")))
    if request:
        header = ["| Parameter | In | Type | Required | Default | Description |", "|---|---|---|---|---|---|"]
        parts.append("\n".join([*header, *(_parameter(endpoint, row) for row in request)]))
    response = list(rows(endpoint.response.model_json_schema(mode="serialization")))
    if response:
        lines = [_row(f"`{r.path}`", _short(r.type).removesuffix(" or null"), r.description) for r in response]
        parts.append("\n".join(["| Field of `data` | Type | Description |", "|---|---|---|", *lines]))
    return "\n\n".join(parts)


def _parameter(endpoint: Endpoint[Any, Any], row: ParameterRow) -> str:
    place = "query" if endpoint.method in {"GET", "DELETE"} else "body"
    place = "path" if row.path in endpoint.path_fields else place
    default = f"`{row.default}`" if row.default else ""
    return _row(f"`{row.path}`", place, _short(row.type), "yes" if row.required else "no", default, row.description)


def _short(type_text: str) -> str:
    """A type without the list of all exchanges, which has a separate table."""
    return type_text.replace(_EXCHANGE_IDS, "exchange id")


def _errors() -> str:
    lines = [_row(f"`{code}`", str(HTTP_STATUS[code]), meaning) for code, meaning in ERRORS.items()]
    return "\n".join(["| Code | Status | Meaning |", "|---|---|---|", *lines])


def _exchanges() -> str:
    lines = [_row(f"`{e.id}`", e.name, e.market_type, e.quote) for e in EXCHANGES.values()]
    return "\n".join(["| Id | Name | Market | Quote |", "|---|---|---|---|", *lines])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;').replace(chr(10), ' ') for cell in cells)} |"
