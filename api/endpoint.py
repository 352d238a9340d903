"""One declaration per endpoint. The client, the engine's routes and the tools are all derived from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from api.inputs import Request
from api.outputs import Response

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Scope = Literal["research", "read", "trade"]
"""`research`: market data, backtests, arena. `read`: balances and positions. `trade`: place and cancel orders."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


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
        path_fields: Names of the request fields in the path, in order.
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
    path_fields: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the fields in the path once."""
        object.__setattr__(self, "path_fields", tuple(_PLACEHOLDER.findall(self.path)))

    @property
    def section(self) -> str:
        """The first word of the name: meta, market, accounts, orders, docs, backtest, live or arena."""
        return self.name.partition("_")[0]
