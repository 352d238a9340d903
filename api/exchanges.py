"""The eight exchanges of the API document: the markets, fees, order types and limits of each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, get_args

ExchangeId = Literal[
    "binance", "binancefuturesusd", "upbit", "gate", "gatefutures", "hyperliquid", "lighter", "polymarket"
]
MarketType = Literal["spot", "perpetual", "prediction"]
DataChoice = Literal["simulated", "exchange"]
"""The source of the embedded engine's market data, apart from the user's imports."""

ExitForm = Literal["one cancels the other", "two orders", "engine"]
"""How a stop and a target of an own account rest at its exchange once the entry has filled. `two orders`: each only
reduces, and our engine cancels the other after a fill. `engine`: they do not; our engine watches the price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Everything specific to one exchange. All other modules use this row instead of comparing names.

    No field has a default, so that a row of a new exchange cannot leave one out by mistake.

    Fees follow the published entry tiers, without rebates. Values are in `quote`.

    Attributes:
        id: As the API writes it.
        name: For people.
        other_names: Other spellings with one clear meaning, folded to lower-case letters and digits.
        website: The site whose addresses name its markets; `None` if we read no addresses of it.
        market_type: The only kind of market that we support there. On a prediction market, prices are probabilities and
            symbols token ids.
        is_usual: The exchange that is meant where only its market type is known. Each market type has one.
        perpetuals: Where the same company trades perpetuals, for an exchange that does not; else `None`.
        quote: The currency that pays and settles its orders.
        owns_quote: A pair in `quote` is traded here if nothing says where.
        written_quote: The quote in its symbols, where that is another one: Hyperliquid and Lighter settle in USDC, yet
            the API writes their symbols `BTC/USDT`.
        order_types: The order types that it takes.
        taker: Fee of an order that fills at once, as a fraction of its value.
        maker: Fee of an order that rested, as a fraction of its value.
        minimum: The smallest value of an order.
        smallest_resting: The smallest amount of an order that rests, in tokens; `None` where only the value counts.
        price_digits: Maximum significant figures of a price that is not whole; `None` where only the tick counts.
        opening_balance: The balance of a new paper account.
        quotes_first: The quotes that its own symbols write before the base, as in KRW-BTC; of two such currencies the
            earlier one is the quote. Empty where the base comes first.
        symbol_needed: Open orders are listed for one symbol at a time.
        exits: Who holds the exits of orders on own accounts.
        no_exits: Why they cannot rest there, in words that follow its name; "" if they can.
        own_order_ids: The ids that it accepts to cancel: "any" ours or its own, "numeric" or "hash" its own only.
    """

    id: ExchangeId
    name: str
    other_names: tuple[str, ...]
    website: str | None
    market_type: MarketType
    is_usual: bool
    perpetuals: ExchangeId | None
    quote: str
    owns_quote: bool
    written_quote: str | None
    order_types: tuple[str, ...]
    taker: Decimal
    maker: Decimal
    minimum: Decimal
    smallest_resting: Decimal | None
    price_digits: int | None
    opening_balance: Decimal
    symbol_needed: bool
    quotes_first: tuple[str, ...]
    own_order_ids: Literal["any", "numeric", "hash"]
    exits: ExitForm
    no_exits: str

    @property
    def prefix(self) -> str:
        """How a ticker names it: `BINANCE` in `BINANCE:BTC/USDT`."""
        return self.id.upper()

    @property
    def worst_fee(self) -> Decimal:
        """The larger of the two fees: the maximum fee of an order, as a fraction of its value."""
        return max(self.taker, self.maker)

    @property
    def cancels_by_own_id(self) -> bool:
        """Whether only the exchange's id cancels an order, and not ours."""
        return self.own_order_ids != "any"

    def held_by(self, *, pair: bool) -> str:
        """Who holds the exits of an order on an own account, and when a process of ours has to run, for its approver.

        Args:
            pair: The order has a stop and a target.
        """
        if self.exits == "engine":
            return f"held by this engine, only while a process of it runs ({self.name} {self.no_exits})"
        together = ", one cancels the other," if pair and self.exits == "one cancels the other" else ""
        cancels = ", and to cancel the other after a fill" if pair and self.exits == "two orders" else ""
        place = f"at {self.name}{together} once the order has filled"
        return f"{place}; a process of this engine has to run until then{cancels}"


_USUAL: Final = ("market", "limit", "GTC", "FOK")
_TEN_THOUSAND: Final = Decimal(10_000)

