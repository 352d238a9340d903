"""The meta section: registration, permissions of a key, the vocabulary of expressions, health."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.errors import HeyTradersError, InvalidInput, fold, show
from api.meta import (
    META_CAPABILITIES,
    META_HEALTH,
    META_INDICATORS,
    META_REGISTER,
    CapabilitiesRequest,
    CapabilitiesResponse,
    Capability,
    HealthRequest,
    HealthResponse,
    IndicatorsRequest,
    IndicatorsResponse,
    RegisterRequest,
    RegisterResponse,
    Word,
)
from api.times import iso8601
from engine.access import ALL_SCOPES, AgentProfile, ApiCaller
from engine.engine import Engine
from engine.language.catalogue import OperatorEntry, VariableEntry, catalogue
from engine.language.words import looked_for
from engine.store.candles import series_table

from .binding import Route, route

_VERSION: Final = version("heytraders-mcp")
_SIMULATED: Final = "Prices are simulated, accounts are paper: nothing here is a real market."
_EXCHANGE: Final = (
    "Prices are the exchanges' own, or imported from files; none is simulated. Each result names its source."
)
_IMPORTED: Final = "Imported candles are used where there are any; all other prices are simulated. Accounts are paper."


async def register(engine: Engine, caller: ApiCaller, request: RegisterRequest) -> RegisterResponse:
    """Create a provisional agent; its key is shown only here."""
    profile = AgentProfile(request.display_name, request.description, request.strategy_type, request.risk_profile)
    made = await engine.access.register(profile, caller.address)
    return RegisterResponse(
        api_key=made.api_key,
        agent_id=made.agent_id,
        key_id=made.key_id,
        quota=await _quota(engine, made.caller(caller.address)),
        scopes=made.scopes,
    )


async def capabilities(engine: Engine, caller: ApiCaller, _request: CapabilitiesRequest) -> CapabilitiesResponse:
    """The endpoints within the key's scopes, in the order of the API document."""
    from api.catalogue import ENDPOINTS

    allowed = (e for e in ENDPOINTS if e.scope is None or e.scope in caller.scopes)
    return CapabilitiesResponse(
        agent_id=caller.agent_id,
        scopes=tuple(scope for scope in ALL_SCOPES if scope in caller.scopes),
        quota=await _quota(engine, caller),
        endpoints=tuple(
            Capability(name=e.name, method=e.method, path=e.path, scope=e.scope, description=e.summary) for e in allowed
        ),
    )


async def indicators(_engine: Engine, _caller: ApiCaller, request: IndicatorsRequest) -> IndicatorsResponse:
    """The vocabulary of the expression language, from its registry."""
    return vocabulary(request.search, request.category)


async def health(engine: Engine, _caller: ApiCaller, _request: HealthRequest) -> HealthResponse:
    """Whether the database answers, and the source of the data."""
    database, imported = "ok", None
    try:
        imported = await engine.store.read(_count_series)
    except (HeyTradersError, SQLAlchemyError):
        database = "unavailable"
    return HealthResponse(
        status="ok" if database == "ok" else "degraded",
        version=_VERSION,
        source="embedded",
        data=_data(engine, imported),
        note=_EXCHANGE if engine.settings.data == "exchange" else _IMPORTED if imported else _SIMULATED,
        time=iso8601(engine.clock.now()),
        seed=engine.settings.seed,
        imported_series=imported,
        database=database,
    )


def _data(engine: Engine, imported: int | None) -> str:
    if engine.settings.data == "exchange":
        return "exchange"
    return "both" if imported else "simulated"


def _count_series(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(series_table)).scalar_one()


async def _quota(engine: Engine, caller: ApiCaller) -> dict[str, Any]:
    allowances = await engine.access.allowances(caller)
    return {a.name: {"used": a.used, "limit": a.limit, "period": a.period} for a in allowances}


ROUTES: Final[tuple[Route, ...]] = (
    route(META_REGISTER, register),
    route(META_CAPABILITIES, capabilities),
    route(META_INDICATORS, indicators),
    route(META_HEALTH, health),
)


def vocabulary(search: str | None, category: str | None) -> IndicatorsResponse:
    """Indicators, operators and variables, filtered by `search` in name or description.

    If no name or description has it, those with each of its words are found, or else those that it is another name of.

    Raises:
        InvalidInput: There is no such category.
    """
    indicators, operators, variables = _words()
    categories = Counter(word.category or "" for word in indicators)
    known = sorted({word.category or "" for word in (*indicators, *operators, *variables)})
    if category is not None and fold(category) not in map(fold, known):
        raise InvalidInput(f"category {show(category)} is not known", suggestion=f"Choose one of {', '.join(known)}")

    phrase = (search or "").casefold()
    everything = (*indicators, *operators, *variables)
    texts = {word.name: f"{word.name} {word.description}".casefold() for word in everything}
    names = {name for name, text in texts.items() if phrase in text}
    if not names:
        names = {name for name, text in texts.items() if all(part in text for part in phrase.split())}
        names |= set(looked_for(phrase))

    def wanted(word: Word) -> bool:
        return word.name in names and (category is None or fold(word.category or "") == fold(category))

    return IndicatorsResponse(
        indicators=tuple(filter(wanted, indicators)),
        operators=tuple(filter(wanted, operators)),
        variables=tuple(filter(wanted, variables)),
        categories=dict(sorted(categories.items())),
    )


@lru_cache(maxsize=1)
def _words() -> tuple[tuple[Word, ...], tuple[Word, ...], tuple[Word, ...]]:
    known = catalogue()
    return (
        tuple(map(_word, known.indicators)),
        tuple(map(_word, known.operators)),
        tuple(map(_variable, known.variables)),
    )


def _word(entry: OperatorEntry) -> Word:
    return Word(
        name=entry.name,
        signature=entry.signature,
        category=entry.category,
        description=entry.description,
        outputs=entry.outputs if len(entry.outputs) > 1 else None,
    )


def _variable(entry: VariableEntry) -> Word:
    note = "" if entry.available else " No feed has it here: reading it is DATA_UNAVAILABLE."
    return Word(
        name=entry.name, signature=None, category=entry.group, description=f"{entry.description}{note}", outputs=None
    )
