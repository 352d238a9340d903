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
        market_type: The only kind of market that we support there. On a prediction market, prices are probabilities and
            symbols token ids.
        quote: The currency that pays and settles its orders.
        written_quote: The quote in its symbols, where that is another one: Hyperliquid and Lighter settle in USDC, yet
            the API writes their symbols `BTC/USDT`.
        order_types: The order types that it takes.
        taker: Fee of an order that fills at once, as a fraction of its value.
        maker: Fee of an order that rested, as a fraction of its value.
        minimum: The smallest value of an order.
        smallest_resting: The smallest amount of an order that rests, in tokens; `None` where only the value counts.
        price_digits: Maximum significant figures of a price that is not whole; `None` where only the tick counts.
        opening_balance: The balance of a new paper account.
        quote_first: Its own dialect writes the quote before the base, as in KRW-BTC.
        symbol_needed: Open orders are listed for one symbol at a time.
        exits: Who holds the exits of orders on own accounts.
        no_exits: Why they cannot rest there, in words that follow its name; "" if they can.
        own_order_ids: The ids that it accepts to cancel: "any" ours or its own, "numeric" or "hash" its own only.
    """

    id: ExchangeId
    name: str
    market_type: MarketType
    quote: str
    written_quote: str | None
    order_types: tuple[str, ...]
    taker: Decimal
    maker: Decimal
    minimum: Decimal
    smallest_resting: Decimal | None
    price_digits: int | None
    opening_balance: Decimal
    symbol_needed: bool
    quote_first: bool
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
            market_type="spot",
            quote="USDT",
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.001"),
            maker=Decimal("0.001"),
            minimum=Decimal(5),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="any",
            exits="one cancels the other",
            no_exits="",
        ),
        Exchange(
            id="binancefuturesusd",
            name="Binance USD-M",
            market_type="perpetual",
            quote="USDT",
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0002"),
            minimum=Decimal(5),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="any",
            exits="two orders",
            no_exits="",
        ),
        Exchange(
            id="upbit",
            name="Upbit",
            market_type="spot",
            quote="KRW",
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0005"),
            minimum=Decimal(5000),
            smallest_resting=None,
            price_digits=None,
            opening_balance=Decimal(14_000_000),
            symbol_needed=False,
            quote_first=True,
            own_order_ids="any",
            exits="engine",
            no_exits="has no stop orders",
        ),
        Exchange(
            id="gate",
            name="Gate.io",
            market_type="spot",
            quote="USDT",
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.002"),
            maker=Decimal("0.002"),
            minimum=Decimal(3),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="any",
            exits="engine",
            no_exits="has trigger orders that cannot be found by our id",
        ),
        Exchange(
            id="gatefutures",
            name="Gate Futures",
            market_type="perpetual",
            quote="USDT",
            written_quote=None,
            order_types=_USUAL,
            taker=Decimal("0.0005"),
            maker=Decimal("0.0002"),
            minimum=Decimal(3),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="any",
            exits="engine",
            no_exits="has trigger orders that cannot be found by our id",
        ),
        Exchange(
            id="hyperliquid",
            name="Hyperliquid",
            market_type="perpetual",
            quote="USDC",
            written_quote="USDT",
            order_types=_USUAL,
            taker=Decimal("0.00045"),
            maker=Decimal("0.00015"),
            minimum=Decimal(10),
            smallest_resting=None,
            price_digits=5,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="any",
            exits="one cancels the other",
            no_exits="",
        ),
        Exchange(
            id="lighter",
            name="Lighter",
            market_type="perpetual",
            quote="USDC",
            written_quote="USDT",
            order_types=_USUAL,
            taker=Decimal(0),
            maker=Decimal(0),
            minimum=Decimal(10),
            smallest_resting=None,
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=True,
            quote_first=False,
            own_order_ids="numeric",
            exits="engine",
            no_exits="lets stop orders lapse after 28 days",
        ),
        Exchange(
            id="polymarket",
            name="Polymarket",
            market_type="prediction",
            quote="USDC",
            written_quote=None,
            order_types=("GTC", "FOK"),
            taker=Decimal(0),
            maker=Decimal(0),
            minimum=Decimal(1),
            smallest_resting=Decimal(5),
            price_digits=None,
            opening_balance=_TEN_THOUSAND,
            symbol_needed=False,
            quote_first=False,
            own_order_ids="hash",
            exits="engine",
            no_exits="has no stop orders",
        ),
    )
}
if missing := set(get_args(ExchangeId)) - set(EXCHANGES):
    raise TypeError(f"no row for {', '.join(sorted(missing))}")

EXCHANGE_ALIASES: Final[dict[str, ExchangeId]] = {
    "binancespot": "binance",
    "binanceusdm": "binancefuturesusd",
    "binancefutures": "binancefuturesusd",
    "binanceperp": "binancefuturesusd",
    "gateio": "gate",
    "gateiofutures": "gatefutures",
    "gatefuture": "gatefutures",
}
"""Other spellings with one clear meaning, folded to lower-case letters and digits."""

MARKET_TYPE_ALIASES: Final[dict[str, MarketType]] = {
    "perp": "perpetual",
    "perps": "perpetual",
    "swap": "perpetual",
    "futures": "perpetual",
}
"""Other words for a market type, folded in the same way."""

PERPETUAL_TWIN: Final[dict[ExchangeId, ExchangeId]] = {"binance": "binancefuturesusd", "gate": "gatefutures"}
"""The exchange for the perpetuals of a spot exchange."""
