"""Calls a declared endpoint and returns its response model, on the hosted service or the embedded engine.

The outcome decides whether a cancel succeeded: it may be requested again, and an already cancelled order is a success.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import quote, urlencode, urlsplit

import anyio
from pydantic import ValidationError

from api.endpoint import Endpoint, RequestT, ResponseT
from api.inputs import Request
from api.outputs import AmountStyle, to_wire

from .errors import HeyTradersError, InvalidInput, NotNow, OutcomeUnknown, RateLimited, Unavailable, clean, show
from .orders import ORDERS_CANCEL, ORDERS_LIST, CancelRequest, Order, OrdersRequest
from .transport import Answer, Garbled, Lost, NotSent, Wire, seconds_to_wait, server_time, unwrap

BackendKind = Literal["hosted", "embedded"]


@dataclass(frozen=True, slots=True)
class Retries:
    """How GETs are retried: full jitter below `base * 2**n` seconds, or the service's own delay.

    A delay of more than `patience` seconds is not waited for. `pause` waits and `draw` gives random numbers (0 to 1);
    tests replace both.
    """

    attempts: int = 3
    base: float = 0.25
    longest: float = 4.0
    patience: float = 10.0
    pause: Callable[[float], Awaitable[None]] = anyio.sleep
    draw: Callable[[], float] = random.random

    def wait(self, attempt: int, asked: float | None) -> float | None:
        """Seconds to wait after the failed `attempt` (from 0), or `None` to give up."""
        if attempt + 1 >= self.attempts:
            return None
        if asked is not None:
            return asked if asked <= self.patience else None
        return self.draw() * min(self.longest, self.base * 2**attempt)


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The service's time, and this machine's time when the answer arrived; unix seconds."""

    said: float
    heard: float


_MAX_TIMED_BODY: Final = 64 * 1024
"""Larger answers are not parsed a second time for their timestamp."""

_LOOK: Final = {
    "orders": "orders_list shows whether the order exists, and its status.",
    "live": "live_subscriptions_list shows whether it was done.",
    "arena": "arena_profile shows whether it was done.",
    "backtest": "A second call may run the job a second time, which only costs quota.",
    "meta": "A second call may register a second agent.",
}
_TRANSIENT: Final = frozenset({500, 502, 503, 504})


class Client:
    """The HeyTraders API.

    Args:
        wire: From `transport.hosted` or `transport.embedded`.
        source: Which of the two it is. Texts of the embedded engine are our own and shown in full.
        amounts: How decimals are written in request bodies.
        retries: For GETs on the hosted service; the embedded engine would only fail the same way again.
        now: This machine's clock, unix seconds.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        source: BackendKind,
        amounts: AmountStyle = "number",
        retries: Retries | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.source: BackendKind = source
        self._wire = wire
        self._amounts: AmountStyle = amounts
        self._retries = retries or (Retries() if source == "hosted" else Retries(attempts=1))
        self._now = now
        self._last: tuple[bytes, float] | None = None

    @property
    def server_time(self) -> ServerTime | None:
        """The service's time according to its last answer, if that contained it."""
        if self._last is None:
            return None
        body, heard = self._last
        said = server_time(body)
        return None if said is None else ServerTime(said, heard)

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Send `request` and read the answer.

        Only GETs are ever sent twice.

        Raises:
            HeyTradersError: Classed by who must act next. `Unavailable` means that nothing was changed;
                `OutcomeUnknown` means that a call which changes something may have got through.
        """
        if self.source == "hosted":
            _check_additions(request)
        url, body = address(self._wire.base_url, endpoint, request, self._amounts)
        answer = await self._answer(endpoint, url, body)
        self._note_time(answer)
        if 300 <= answer.status < 400:
            raise _unclear(endpoint, f"the service redirects to {_host(answer.location)}; redirects are not followed")
        garbled = ""
        try:
            data = unwrap(answer.status, answer.body, trusted=self.source == "embedded", retry_after=answer.retry_after)
            return endpoint.response.model_validate(data)
        except Garbled as unreadable:
            garbled = str(unreadable)
        except ValidationError as wrong:
            garbled = f"the answer does not match the API: {_fields(wrong)}"
        except Unavailable as failed:
            if not _changes_something(endpoint):
                raise
            garbled = f"the service reports an internal error: {failed.message}"
        raise _unclear(endpoint, garbled)

    async def send_once(self, endpoint: Endpoint[RequestT, Any], request: RequestT) -> Answer:
        """Send `request` once, over a new connection, and return the raw answer.

        For requests that must never be sent twice. The caller decides from the answer whether it took effect.

        Raises:
            NotSent: No connection was made; nothing happened.
            Lost: It may have arrived, but no complete answer came back.
            InvalidInput: A path field would lead out of the endpoint's path; nothing was sent.
        """
        url, body = address(self._wire.base_url, endpoint, request, self._amounts)
        answer = await self._wire.send_once(endpoint.method, url, body)
        self._note_time(answer)
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    def _note_time(self, answer: Answer) -> None:
        if len(answer.body) <= _MAX_TIMED_BODY:
            self._last = (answer.body, self._now())

    async def _answer(self, endpoint: Endpoint[Any, Any], url: str, body: bytes | None) -> Answer:
        """The first final answer; GETs are retried while the trouble may pass."""
        attempt = 0
        while True:
            outcome = await self._try(endpoint, url, body)
            wait = self._wait(endpoint, attempt, outcome)
            if wait is None:
                return _final(endpoint, outcome)
            await self._retries.pause(wait)
            attempt += 1

    async def _try(self, endpoint: Endpoint[Any, Any], url: str, body: bytes | None) -> Answer | NotSent | Lost:
        try:
            return await self._wire.send(endpoint.method, url, body)
        except (NotSent, Lost) as failure:
            return failure

    def _wait(self, endpoint: Endpoint[Any, Any], attempt: int, outcome: Answer | NotSent | Lost) -> float | None:
        if endpoint.method != "GET":
            return None
        if not isinstance(outcome, Answer):
            return self._retries.wait(attempt, None)
        if outcome.status != 429 and outcome.status not in _TRANSIENT:
            return None
        return self._retries.wait(attempt, seconds_to_wait(outcome.retry_after))


def _final(endpoint: Endpoint[Any, Any], outcome: Answer | NotSent | Lost) -> Answer:
    if isinstance(outcome, NotSent):
        raise Unavailable(f"{outcome}; nothing was sent", suggestion="Check the network and HEYTRADERS_BASE_URL.")
    if isinstance(outcome, Lost):
        raise _unclear(endpoint, str(outcome))
    return outcome


def _changes_something(endpoint: Endpoint[Any, Any]) -> bool:
    """GETs change nothing, and neither do the POSTs that only compute."""
    return endpoint.method != "GET" and (endpoint.method != "POST" or endpoint.at_most_once)


def _unclear(endpoint: Endpoint[Any, Any], reason: str) -> HeyTradersError:
    """The error for an exchange without a readable answer."""
    if _changes_something(endpoint):
        return OutcomeUnknown(f"{endpoint.name}: {reason}", suggestion=_LOOK.get(endpoint.section, ""))
    health = "" if endpoint.name == "meta_health" else "; meta_health shows how the service is"
    return Unavailable(f"{endpoint.name}: {reason}", suggestion=f"Try again later{health}.")


def _host(location: str) -> str:
    """The host of a redirect, without its path and query, which may hold secrets."""
    try:
        return show(urlsplit(location).hostname or "another path")
    except ValueError:
        return "another address"


def _fields(error: ValidationError) -> str:
    """Which fields of an answer were wrong, without their values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return ", ".join(clean(".".join(map(str, p["loc"])), 60) or "the whole" for p in problems)


