"""The gate with a real service: the engine as an ASGI application, whose money counts as simulated or real."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from anyio import to_thread
from pydantic import SecretStr

from api.client import Client, Retries
from api.orders import PlaceRequest
from api.times import AcceleratedClock
from api.transport import embedded
from engine.access import LOCAL_AGENT
from engine.engine import Engine, EngineSettings
from engine.routes import create_app
from safety.face import DialogAnswer
from safety.gate import Gate, GateContext
from safety.human.in_force import POLICY_FILE, order_words, sign
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.policy.evaluation import LIVE, PAPER, Policy
from safety.policy.limits import Limits
from safety.private_file import write_private
from safety.terms.intent import Intent
from safety.terms.proposal import Channels
from server.channels import Reached, local_channels
from server.gate import build_gate_context
from server.settings import Settings

NOON: Final = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""

ACCOUNT: Final = "paper-binance"
CHEAP: Final = 2**4
SIGNED: Final[dict[str, Any]] = {
    "trading": True,
    "accounts": frozenset({ACCOUNT}),
    "symbols": frozenset({"BTC/USDT", "ETH/USDT"}),
    "order_types": frozenset({"limit", "market"}),
    "max_amount": {"BTC/USDT": Decimal(1), "ETH/USDT": Decimal(10)},
    "max_notional": Decimal(200),
    "daily_notional": Decimal(1_000),
    "quote_age": 60,
    "seconds_between": 0,
    "per_minute": 60,
}
"""The limits that the human of these tests has signed, beside the defaults for real money."""


@dataclass
class Heard:
    """The requests that reached the service."""

    calls: list[str] = field(default_factory=list[str])
    refuse: Callable[[str], bool] = lambda _: False

    @property
    def changes(self) -> list[str]:
        """All requests other than GET."""
        return [call for call in self.calls if not call.startswith("GET ")]


@dataclass
class Place:
    """A gate and the surroundings that a test may inspect."""

    gate: Gate
    context: GateContext
    heard: Heard
    clock: AcceleratedClock
    key: SigningKey | None = None

    @property
    def ledger(self) -> Ledger:
        """The gate's ledger."""
        return self.context.ledger

    async def price(self, symbol: str = "BTC/USDT") -> Decimal:
        """The market price now."""
        quote = await self.context.judge.gathering.quote("binance", symbol)
        assert quote is not None
        return quote.price

    async def limit(self, share: str = "0.995", **terms: Any) -> PlaceRequest:
        """A limit order of about 50 USD at a share of the market price."""
        price = round(await self.price() * Decimal(share), 1)
        amount = round(Decimal(50) / price, 5)
        return order(order_type="limit", price=price, amount=amount, **terms)

    async def approve(self, intent_id: str) -> Intent:
        """Does what a human does at the command line."""
        intent = self.ledger.intent(intent_id)
        assert intent is not None
        assert self.key is not None
        signature = self.key.sign(order_words(intent))
        return await to_thread.run_sync(
            lambda: self.ledger.approve(intent_id, signature=signature, key_id=self.key.key_id)  # pyright: ignore[reportOptionalMemberAccess]
        )


@dataclass
class Dialog:
    """A client's dialog, with or without a person in front of it."""

    answer: DialogAnswer = "not_asked"
    available: bool = True
    questions: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])

    async def ask(self, intent_id: str, question: str) -> DialogAnswer:
        """Remember the question."""
        assert intent_id
        self.questions.append(question)
        return self.answer

    async def tell(self, done: float, total: float, message: str) -> None:
        """Remember the message."""
        assert 0 <= done <= total
        self.told.append(message)


def order(**terms: Any) -> PlaceRequest:
    """A market order for 0.0005 BTC by default."""
    given = {"account_id": ACCOUNT, "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.0005"}
    return PlaceRequest.model_validate({**given, **terms})


Open = Callable[..., Any]


@asynccontextmanager
async def opened(
    home: Path,
    *,
    hosted: bool,
    live: Mapping[str, Any] | None = None,
    paper: Mapping[str, Any] | None = None,
    webhook_secret: str | None = None,
) -> AsyncGenerator[Place]:
    """A gate.

    Args:
        home: An empty folder.
        hosted: Treat the engine as the hosted service, so that its money counts as real.
        live: Limits for real money that a human signs, beside the defaults; `None` signs nothing.
        paper: Limits for simulated money, signed as well.
        webhook_secret: The user's.
    """
    clock, heard = AcceleratedClock(NOON), Heard()
    async with AsyncExitStack() as stack:
        engine = await Engine.open(EngineSettings(home / "engine"), clock)
        stack.push_async_callback(engine.aclose)
        wire = embedded(_listening(create_app(engine), heard), SecretStr(await engine.access.local_key()))
        client = Client(wire, source="hosted" if hosted else "embedded", retries=Retries(attempts=1), now=clock.now)
        stack.push_async_callback(client.aclose)
        ledger = Ledger.open(home, now=clock.now)
        stack.callback(ledger.close)
        key = None
        if live is not None or paper is not None:
            key = enrol(home, "four unrelated words", cost=CHEAP)
            ledger.pin_approver(key.approver.public_key)
            policy = Policy(live=_with(LIVE, live), paper=_with(PAPER, paper))
            signed = sign(policy, 0, key, clock.now())
            ledger.store_policy(signed)
            write_private(home / POLICY_FILE, signed.toml)
        secret = None if webhook_secret is None else SecretStr(webhook_secret)
        settings = Settings(home=home, base_url="https://venue.test/api/v1" if hosted else None, webhook_secret=secret)
        channels = (
            Channels.hosted(settings.url) if hosted else local_channels(home, engine.venues.paper(LOCAL_AGENT).account)
        )
        context = build_gate_context(settings, Reached(client, channels), ledger, clock.now)
        yield Place(Gate.of(context), context, heard, clock, key)


def _with(limits: Limits, changed: Mapping[str, Any] | None) -> Limits:
    return Limits.model_validate({**{name: getattr(limits, name) for name in Limits.model_fields}, **(changed or {})})


def _listening(app: Any, heard: Heard) -> Any:
    async def listening(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            call = f"{scope['method']} {scope['path'].removeprefix('/api/v1')}"
            heard.calls.append(call)
            if heard.refuse(call):
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b"down"})
                return
        await app(scope, receive, send)

    return listening


@pytest.fixture
async def paper(tmp_path: Path) -> AsyncGenerator[Place]:
    """Simulated money without limits."""
    async with opened(tmp_path / "home", hosted=False) as place:
        yield place


@pytest.fixture
async def unsigned(tmp_path: Path) -> AsyncGenerator[Place]:
    """Real money without a signed policy."""
    async with opened(tmp_path / "home", hosted=True) as place:
        yield place


@pytest.fixture
async def live(tmp_path: Path) -> AsyncGenerator[Place]:
    """Real money under a signed policy."""
    async with opened(tmp_path / "home", hosted=True, live=SIGNED) as place:
        yield place
