"""A home with a policy signed for real orders, a service that counts what arrives, and a harness for attacks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.types import Implementation
from pydantic import SecretStr

from safety.human.in_force import POLICY_FILE, order_words, sign
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.policy.evaluation import LIVE, Policy
from safety.policy.text import write_policy
from server.app import open_server
from server.channels import ConnectedAccount, ConnectedAccounts, keep
from server.keys import keep_key
from server.settings import Settings
from tests.api.conftest import Recorded
from tests.conftest import Era
from tests.venues.fake_binance import FakeBinance
from tests.venues.fake_venue import serving

from .venue import ACCOUNT, CALM, SYMBOL, Venue, open_venue

KEY: Final = "x9Q5f1c9E7a20b84d63Zq-w_T"
PASSPHRASE: Final = "correct horse battery staple"
CHEAP: Final = 2**4
"""Cost of scrypt: these tests do not measure how long guessing takes."""


def policy(**live: Any) -> Policy:
    """Real orders for one symbol on one account, each with a human's approval; every other limit is loose."""
    loosened: dict[str, Any] = {
        "trading": True,
        "accounts": [ACCOUNT],
        "symbols": [SYMBOL],
        "max_amount": {SYMBOL: Decimal(1)},
        "seconds_between": 0,
        "per_minute": 1_000,
        "duplicate_seconds": 0,
        "quote_age": 120,
        "webhook_hosts": ["hooks.example.com"],
    }
    return Policy.model_validate({"live": LIVE.model_dump() | loosened | live})


@dataclass(frozen=True)
class Armed:
    """A home folder with a signed policy, and the human's key, which no attacker has."""

    home: Path
    key: SigningKey

    def approve(self, intent_id: str) -> None:
        """Does what `heytraders-mcp approve` does once the passphrase has opened the key."""
        with closing(Ledger.open(self.home)) as ledger:
            intent = ledger.intent(intent_id)
            assert intent is not None
            ledger.approve(intent_id, signature=self.key.sign(order_words(intent)), key_id=self.key.key_id)

    def pending(self) -> list[str]:
        """Ids of the intents that wait for the human."""
        with closing(Ledger.open(self.home)) as ledger:
            return [intent.intent_id for intent in ledger.intents(states={"PENDING"})]


Arm = Callable[..., Armed]


@pytest.fixture
def arm(tmp_path: Path) -> Arm:
    """`arm(elicitation_up_to=25)` creates a home whose human has signed that policy."""

    def armed(**live: Any) -> Armed:
        home = tmp_path / f"armed-{len(list(tmp_path.iterdir()))}"
        home.mkdir(mode=0o700)
        key = enrol(home, PASSPHRASE, cost=CHEAP)
        wanted = policy(**live)
        with closing(Ledger.open(home)) as ledger:
            ledger.pin_approver(key.approver.public_key)
            ledger.store_policy(sign(wanted, 0, key, time.time()))
        path = home / POLICY_FILE
        path.write_text(write_policy(wanted), encoding="utf-8")
        path.chmod(0o600)
        return Armed(home, key)

    return armed


@dataclass(frozen=True)
class Target:
    """What an attacker works with: a client of a server with real money, its service, and the user's files."""

    client: Client
    venue: Venue | ConnectedVenue
    armed: Armed
    era: Era

    @property
    def home(self) -> Path:
        """The user's files, for attackers that run as the user."""
        return self.armed.home


class PennyBinance(FakeBinance):
    """Binance with bitcoin at 100 dollars, as in the attackers' order."""

    def price(self, symbol: str) -> Decimal:
        """The last price."""
        return Decimal(100) if symbol == "BTCUSDT" else super().price(symbol)


class ConnectedVenue:
    """Binance as the attackers' venue. It has no free texts, so `words` and `claims` have no effect on it.

    Attributes:
        fake: The exchange itself.
        words: Unused.
        refuses: Unused.
        claims: Unused.
    """

    def __init__(self) -> None:
        self.fake = PennyBinance()
        self.fake.cash = {"USDT": Decimal(10_000)}
        self.words = CALM
        self.refuses = False
        self.claims: dict[str, Any] = {}

    @property
    def requests(self) -> list[Recorded]:
        """Every request received."""
        return [Recorded(each.method, each.path, each.headers, each.body.encode()) for each in self.fake.requests]

    @property
    def changes(self) -> list[str]:
        """Every request received that has an effect."""
        return [f"{each.method} {each.path}" for each in self.fake.requests if each.method != "GET"]

    @property
    def sent_orders(self) -> list[dict[str, Any]]:
        """The body of each request to place an order."""
        return [dict(each.form) for each in self.fake.requests if self.fake.places(each)]


Attack = Callable[..., AbstractAsyncContextManager[Target]]


@pytest.fixture
def attack(era: Era, arm: Arm) -> Attack:
    """`async with attack(dialog) as target:` sets up everything, in both protocol eras."""

    @asynccontextmanager
    async def on_hosted_service(
        dialog: ElicitationFnT | None = None, calls_itself: str = "attacker", **live: Any
    ) -> AsyncGenerator[Target]:
        armed = arm(**live)
        async with open_venue() as venue:
            keep_key(armed.home, venue.url, SecretStr(KEY), in_file=True)
            settings = Settings(home=armed.home, base_url=venue.url, signed_in=True)
            name = Implementation(name=calls_itself, version="1")
            async with (
                open_server(settings) as server,
                Client(server, mode=era, cache=None, elicitation_callback=dialog, client_info=name) as client,
            ):
                yield Target(client, venue, armed, era)

    return on_hosted_service


@pytest.fixture
def attack_connected(era: Era, arm: Arm) -> Attack:
    """The same for an exchange account that the user connected to the embedded engine."""

    @asynccontextmanager
    async def on_own_account(
        dialog: ElicitationFnT | None = None, calls_itself: str = "attacker", **live: Any
    ) -> AsyncGenerator[Target]:
        armed = arm(**live)
        account = ConnectedAccount(account_id=ACCOUNT, exchange="binance", labels_echoed=True, client_ids=True)
        keep(armed.home, account, (KEY, KEY[::-1]), in_file=True)
        ConnectedAccounts(armed.home).put(account)
        venue = ConnectedVenue()
        with serving(venue.fake) as url:
            settings = Settings(home=armed.home, data="exchange", venue_urls={"binance": url})
            name = Implementation(name=calls_itself, version="1")
            async with (
                open_server(settings) as server,
                Client(server, mode=era, cache=None, elicitation_callback=dialog, client_info=name) as client,
            ):
                yield Target(client, venue, armed, era)

    return on_own_account
