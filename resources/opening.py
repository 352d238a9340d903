"""How a resource opens the API and the safety layer on first use, and how it completes a word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, get_args

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from api.errors import HeyTradersError, InvalidInput, explain
from api.exchanges import ExchangeId
from api.times import Timeframe

if TYPE_CHECKING:
    from api.client import Client
    from api.inputs import Request
    from safety.face import Gate

    RequestT = TypeVar("RequestT", bound=Request)

OpenedT = TypeVar("OpenedT")
OpenClient = Callable[[], Awaitable["Client"]]
OpenSafety = Callable[[], Awaitable["Gate"]]
Complete = Callable[[OpenClient, str], Awaitable[list[str]]]
"""From the typed text to its completions."""


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends that a resource may open."""

    client: OpenClient
    safety: OpenSafety


@asynccontextmanager
async def reading(opened: Callable[[], Awaitable[OpenedT]]) -> AsyncGenerator[OpenedT]:
    """Opens a backend, and turns its errors into errors that a resource may raise.

    A wrong id means that the resource does not exist.
    """
    try:
        yield await opened()
    except InvalidInput as error:
        raise ResourceNotFoundError(explain(error)) from error
    except HeyTradersError as error:
        raise ResourceError(explain(error)) from error


def ask(kind: type[RequestT], fields: Mapping[str, object]) -> RequestT:
    """The request that a URI names.

    Raises:
        InvalidInput: The URI has no valid id.
    """
    from pydantic import ValidationError

    from api.refusals import refuse

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise refuse(kind.__name__, kind, error, fields) from None


async def offered(open_client: OpenClient, list_ids: Callable[[Client], Awaitable[list[str]]], typed: str) -> list[str]:
    """The ids that begin with the typed text; none if the API cannot be reached."""
    try:
        found = await list_ids(await open_client())
    except HeyTradersError:
        return []
    return [each for each in found if each.startswith(typed.strip())]


def one_of(words: Iterable[str]) -> Complete:
    """Completes a closed set of words, ignoring case."""
    known = tuple(words)

    async def complete(_open_client: OpenClient, typed: str) -> list[str]:
        return [word for word in known if word.startswith(typed.strip().lower())]

    return complete


COMPLETES: Final[dict[str, Complete]] = {
    "exchange": one_of(get_args(ExchangeId)),
    "timeframe": one_of(get_args(Timeframe)),
    "mode": one_of(("signal", "trade")),
}
