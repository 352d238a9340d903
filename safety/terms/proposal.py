"""Proposals to trade or publish: the exact terms that a policy judges and a human signs.

A proposal is complete and frozen. Its digest changes with every term, so that a signature over the digest is a
signature over this order and no other.

A channel says whose money an account holds and what its service guarantees. The server builds it from the connected
accounts. No response of a service makes money simulated. An account that is neither connected nor a paper account is
real.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.exchanges import ExchangeId, MarketType
from api.orders import OrderType, PlaceRequest, Side

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


Check = Callable[[PlaceRequest], Awaitable[None]]
"""Raises `InvalidInput` or `UserMustAct` for an order that the exchange of a connected account would not take as it is,
and `NotNow` if that is not known now."""


async def _nobody(_account_id: str) -> None:
    return None


async def _unchecked(_request: PlaceRequest) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of all accounts that one client reaches.

    Attributes:
        common: For actions without an account, such as a post.
        unknown: For unknown accounts; always real.
        lookup: Returns the channel of a known account.
        check: Checks an order of a connected account against the rules of its exchange.
        connected: Current ids of the accounts connected to the embedded engine.
        trade_plans: The service takes `stop_loss`, `take_profit` and `reduce_only`.
        steps_listed: `market_tickers` shows the steps of prices and amounts.
        strategies_gated: The orders of its live strategies pass this gate.
    """

    common: Channel
    unknown: Channel
    lookup: Lookup = _nobody
    check: Check = _unchecked
    connected: Callable[[], Collection[str]] = tuple
    trade_plans: bool = False
    steps_listed: bool = False
    strategies_gated: bool = False

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
    def local(cls, lookup: Lookup, connected: Callable[[], Collection[str]] = tuple, check: Check = _unchecked) -> Self:
        """The embedded engine: paper accounts and connected exchange accounts."""
        return cls(
            PAPER,
            Channel("real", CONNECTED_SERVICE),
            lookup,
            check,
            connected,
            trade_plans=True,
            steps_listed=True,
            strategies_gated=True,
        )

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


DIGEST_VERSION: Final = 2


class Terms(BaseModel):
    """What all frozen terms have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderTerms(Terms):
    """An order as it would be sent, in the API's units.

    Attributes:
        amount: Base units, or tokens of a prediction market.
        price: Quote currency per unit; `None` for market orders.
        label: The caller's own; the exchange sees ours.
        stop_loss: Price at which the filled amount is closed with a loss, quote currency per unit.
        take_profit: The same with a profit. One exit cancels the other.
        reduce_only: Never opens or flips a position.
    """

    kind: Literal["order"] = "order"
    account_id: str
    exchange: ExchangeId
    market_type: MarketType
    symbol: str
    side: Side
    order_type: OrderType
    amount: Decimal
    price: Decimal | None = None
    leverage: int | None = None
    label: str | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    reduce_only: bool | None = None

    @classmethod
    def of(cls, request: PlaceRequest) -> OrderTerms:
        """The order that a validated request asks for."""
        order = cls.model_validate(request.model_dump())
        _REQUESTS.keep(order, request)
        return order

    @property
    def own_request(self) -> PlaceRequest:
        """The request for this order. It is not validated again if it was when the order was created.

        Raises:
            ValidationError: Its terms are not a valid API request.
        """
        known = _REQUESTS.get(self)
        if known is None:
            terms = self.model_dump(exclude={"kind"}, exclude_none=True)
            known = _REQUESTS.keep(self, PlaceRequest.model_validate(terms))
        return known

    def request(self, label: str) -> PlaceRequest:
        """The request that places it, under `label`."""
        return self.own_request.model_copy(update={"label": label})


class _ValidRequests:
    """Cache of the last orders' requests, each validated once per process. Orders and requests are frozen.

    Args:
        size: Maximum number kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._requests: OrderedDict[OrderTerms, PlaceRequest] = OrderedDict()

    def keep(self, order: OrderTerms, request: PlaceRequest) -> PlaceRequest:
        """Remember a validated request."""
        self._requests[order] = request
        while len(self._requests) > self._size:
            self._requests.popitem(last=False)
        return request

    def get(self, order: OrderTerms) -> PlaceRequest | None:
        """The request of an equal order."""
        return self._requests.get(order)


_REQUESTS: Final = _ValidRequests(256)


