"""Says whose money an account holds and what its service guarantees. The server builds it from the connected accounts.

No response of a service makes money simulated. An account that is neither connected nor a paper account is real.
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
"""The kinds of money as version 1 of a proposal wrote them, in the field `backend`."""

PAPER_SERVICE: Final = "embedded"
"""The service name of simulated money. Any other name means real money."""

CONNECTED_SERVICE: Final = "connected"
"""The service name of exchange accounts connected to the embedded engine."""


@dataclass(frozen=True, slots=True)
class Channel:
    """How the orders of an account are sent.

    Attributes:
        money: Simulated or real; this alone selects the limits.
        service: The name under which its intents are booked: a base URL, `PAPER_SERVICE` or `CONNECTED_SERVICE`.
        certain_refusals: Any documented refusal proves that nothing was placed.
        labels_echoed: Whether orders come back with our labels; `None` if this must be observed.
        client_ids: An order can be found by an id that we chose.
        alone_needed: Unless labels come back, no other order of its account and symbol may be unresolved.
        exchange: The account's venue, if the user named it.
    """

    money: Money
    service: str
    certain_refusals: bool = False
    labels_echoed: bool | None = None
    client_ids: bool = False
    alone_needed: bool = True
    exchange: ExchangeId | None = None

    def __post_init__(self) -> None:
        """Refuse simulated money under a real service name, and the reverse.

        Raises:
            ValueError: Money and service contradict each other.
        """
        if (self.money == "paper") != (self.service == PAPER_SERVICE):
            raise ValueError(f"{self.money} money cannot be booked under {self.service!r}")


PAPER: Final = Channel("paper", PAPER_SERVICE, certain_refusals=True, labels_echoed=True, alone_needed=False)

Lookup = Callable[[str], Awaitable[Channel | None]]
"""Returns the channel of an account by its id; `None` for an unknown account."""


async def _nobody(_account_id: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of all accounts that one client reaches.

    Attributes:
        common: For actions without an account, such as a post.
        unknown: For unknown accounts; always real.
        lookup: Returns the channel of a known account.
        connected: Current ids of the accounts connected to the embedded engine.
    """

    common: Channel
    unknown: Channel
    lookup: Lookup = _nobody
    connected: Callable[[], Collection[str]] = tuple

    def __post_init__(self) -> None:
        """Refuse a channel that would treat unknown accounts as simulated.

        Raises:
            ValueError: The channel of unknown accounts is simulated.
        """
        if self.unknown.money != "real":
            raise ValueError("an unknown account is real")

    @classmethod
    def hosted(cls, url: str) -> Self:
        """A service on the internet; all its accounts are real."""
        channel = Channel("real", url)
        return cls(channel, channel)

    @classmethod
    def local(cls, lookup: Lookup, connected: Callable[[], Collection[str]] = tuple) -> Self:
        """The embedded engine: paper accounts and connected exchange accounts."""
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
