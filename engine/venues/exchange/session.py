"""Access to exchanges through ccxt. This is the only module that imports it.

A session is one exchange with or without the keys of one account. All sessions of a process run in one background
event loop, so that several threads can use them. Every request waits for its turn; turns are shared by all processes
of a database. Reads are retried. A request that changes something is sent once, whatever the result.

ccxt logs keys, keeps them in its fields and puts signatures into its exception texts. None of that leaves this module:
its logger is silenced, its fields stay empty (`wire`), and errors are reported in our own words.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from api.errors import HeyTradersError, InvalidInput, NotAuthorised, NotFound, RateLimited, Unavailable, UserMustAct
from api.exchanges import EXCHANGES, ExchangeId
from engine.store.exchange_data import hold_back, take_turn
from engine.venues.exchange.convention import Convention
from engine.venues.exchange.conventions import CONVENTIONS

from .wire import (
    PATIENCE,
    Trace,
    careful,
    grouping,
    hashing,
    knowing_its_kind,
    paying_nobody,
    refusal_in,
    retry_after,
    signing_library,
    trace_of,
)

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from engine.store.database import Store

T = TypeVar("T")
Turn = Callable[[str, float, str | None], Awaitable[str]]
"""Waits for the turn of a request, at most so long, by its body; returns the address to ask."""

TRIES: Final = 3
READ_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 30.0
DOWNLOAD_SECONDS: Final = 120.0
_FIRST_PAUSE: Final = 0.25
_NO_RETRY_AFTER: Final = 30.0
WRONG_CLOCK: Final = frozenset({"-1021", "REQUEST_EXPIRED", "21711"})
_WRONG_KEY: Final = frozenset({"20013"})
"""Codes for which ccxt's error class says something else, or nothing. 20013 is Lighter's "invalid auth"."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of one account, in the order of its exchange's `credentials`. Never shown."""

    values: tuple[str, ...] = field(repr=False)
    testnet: bool = False


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The outcome of a request that changes something.

    `answer` is the answer as parsed by ccxt, if any. `sent` is false only if it is certain that nothing reached the
    exchange. `status` and `body` are the raw answer; `problem` is the error in our own words.
    """

    answer: Mapping[str, Any] | None
    sent: bool
    status: int | None
    body: str
    problem: str


def available() -> bool:
    """Whether ccxt is installed."""
    from importlib.util import find_spec

    return find_spec("ccxt") is not None


def missing() -> UserMustAct:
    """The error when ccxt is needed but not installed."""
    return UserMustAct(
        "exchanges are reached through the package ccxt, which is not installed",
        suggestion="Install heytraders-mcp[exchanges]",
        code="INTERNAL_ERROR",
    )


class Connector:
    """All sessions of a process. Blocking: use it in a thread.

    Args:
        store: The database that schedules turns.
        urls: Servers that replace the exchanges' own, by exchange: scheme, host and port.
    """

    def __init__(self, store: Store, urls: Mapping[ExchangeId, str]) -> None:
        self._store = store
        self._urls = urls
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._running: AbstractContextManager[BlockingPortal] | None = None
        self._sessions: dict[tuple[ExchangeId, tuple[str, Keys] | None], Any] = {}

    def url_of(self, exchange: ExchangeId, url: str) -> str:
        """The URL to use in place of `url`."""
        other = self._urls.get(exchange)
        if other is None:
            return url
        parts = urlsplit(url)
        return f"{other}{parts.path}{'?' if parts.query else ''}{parts.query}"

    def read(
        self,
        exchange: ExchangeId,
        method: str,
        *args: Any,
        account: tuple[str, Keys] | None = None,
        markets: Callable[[], list[Any]] | None = None,
        patience: float = PATIENCE,
        **params: Any,
    ) -> Any:
        """Call a read-only ccxt method; numbers in its answer are strings.

        Args:
            exchange: The exchange.
            method: Name of the method.
            args: The method's arguments.
            account: Name and keys, for private data.
            markets: Returns the market list if the session has none yet.
            patience: Longest wait for a turn, in seconds.
            params: The method's extra parameters.

        Raises:
            Unavailable: The exchange cannot be reached, or its answer is unusable.
            RateLimited: It requires a longer pause than `patience`.
            NotAuthorised: It does not accept the keys.
            NotFound: It does not know the symbol or the order.
        """
        session = self._session(exchange, account, markets)
        pause = _FIRST_PAUSE
        for attempt in range(1, TRIES + 1):
            try:
                return self._call(self._asked(session, exchange, method, args, params, patience))
            except RateLimited as limited:
                if attempt == TRIES or (limited.retry_after or 0) > patience:
                    raise
                time.sleep(limited.retry_after or pause)
            except Unavailable:
                if attempt == TRIES:
                    raise
                time.sleep(pause)
            pause *= 2
        raise AssertionError

    def write(
        self, exchange: ExchangeId, method: str, *args: Any, account: tuple[str, Keys], markets: Any, **params: Any
    ) -> WriteResult:
        """Call a ccxt method that changes something, once. Never raises for an error of the exchange."""
        session = self._session(exchange, account, markets)
        return self._call(self._sent(session, method, args, params))

    def download(self, exchange: ExchangeId, url: str, patience: float) -> bytes | None:
        """A public file; `None` if the server has no such file.

        Raises:
            Unavailable: The server cannot be reached, or failed.
            RateLimited: It requires a longer pause than `patience`.
        """
        session = self._session(exchange, None, None)

        async def work() -> tuple[int, bytes, float]:
            import aiohttp

            session.open(lazy=True)
            asked = await session.house_turn(url, patience, None)
            try:
                async with session.session.get(asked, timeout=aiohttp.ClientTimeout(total=DOWNLOAD_SECONDS)) as answer:
                    pause = retry_after(answer.headers)
                    return answer.status, await answer.read(), _NO_RETRY_AFTER if pause is None else pause
            except (aiohttp.ClientError, TimeoutError):
                return 0, b"", 0.0

        status, content = 0, b""
        for _ in range(TRIES):
            status, content, pause = self._call(work)
            if status in {418, 429}:
                self._hold_back(exchange, pause)
            elif 0 < status < 500:
                break
        if status in {403, 404}:
            return None
        if status != 200:
            raise Unavailable(
                f"{urlsplit(url).hostname} did not return {urlsplit(url).path}", suggestion="Try again later"
            )
        return content

    def close(self) -> None:
        """Close all sessions and the loop they run in."""
        with self._lock:
            portal, running = self._portal, self._running
            sessions = list(self._sessions.values())
            self._portal = self._running = None
            self._sessions.clear()
        if portal is None or running is None:
            return

        async def work() -> None:
            # each session waits a quarter of a second for its TLS connections to end: all at once
            await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)

        portal.call(work)
        running.__exit__(None, None, None)

    def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        with self._lock:
            if self._portal is None:
                from anyio.from_thread import start_blocking_portal

                self._running = start_blocking_portal("asyncio")
                self._portal = self._running.__enter__()
            portal = self._portal
        return portal.call(work)

    def _session(
        self, exchange: ExchangeId, account: tuple[str, Keys] | None, markets: Callable[[], list[Any]] | None
    ) -> Any:
        key = (exchange, account)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = _open(CONVENTIONS[exchange], None if account is None else account[1], self._wired(exchange))
                session.ssl_context = _certificates(session.cafile)
                if self._urls.get(exchange, "").startswith("http:"):
                    session.timeout_on_exit = 0  # connections without TLS end at once
                self._sessions[key] = session
        if markets is not None and not CONVENTIONS[exchange].lists_outcomes and not session.markets:
            session.set_markets(markets())
        return session

    def _wired(self, exchange: ExchangeId) -> Turn:
        row = CONVENTIONS[exchange]

        async def turn(url: str, patience: float, body: str | None) -> str:
            wait = await asyncio.to_thread(self._turn, row, 1.0 if not body else row.turns(body))
            if wait > patience:
                raise RateLimited(
                    f"{EXCHANGES[exchange].name} may be asked again in {wait:.0f} s",
                    suggestion="Wait that long; what is stored stays usable",
                    retry_after=wait,
                )
            await asyncio.sleep(wait)
            return self.url_of(exchange, url)

        return turn

    def _turn(self, row: Convention, turns: float) -> float:
        now = time.time()
        return self._store.write_now(lambda c: take_turn(c, row.ccxt_id, row.interval, row.burst, now, turns))

    def _hold_back(self, exchange: ExchangeId, pause: float) -> None:
        """Let no process of this home send a request for `pause` seconds."""
        until = time.time() + pause
        self._store.write_now(lambda c: hold_back(c, CONVENTIONS[exchange].ccxt_id, until))

    def _asked(
        self, session: Any, exchange: ExchangeId, method: str, args: Any, params: Any, patience: float
    ) -> Callable[[], Awaitable[Any]]:
        async def work() -> Any:
            trace = Trace(patience)
            trace_of.set(trace)
            try:
                return await getattr(session, method)(*args, **params)
            except HeyTradersError:
                raise
            except Exception as error:  # noqa: BLE001 - ccxt raises anything, even TypeError; none of it is shown
                translated = _translated(exchange, method, error, trace)
            if isinstance(translated, RateLimited):
                pause = translated.retry_after or _NO_RETRY_AFTER
                await asyncio.to_thread(self._hold_back, exchange, pause)
            raise translated from None

        return work

    def _sent(self, session: Any, method: str, args: Any, params: Any) -> Callable[[], Awaitable[WriteResult]]:
        async def work() -> WriteResult:
            trace = Trace(WRITE_SECONDS)
            trace_of.set(trace)
            problem, refused = "", False
            answer: Any = None
            try:
                answer = await getattr(session, method)(*args, **params)
            except Exception as error:  # noqa: BLE001 - any error is judged by what was seen on the wire
                problem, refused = _in_words(error, trace), _was_refused(error)
            sent = trace.writes > 1 or (trace.writes == 1 and not refused)
            read = cast("Mapping[str, Any]", answer) if isinstance(answer, dict) else None
            return WriteResult(read, sent, trace.status, trace.body, problem)

        return work


@cache
def _certificates(file: str) -> ssl.SSLContext:
    """The certificates that ccxt trusts, read once: each session would take 30 ms for them."""
    return ssl.create_default_context(cafile=file)


def _open(row: Convention, keys: Keys | None, turn: Turn) -> Any:
    """An instance of the exchange's class with our safeguards.

    Raises:
        UserMustAct: ccxt, or the package that signs orders for it, is not installed.
    """
    try:
        import ccxt.async_support as exchanges
        import ccxt.prediction as predictions
    except ImportError as error:
        raise missing() from error
    home: Any = predictions if row.lists_outcomes else exchanges
    login: dict[str, Any] = {} if keys is None else row.login(keys.values)
    options = {**row.options, **login.pop("options", {}), "maxRetriesOnFailure": 0}
    if keys is not None and keys.testnet:
        options |= row.testnet_options
    if keys is not None and row.native_signer is not None:
        options["libraryPath"] = signing_library(row.native_signer)
    config: dict[str, Any] = {
        "enableRateLimit": False,
        "timeout": int((READ_SECONDS if keys is None else WRITE_SECONDS) * 1_000),
        "options": options,
        **login,
    }
    made = paying_nobody(getattr(home, row.ccxt_id))
    if row.lists_outcomes:
        made = hashing(made)
    if row.exits == "position group":
        made = grouping(made)
    if row.unified_account != "none":
        made = knowing_its_kind(made)
    session: Any = careful(made, row.hidden_fee)(config)
    session.house_turn = turn
    session.number = str
    session.has["fetchCurrencies"] = False
    if keys is not None and keys.testnet and row.testnet == "demo trading":
        session.enable_demo_trading(enable=True)
    elif keys is not None and keys.testnet:
        session.set_sandbox_mode(True)
    return session


def _was_refused(error: BaseException) -> bool:
    """Whether no connection was made, the only proof that nothing was sent."""
    import aiohttp

    return isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _translated(exchange: ExchangeId, method: str, error: Exception, trace: Trace) -> HeyTradersError:
    """A ccxt error in our own words; the error class depends on what the user can do about it."""
    import ccxt

    name = EXCHANGES[exchange].name
    if trace.status in {418, 429} or isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return RateLimited(
            f"{name} asks for a pause",
            suggestion="Wait and try again",
            retry_after=trace.retry_after or _NO_RETRY_AFTER,
        )
    if isinstance(error, ccxt.OrderNotFound) or (method, trace.status) == CONVENTIONS[exchange].says_missing:
        return NotFound(f"{name} does not know that order", code="ORDER_NOT_FOUND")
    if isinstance(error, ccxt.BadSymbol):
        return NotFound(f"{name} does not list that symbol", suggestion="market_tickers shows what it lists")
    code, said = refusal_in(trace.body)
    why = _in_words(error, trace) + (f", {said}" if said else "")
    if isinstance(error, ccxt.InvalidNonce) or code in WRONG_CLOCK:
        return UserMustAct(
            f"{name} refuses the time of this request: this machine's clock is wrong ({why})",
            suggestion="Set the clock, then try again",
            code="VALIDATION_ERROR",
        )
    refused = isinstance(error, (ccxt.AuthenticationError, ccxt.PermissionDenied)) or code in _WRONG_KEY
    if trace.status == 401 or refused:
        return NotAuthorised(
            f"{name} does not accept this key for this request ({why})",
            suggestion="Check the key's rights and the addresses it is bound to, then connect the account again",
        )
    if trace.status == 451:
        return UserMustAct(
            f"{name} does not serve the country of this machine's address (HTTP 451)",
            suggestion="Use an exchange that does",
            code="VALIDATION_ERROR",
        )
    if isinstance(error, ccxt.NotSupported):
        return InvalidInput(f"{name} does not offer that")
    return Unavailable(
        f"{name} cannot be reached" if _was_refused(error) else f"{name} gave no usable answer: {why}",
        suggestion="Try again later; what is stored stays usable",
    )


def _in_words(error: Exception, trace: Trace) -> str:
    """The error, without any of ccxt's text."""
    import ccxt

    if isinstance(error, HeyTradersError):
        return error.message
    if _was_refused(error):
        return "it cannot be reached"
    if isinstance(error, ccxt.RequestTimeout) and trace.status is None:
        return "no answer in time"
    if trace.status is None:
        return "the connection broke" if trace.requests else "no request could be made of it"
    return f"HTTP {trace.status}" + ("" if isinstance(error, ccxt.BaseError) else ", which cannot be read")
