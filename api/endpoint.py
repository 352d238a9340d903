"""One declaration per endpoint. The client, the engine's routes and the tools are all derived from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, model_validator

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Scope = Literal["research", "read", "trade"]
"""`research`: market data, backtests, arena. `read`: balances and positions. `trade`: place and cancel orders."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Request(BaseModel):
    """What an endpoint accepts. Exact: an unknown field is an error, never dropped.

    A null for an argument that has a default and cannot be null means that it was not given.

    Attributes:
        synonyms: Other usual names of arguments, with exactly the argument's meaning and unit.
        absent: Usual names of what this request does not have, and what to do instead.
        additions: Fields that only the embedded engine reads; the hosted service would ignore them.
    """

    synonyms: ClassVar[Mapping[str, str]] = {}
    absent: ClassVar[Mapping[str, str]] = {}
    additions: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, Any]", data)
        return {name: value for name, value in given.items() if value is not None or not cls._drops_null(name)}

    @classmethod
    def _drops_null(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and not field.is_required() and NoneType not in get_args(field.annotation)


class Response(BaseModel):
    """What an endpoint answers. Tolerant: the hosted service documents few bodies, so unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT", bound=Response)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[RequestT, ResponseT]):
    """An endpoint of the API document.

    Attributes:
        name: `section_verb`; the tool of this endpoint has the same name.
        method: HTTP method.
        path: Path below the base URL. A `{placeholder}` is filled from the request field of that name.
        scope: The scope that the API key needs; `None` if no key is needed.
        request: Fields that are not in the path travel in the query of GET and DELETE, else in the JSON body.
        response: The `data` of the envelope.
        summary: One sentence for the API reference.
        at_most_once: We never send it a second time, whatever happens (orders, subscriptions, posts).
        documented: `False` for the engine's own additions to the API document.
    """

    name: str
    method: Method
    path: str
    scope: Scope | None
    request: type[RequestT]
    response: type[ResponseT]
    summary: str
    at_most_once: bool = False
    documented: bool = True

    @property
    def path_fields(self) -> tuple[str, ...]:
        """Names of the request fields in the path, in order."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def section(self) -> str:
        """The first word of the name: meta, market, accounts, orders, docs, backtest, live or arena."""
        return self.name.partition("_")[0]
