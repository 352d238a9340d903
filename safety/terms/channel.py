"""Whose money an account holds and what can be relied upon there. The server builds it from what a human connected.

No answer of a service makes money simulated. An account that nobody has connected and no paper book holds is real.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from api.exchanges import ExchangeId

if TYPE_CHECKING:
    from .proposal import Action

Money = Literal["paper", "real"]

FIRST_NAMES: Final = {"paper": "embedded", "real": "hosted"}
"""How version 1 of a proposal wrote whose money it was, under the name `backend`."""

PAPER_SERVICE: Final = "embedded"
"""The service of simulated money. Everything booked under any other name is real."""

CONNECTED_SERVICE: Final = "connected"
"""The service of exchange accounts that a human connected to the embedded engine."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The way of an account's orders.

    Attributes:
        money: Simulated or real; which limits count follows from this and from nothing else.
        service: Under which name its intents are booked: a base URL, `PAPER_SERVICE` or `CONNECTED_SERVICE`.
        certain_refusals: Any documented refusal proves that nothing was placed.
        labels_echoed: Whether orders come back with our labels; `None` where only experience tells.
        client_ids: An order can be found by an id that we chose.
        alone_needed: Unless labels come back, no other order of its account and symbol may be in doubt.
        exchange: The venue that the account belongs to, where the human said so.
    """

    money: Money
    service: str
    certain_refusals: bool = False
    labels_echoed: bool | None = None
    client_ids: bool = False
    alone_needed: bool = True
    exchange: ExchangeId | None = None

    def __post_init__(self) -> None:
        """Refuse simulated money under a name of real money, and the other way round.

        Raises:
            ValueError: Money and service contradict each other.
        """
        if (self.money == "paper") != (self.service == PAPER_SERVICE):
            raise ValueError(f"{self.money} money cannot be booked under {self.service!r}")


PAPER: Final = Channel("paper", PAPER_SERVICE, certain_refusals=True, labels_echoed=True, alone_needed=False)

Lookup = Callable[[str], Awaitable[Channel | None]]
"""The channel of an account by its id; `None` for an account that nobody knows."""


async def _nobody(_account_id: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of everything that one client reaches.

    Attributes:
        common: Of what concerns no account, such as a post.
        unknown: Of an account that nobody knows; always real.
        lookup: Finds the channel of a known account.
        connected: Ids of the accounts that a human connected to the embedded engine, as they are now.
    """

    common: Channel
    unknown: Channel
    lookup: Lookup = _nobody
    connected: Callable[[], Collection[str]] = tuple

    def __post_init__(self) -> None:
        """An unknown account is real.

        Raises:
            ValueError: It would be taken for simulated money.
        """
        if self.unknown.money != "real":
            raise ValueError("an unknown account is real")

    @classmethod
    def hosted(cls, url: str) -> Self:
        """A service on the internet, all of whose accounts are real."""
        channel = Channel("real", url)
        return cls(channel, channel)

    @classmethod
    def local(cls, lookup: Lookup, connected: Callable[[], Collection[str]] = tuple) -> Self:
        """The embedded engine: simulated accounts, and those that a human connected to it."""
        return cls(PAPER, Channel("real", CONNECTED_SERVICE), lookup, connected)

    @property
    def services(self) -> tuple[str, ...]:
        """The names under which its intents are booked, that of `common` first."""
        return tuple(dict.fromkeys((self.common.service, self.unknown.service)))

    async def of(self, action: Action) -> Channel:
        """The channel of an action.

        Raises:
            HeyTradersError: Its account cannot be looked up.
        """
        if action.kind == "publication":
            return self.common
        return await self.of_account(action.account_id)

    async def of_account(self, account_id: str | None) -> Channel:
        """The channel of an account.

        Raises:
            HeyTradersError: It cannot be looked up.
        """
        return (await self.lookup(account_id) if account_id else None) or self.unknown