def _check_additions(request: Request) -> None:
    """Refuse fields that the hosted service would ignore, so that its answer fits the request.

    Raises:
        InvalidInput: A field that only the embedded engine reads has a value of its own.
    """
    fields = type(request).model_fields
    given = [name for name in fields if name in request.additions and getattr(request, name) != fields[name].default]
    if given:
        raise InvalidInput(
            f"the hosted service does not take {', '.join(given)}",
            suggestion="Leave it out, or use the embedded engine, without a key",
        )


def address(
    base_url: str, endpoint: Endpoint[Any, Any], request: Request, amounts: AmountStyle
) -> tuple[str, bytes | None]:
    """URL and body of a request. Fields outside the path go to the query of GET and DELETE, else to the JSON body.

    Raises:
        InvalidInput: A path field would lead out of the endpoint's path.
    """
    fields = request.model_dump(exclude_none=True)
    path = endpoint.path
    for name in endpoint.path_fields:
        segment = str(fields.pop(name))
        if segment.strip(".") == "" or "/" in segment or "\\" in segment:
            raise InvalidInput(f"{name} {show(segment)} is not an id", suggestion="Copy the id from an earlier result.")
        path = path.replace(f"{{{name}}}", quote(segment, safe=""))
    url = base_url + path
    if endpoint.method not in {"GET", "DELETE"}:
        return url, to_wire(fields, amounts).encode()
    query = urlencode([(name, text) for name, value in fields.items() for text in _texts(value)])
    return (f"{url}?{query}" if query else url), None


def _texts(value: object) -> list[str]:
    """A query value as text; a list becomes the same name several times."""
    if isinstance(value, list | tuple):
        return [text for item in cast("list[object]", value) for text in _texts(item)]
    if isinstance(value, str):
        return [value]
    return [to_wire(value).strip('"')]


WAITS: Final = (0.3, 1.0)
"""Seconds before the second and the third try."""

_LISTED: Final = 200


async def cancel_order(
    client: Client, request: CancelRequest, *, pause: Callable[[float], Awaitable[None]] = anyio.sleep
) -> Order:
    """Cancel it, in up to three attempts while the trouble may pass. A refusal is checked against the list of orders.

    Raises:
        HeyTradersError: As far as the service shows, it is not cancelled; the message says why.
    """
    trouble = await _try(client, request)
    for wait in WAITS:
        if not isinstance(trouble, OutcomeUnknown | NotNow) or _asks_for_more(trouble):
            break
        await pause(wait)
        trouble = await _try(client, request)
    if isinstance(trouble, Order):
        return trouble
    shown = await _shown(client, request)
    if shown is not None and shown.status == "CANCELLED":
        return shown
    raise trouble


async def _try(client: Client, request: CancelRequest) -> Order | InvalidInput | NotNow | OutcomeUnknown:
    try:
        return await client.call(ORDERS_CANCEL, request)
    except (InvalidInput, NotNow, OutcomeUnknown) as error:
        return error


def _asks_for_more(trouble: HeyTradersError) -> bool:
    """Whether the service demands a longer pause than we wait here."""
    return isinstance(trouble, RateLimited) and (trouble.retry_after or 0.0) > WAITS[-1]


async def _shown(client: Client, request: CancelRequest) -> Order | None:
    """The order, if it is among the newest in the list."""
    asked = OrdersRequest(account_id=request.account_id, exchange=request.exchange, limit=_LISTED)
    try:
        listed = await client.call(ORDERS_LIST, asked)
    except HeyTradersError:
        return None
    return next((each for each in listed.orders if request.order_id in {each.order_id, each.exchange_order_id}), None)