EXCHANGES: Final[dict[ExchangeId, Exchange]] = {
    e.id: e
    for e in (
        Exchange(
            id="binance",
            name="Binance",
            other_names=("binancespot",),
            website=None,
            market_type="spot",
            is_usual=True,
            perpetuals="binancefuturesusd",
            quote="USDT",
            owns_quote=False,
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.001"),
            maker=Decimal("0.001"),
            minimum=Decimal(5),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="any",
            exits="one cancels the other",
            no_exits="",
        ),
        Exchange(
            id="binancefuturesusd",
            name="Binance USD-M",
            other_names=("binanceusdm", "binancefutures", "binanceperp"),
            website=None,
            market_type="perpetual",
            is_usual=True,
            perpetuals=None,
            quote="USDT",
            owns_quote=False,
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0002"),
            minimum=Decimal(5),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="any",
            exits="two orders",
            no_exits="",
        ),
        Exchange(
            id="upbit",
            name="Upbit",
            other_names=(),
            website=None,
            market_type="spot",
            is_usual=False,
            perpetuals=None,
            quote="KRW",
            owns_quote=True,
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0005"),
            minimum=Decimal(5000),
            smallest_resting=None,
            price_digits=None,
            opening_balance=Decimal(14_000_000),
            symbol_needed=False,
            quotes_first=("KRW", "USDT", "BTC"),
            own_order_ids="any",
            exits="engine",
            no_exits="has no stop orders",
        ),
        Exchange(
            id="gate",
            name="Gate.io",
            other_names=("gateio",),
            website=None,
            market_type="spot",
            is_usual=False,
            perpetuals="gatefutures",
            quote="USDT",
            owns_quote=False,
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.002"),
            maker=Decimal("0.002"),
            minimum=Decimal(3),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="any",
            exits="engine",
            no_exits="has trigger orders that cannot be found by our id",
        ),
        Exchange(
            id="gatefutures",
            name="Gate Futures",
            other_names=("gateiofutures", "gatefuture"),
            website=None,
            market_type="perpetual",
            is_usual=False,
            perpetuals=None,
            quote="USDT",
            owns_quote=False,
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0002"),
            minimum=Decimal(3),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="any",
            exits="engine",
            no_exits="has trigger orders that cannot be found by our id",
        ),
        Exchange(
            id="hyperliquid",
            name="Hyperliquid",
            other_names=(),
            website=None,
            market_type="perpetual",
            is_usual=False,
            perpetuals=None,
            quote="USDC",
            owns_quote=False,
            written_quote="USDT",
            order_types=_USUAL,
            taker=Decimal("0.00045"),
            maker=Decimal("0.00015"),
            minimum=Decimal(10),
            smallest_resting=None,
            price_digits=5,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="any",
            exits="one cancels the other",
            no_exits="",
        ),
        Exchange(
            id="lighter",
            name="Lighter",
            other_names=(),
            website=None,
            market_type="perpetual",
            is_usual=False,
            perpetuals=None,
            quote="USDC",
            owns_quote=False,
            written_quote="USDT",
            order_types=_USUAL,
            taker=Decimal(0),
            maker=Decimal(0),
            minimum=Decimal(10),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=True,
            quotes_first=(),
            own_order_ids="numeric",
            exits="engine",
            no_exits="lets stop orders lapse after 28 days",
        ),
        Exchange(
            id="polymarket",
            name="Polymarket",
            other_names=(),
            website="polymarket.com",
            market_type="prediction",
            is_usual=True,
            perpetuals=None,
            quote="USDC",
            owns_quote=False,
            written_quote=None,
            order_types=("GTC", "FOK"),
            taker=Decimal(0),
            maker=Decimal(0),
            minimum=Decimal(1),
            smallest_resting=Decimal(5),
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quotes_first=(),
            own_order_ids="hash",
            exits="engine",
            no_exits="has no stop orders",
        ),
    )
}
if missing := set(get_args(ExchangeId)) - set(EXCHANGES):
    raise TypeError(f"no row for {', '.join(sorted(missing))}")

EXCHANGE_ALIASES: Final[dict[str, ExchangeId]] = {name: e.id for e in EXCHANGES.values() for name in e.other_names}
"""Other spellings of exchanges, folded to lower-case letters and digits."""

MARKET_TYPE_ALIASES: Final[dict[str, MarketType]] = {
    "perp": "perpetual",
    "perps": "perpetual",
    "swap": "perpetual",
    "futures": "perpetual",
}
"""Other words for a market type, folded in the same way."""

USUAL_EXCHANGE: Final[dict[MarketType, ExchangeId]] = {e.market_type: e.id for e in EXCHANGES.values() if e.is_usual}
"""The exchange that is meant where only a market type is known."""

if sorted(e.market_type for e in EXCHANGES.values() if e.is_usual) != sorted(get_args(MarketType)):
    raise TypeError("each market type needs one usual exchange")

DEFAULT_EXCHANGE: Final = USUAL_EXCHANGE["spot"]
"""The exchange that is meant where nothing is said."""

OWN_QUOTES: Final[dict[str, ExchangeId]] = {e.quote: e.id for e in EXCHANGES.values() if e.owns_quote}
"""The currencies that name an exchange by themselves."""