_LATER: Final = frozenset({"stop_loss", "take_profit", "reduce_only", "refused"})


class DeploymentTerms(Terms):
    """Authority for a strategy to trade on an account by itself, without a question for each order.

    Attributes:
        action: `subscribe` deploys it, `resume` lets a paused one go on.
        subscription_id: Id of the paused one.
        webhook_url: Webhook address of a new one.
        webhook_events: Events that it would deliver.
        refused: Which of its orders the policy would refuse, and what a hosted service leaves open.
    """

    kind: Literal["standing"] = "standing"
    action: Literal["subscribe", "resume"]
    strategy_id: str
    account_id: str | None = None
    subscription_id: str | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] | None = None
    refused: tuple[str, ...] | None = None


class PublicationTerms(Terms):
    """A text that becomes public under the user's name.

    Attributes:
        action: `post` publishes a post, `profile` changes the public profile.
        body: The request's fields, as canonical JSON.
    """

    kind: Literal["publication"] = "publication"
    action: Literal["post", "profile"]
    body: str


Action = Annotated[OrderTerms | DeploymentTerms | PublicationTerms, Field(discriminator="kind")]


class Proposal(Terms):
    """An action with everything that an approval must cover.

    Attributes:
        action: The action in question.
        money: Simulated or real, as its account's channel says.
        service: Service name of that channel.
        policy_hash: Hash of the policy that judged it, hexadecimal.
        quote: The market price that it was judged at, quote currency.
        title: The question that a prediction order bets on, as the exchange words it.
        notional_usd: Its value at the worst of limit price and quote, with leverage; `None` where money does not apply.
        created: Unix seconds.
        expires: Unix seconds; after that no approval counts.
        nonce: 128 random bits, hexadecimal.
        version: Version of the canonical form; 1 only in proposals of an earlier release.
    """

    action: Action
    money: Money
    service: str
    policy_hash: str
    quote: Decimal | None
    title: str | None = None
    notional_usd: Decimal | None
    created: float
    expires: float
    nonce: str = Field(default_factory=lambda: secrets.token_hex(16))
    version: Literal[1, 2] = Field(default=DIGEST_VERSION, exclude=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy without values cached from the old fields."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in ("canonical", "digest", "action_hash"):
            vars(copied).pop(computed, None)
        return copied

    @cached_property
    def canonical(self) -> str:
        """The canonical form: JSON with sorted keys, decimals as plain strings.

        Exits, `reduce_only` and a title are written only if set: other orders keep the form of earlier releases.
        """
        fields: dict[str, object] = {"v": self.version, **self.model_dump()}
        if self.title is None:
            del fields["title"]
        if isinstance(self.action, OrderTerms | DeploymentTerms):
            action = self.action.model_dump()
            fields["action"] = {name: v for name, v in action.items() if v is not None or name not in _LATER}
        if self.version == 1:
            fields["backend"] = FIRST_NAMES[str(fields.pop("money"))]
        return canonical_json(fields)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @cached_property
    def action_hash(self) -> str:
        """A hash that is equal for calls with the same terms, hexadecimal."""
        return hashlib.sha256(canonical_json(self.action.model_dump()).encode()).hexdigest()

    @staticmethod
    @lru_cache(maxsize=256)
    def read(canonical: str) -> Proposal:
        """Read a proposal written by `canonical`; the same text is parsed once.

        Raises:
            ValueError: The text is not a proposal, or has a later version.
        """
        written: object = json.loads(canonical)
        fields = cast("dict[str, object]", written) if isinstance(written, dict) else {}
        version = fields.pop("v", None)
        if version == 1:
            backend = fields.pop("backend", None)
            fields["money"] = next((money for money, name in FIRST_NAMES.items() if name == backend), None)
        elif version != DIGEST_VERSION:
            raise ValueError("not a proposal of this version")
        return _PROPOSAL.validate_python({**fields, "version": version})


_PROPOSAL: Final[TypeAdapter[Proposal]] = TypeAdapter(Proposal)


def account_of(action: Action) -> str:
    """The account of an action; "" if it has none."""
    return "" if isinstance(action, PublicationTerms) else action.account_id or ""


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and decimals as plain strings."""
    return _CANONICAL.encode(value)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    raise TypeError(f"{type(value).__name__} has no canonical form")


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_text)
