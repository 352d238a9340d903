"""The orders section: place, list and cancel."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, cast, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from api.endpoint import Endpoint
from api.inputs import (
    ExchangeInput,
    Identifier,
    MarketTypeInput,
    Request,
    Text,
    VenueInput,
    Whole,
    address_symbol,
    check_market_type,
    one_of,
    reject,
    whole_number,
)
from api.outputs import TABLE, Amount, Price, ReportedMoney, Response, Time, listed_as

from .exchanges import EXCHANGES, ExchangeId, MarketType
from .symbols import MAX_SYMBOL, exchange_id

Side = Literal["buy", "sell"]
ExitRole = Literal["stop_loss", "take_profit", "trailing_stop"]
OrderType = Literal["market", "limit", "GTC", "FOK"]
OrderStatus = Literal["INIT", "OPEN", "PART_FILLED", "FILLED", "CANCELLED", "REJECTED"]

CANCELLABLE: Final[tuple[OrderStatus, ...]] = ("INIT", "OPEN", "PART_FILLED")
INTERNAL_PREFIX: Final = "api-"
MAX_LEVERAGE: Final = 125

_TO_CLOSE: Final = "To close a long, sell the amount that is held; to close a short, buy it. See accounts_balances."
_BY_DIRECTION: Final = "buy opens a long or closes a short; sell closes a long, or opens a short on a perpetual."
SideInput = Annotated[
    Side,
    one_of(
        get_args(Side),
        absent={
            **dict.fromkeys(("close", "exit", "flat", "flatten", "liquidate", "cover", "reduce"), _TO_CLOSE),
            **dict.fromkeys(("long", "short", "golong", "goshort", "openlong", "openshort", "both"), _BY_DIRECTION),
            **dict.fromkeys(("closelong", "closeshort", "exitlong", "exitshort", "buytocover"), _TO_CLOSE),
        },
    ),
]
_NO_TRIGGERS: Final = (
    "There are no separate stop orders: give stop_loss and take_profit (prices) with the order that opens a position."
)
_NO_TRAILING: Final = (
    "Exits have fixed prices: stop_loss and take_profit. A strategy can trail its stop: live_subscribe."
)
_NO_POST_ONLY: Final = "There is no post-only: a limit that crosses the market fills at once. order_preview shows it."
_NO_PARTIAL: Final = "There is no immediate-or-cancel. FOK fills the whole amount at once or nothing."
ABSENT_ORDER_TYPES: Final = {
    **dict.fromkeys(("limitmaker", "postonly", "maker", "makeronly", "alo", "gtx"), _NO_POST_ONLY),
    **dict.fromkeys(("ioc", "immediateorcancel", "fak", "fillandkill"), _NO_PARTIAL),
    **dict.fromkeys(
        (
            *("stop", "stoplimit", "stopmarket", "stoploss", "stoplosslimit", "takeprofit", "takeprofitlimit", "oco"),
            *("takeprofitmarket", "trigger", "conditional", "bracket", "otoco"),
        ),
        _NO_TRIGGERS,
    ),
    **dict.fromkeys(("trailingstop", "trailingstopmarket"), _NO_TRAILING),
    **dict.fromkeys(
        ("gtd", "day", "gtt"), "Orders do not expire by themselves: place GTC, and end it with orders_cancel."
    ),
    **dict.fromkeys(("twap", "iceberg", "vwap"), "Split it yourself: each call places one order."),
}
OrderTypeInput = Annotated[
    OrderType,
    one_of(
        get_args(OrderType),
        {"goodtilcancelled": "GTC", "goodtillcancelled": "GTC", "fillorkill": "FOK"},
        absent=ABSENT_ORDER_TYPES,
    ),
]
StatusInput = Annotated[
    OrderStatus, one_of(get_args(OrderStatus), {"canceled": "CANCELLED", "partiallyfilled": "PART_FILLED"})
]
ExitPrice = Annotated[Price, WithJsonSchema({"type": "string"})]
"""Shown as text, as a client that must fill in every argument has a blank for text only; numbers pass as well."""
Leverage = Annotated[int, Field(ge=1, le=MAX_LEVERAGE), BeforeValidator(whole_number)]
Symbol = Annotated[str, Field(min_length=1, max_length=MAX_SYMBOL)]


def _addressed(data: Any) -> Any:
    """Write the symbol as its exchange does. Which exchange is never guessed: it is given, or the symbol's prefix."""
    if not isinstance(data, Mapping):
        return data
    given = cast("Mapping[str, Any]", data)
    symbol = given.get("symbol")
    prefix = symbol.partition(":")[0] if isinstance(symbol, str) else ""
    if given.get("exchange") is None and exchange_id(prefix) is None:
        return given
    return address_symbol(given)


class PlaceRequest(Request):
    """A new order."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("qty", "quantity", "base_amount"), "amount"),
        **dict.fromkeys(("limit_price", "limitPrice"), "price"),
        **dict.fromkeys(("type", "orderType"), "order_type"),
        **dict.fromkeys(("ticker", "pair", "market"), "symbol"),
        **dict.fromkeys(("venue",), "exchange"),
        **dict.fromkeys(("reduceOnly", "close_only"), "reduce_only"),
        **dict.fromkeys(("stopLoss", "stop_loss_price", "stopLossPrice", "sl"), "stop_loss"),
        **dict.fromkeys(("takeProfit", "take_profit_price", "takeProfitPrice", "tp"), "take_profit"),
    }
    absent: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                *("quote_amount", "quote_quantity", "quoteOrderQty", "quote_order_qty", "quote_qty", "quoteQty"),
                *(
                    "amount_usd",
                    "usd_amount",
                    "usdt_amount",
                    "amount_quote",
                    "notional",
                    "cost",
                    "value",
                    "usd",
                    "usdt",
                ),
                *("funds", "total", "budget"),
            ),
            "amount counts base units: divide the sum by the price. market_tickers and order_preview show the price.",
        ),
        **dict.fromkeys(
            ("size", "contracts", "lots"),
            "amount counts base units (tokens on Polymarket), not quote currency or contracts.",
        ),
        **dict.fromkeys(
            ("stop_loss_pct", "take_profit_pct", "stop_loss_percent", "take_profit_percent", "sl_pct", "tp_pct"),
            "stop_loss and take_profit are prices: work them out from the price that order_preview shows.",
        ),
        **dict.fromkeys(("limit",), 'A limit is price, with order_type="limit".'),
        **dict.fromkeys(("stop_price", "stopPrice", "trigger_price", "triggerPrice", "activation_price"), _NO_TRIGGERS),
        **dict.fromkeys(("trailing_delta", "trailing_stop", "trailing_percent", "callback_rate"), _NO_TRAILING),
        **dict.fromkeys(("post_only", "postOnly"), _NO_POST_ONLY),
        **dict.fromkeys(
            ("time_in_force", "timeInForce", "tif"),
            "order_type sets it: limit and GTC rest, FOK fills whole at once or not.",
        ),
        **dict.fromkeys(
            ("client_order_id", "clientOrderId", "idempotency_key"),
            "Each call is one order; a label does not make it unique. order_intent shows what became of a call.",
        ),
    }

    account_id: Identifier = Field(description="From accounts_list.")
    exchange: ExchangeInput = Field(description="The account's exchange.")
    symbol: Symbol = Field(description="Spot BTC/USDT, perpetual BTC/USDT:USDT, Polymarket the token id.")
    side: SideInput = Field(description="Perpetuals: sell opens a short.")
    order_type: OrderTypeInput = Field(
        default="market",
        description="limit and GTC rest until filled; FOK fills whole at once or not. Polymarket: GTC or FOK.",
    )
    amount: Amount = Field(description="Base units; tokens on Polymarket.")
    price: Price | None = Field(
        default=None, description="Quote currency per unit; a probability on Polymarket. Not for market orders."
    )
    market_type: MarketTypeInput | None = Field(
        default=None, validate_default=True, description="Default: the exchange's."
    )
    leverage: Leverage | None = Field(default=None, description="Perpetuals only.")
    label: Text | None = Field(default=None, max_length=100, description="Your own text.")
    stop_loss: ExitPrice | None = Field(default=None, description="Closes what was filled at this price.")
    take_profit: ExitPrice | None = Field(default=None, description="The same with profit. One cancels the other.")
    reduce_only: bool | None = Field(default=None, description="Never opens or flips a position.")

    @property
    def has_plan(self) -> bool:
        """Whether exits follow once it fills."""
        return self.stop_loss is not None or self.take_profit is not None

    @model_validator(mode="before")
    @classmethod
    def _address(cls, data: Any) -> Any:
        return _addressed(data)

    @field_validator("reduce_only")
    @classmethod
    def _false_is_none(cls, value: bool | None) -> bool | None:  # noqa: FBT001 - a field
        """An order that may open is sent without the field, which the hosted service does not know."""
        return value or None

    @field_validator("market_type")
    @classmethod
    def _follows_exchange(cls, value: MarketType | None, info: ValidationInfo) -> MarketType | None:
        exchange: ExchangeId | None = info.data.get("exchange")
        if exchange is None:
            return value
        check_market_type(exchange, value)
        return EXCHANGES[exchange].market_type

    @field_validator("leverage")
    @classmethod
    def _one_is_none(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Leverage 1 on spot or a prediction market only states what is always true."""
        return None if value == 1 and info.data.get("market_type") in {"spot", "prediction"} else value

    @model_validator(mode="after")
    def _conditional_rules(self) -> Self:
        if EXCHANGES[self.exchange].market_type == "prediction":
            self._check_prediction()
        if self.order_type != "market" and self.price is None:
            raise reject(f"is required for {self.order_type} orders", "Add the price.", field="price")
        if self.order_type == "market" and self.price is not None:
            raise reject(
                "has no meaning in a market order",
                "Leave it out, or make it order_type limit to trade at that price or better.",
                field="price",
            )
        if self.leverage is not None and self.market_type != "perpetual":
            rule, instead = (
                f"is for perpetuals only, and {self.exchange} trades {self.market_type}",
                "Leave leverage out.",
            )
            if self.leverage == 1:
                raise reject(rule, instead, field="leverage", fixed=None)
            raise reject(rule, instead, field="leverage")
        self._check_exits()
        return self

    def _check_exits(self) -> None:
        """What exits need to make sense, as far as the order itself tells."""
        opens_nothing = self.side == "sell" and self.market_type != "perpetual"
        if self.reduce_only and self.side == "buy" and self.market_type != "perpetual":
            raise reject(
                f"is not possible: buying on a {self.market_type} account always adds to what is held",
                "Leave reduce_only out, or sell.",
                field="reduce_only",
            )
        for name, value in (("stop_loss", self.stop_loss), ("take_profit", self.take_profit)):
            if value is None:
                continue
            if self.reduce_only or opens_nothing:
                why = "reduce_only" if self.reduce_only else f"selling on a {self.market_type} account"
                raise reject(f"protects what an order opens, and {why} opens nothing", f"Leave {name} out.", field=name)
            if EXCHANGES[self.exchange].market_type == "prediction" and value >= 1:
                raise reject("must be a probability above 0 and below 1", "Write 65 cents as 0.65.", field=name)
        wrong = wrong_side(self, self.price, "the limit")
        if wrong is not None:
            raise reject(wrong.rule, wrong.suggestion, field=wrong.field)

    def _check_prediction(self) -> None:
        if self.order_type == "market":
            raise reject(
                f"must be GTC or FOK on {EXCHANGES[self.exchange].name}, which has no true market orders",
                "Use FOK with an aggressive price (buying above, selling below the market) to fill at once.",
                field="order_type",
            )
        if self.order_type == "limit":
            raise reject(
                f"must be GTC or FOK on {EXCHANGES[self.exchange].name}",
                "Use GTC to rest, FOK to fill at once.",
                field="order_type",
                fixed="GTC",
            )
        if self.price is not None and self.price >= 1:
            raise reject("must be a probability above 0 and below 1", "Write 65 cents as 0.65.", field="price")


class WrongSide(NamedTuple):
    """An exit on the wrong side: which one, the rule with its values, and what to do."""

    field: Literal["stop_loss", "take_profit"]
    rule: str
    suggestion: str


def wrong_side(order: PlaceRequest, entry: Decimal | None, named: str) -> WrongSide | None:
    """The exit whose price would close the position at once, if there is one.

    Args:
        order: With its exits.
        entry: The entry price, in quote currency per unit; `None` if unknown.
        named: The kind of that price, for the message: `the limit` or `the market`.
    """
    stop, target = order.stop_loss, order.take_profit
    sign = 1 if order.side == "buy" else -1
    position, lower, upper = ("long", "below", "above") if sign > 0 else ("short", "above", "below")
    if entry is not None:
        if stop is not None and sign * (entry - stop) <= 0:
            rule = f"must lie {lower} {named} of {entry:f}: it would close the {position} at once"
            return WrongSide("stop_loss", rule, f"Set stop_loss {lower} {entry:f}.")
        if target is not None and sign * (target - entry) <= 0:
            rule = f"must lie {upper} {named} of {entry:f}: it would close the {position} at once"
            return WrongSide("take_profit", rule, f"Set take_profit {upper} {entry:f}.")
    if stop is not None and target is not None and sign * (target - stop) <= 0:
        rule = f"must lie {lower} the take_profit of {target:f}, since the order opens a {position}"
        return WrongSide("stop_loss", rule, "Swap the two prices, or change the side.")
    return None


class OrdersRequest(Request):
    """Which orders to list; filters add up."""

    account_id: Identifier | None = Field(default=None, description="Only this account.")
    symbol: Symbol | None = Field(default=None, description="Only this symbol.")
    status: StatusInput | None = Field(default=None, description="Only in this state.")
    exchange: VenueInput | None = Field(default=None, description="Only this exchange.")
    limit: Whole = Field(default=50, ge=1, le=200, description="Results per page.")
    offset: Whole = Field(default=0, ge=0, le=1_000_000_000, description="Results to skip.")

    @model_validator(mode="before")
    @classmethod
    def _address(cls, data: Any) -> Any:
        return _addressed(data)


class CancelRequest(Request):
    """The order to cancel."""

    order_id: Identifier = Field(
        description="order_id of an order placed here; on Lighter (numeric) and Polymarket its exchange_order_id."
    )
    exchange: VenueInput | None = Field(
        default=None, description="Required, with symbol, for an order not placed here."
    )
    symbol: Symbol | None = Field(default=None, description="Required for an order not placed here.")
    account_id: Identifier | None = Field(default=None, description="Required for an order not placed here.")

    @model_validator(mode="before")
    @classmethod
    def _address(cls, data: Any) -> Any:
        return _addressed(data)

    @model_validator(mode="after")
    def _numeric_ids_only(self) -> Self:
        if self.exchange is None or EXCHANGES[self.exchange].own_order_ids != "numeric":
            return self
        if not (self.order_id.isascii() and self.order_id.isdecimal()):
            raise reject(
                f"is not an order id of {EXCHANGES[self.exchange].name}, which is numeric; api- ids do not work there",
                "Use the order's exchange_order_id, e.g. 1770730748798; orders_list shows it.",
                field="order_id",
            )
        return self


class Order(Response):
    """An order and what became of it so far."""

    order_id: str | None = Field(default=None, description="For orders_cancel.")
    exchange_order_id: str | None = Field(
        default=None, description="The exchange's id; Lighter and Polymarket cancel by it."
    )
    account_id: str | None = None
    exchange: str | None = None
    symbol: str | None = None
    market_type: str | None = None
    side: str | None = None
    order_type: str | None = None
    status: str | None = Field(default=None, description="INIT, OPEN, PART_FILLED, FILLED, CANCELLED or REJECTED.")
    amount: ReportedMoney | None = Field(default=None, description="Base units or tokens.")
    filled_amount: ReportedMoney | None = Field(default=None, description="Of amount.")
    remaining_amount: ReportedMoney | None = Field(default=None, description="Still open; 0 once the order has ended.")
    price: ReportedMoney | None = Field(default=None, description="Limit, quote currency per unit.")
    average_price: ReportedMoney | None = Field(default=None, description="Of the fills.")
    fee: ReportedMoney | None = Field(default=None, description="Paid so far, in fee_currency.")
    fee_currency: str | None = None
    leverage: int | None = None
    label: str | None = None
    role: str | None = Field(default=None, description="In a plan: entry, stop_loss or take_profit.")
    parent: str | None = Field(default=None, description="order_id of the entry.")
    stop_loss: ReportedMoney | None = None
    take_profit: ReportedMoney | None = None
    reduce_only: bool | None = None
    held_by: str | None = Field(default=None, description="venue or engine: who waits for an exit's price.")
    message: str | None = Field(default=None, description="Why it ended as it did.")
    created_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    updated_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    paper: bool | None = Field(default=None, description="true: simulated money, no real order.")


class PlacedOrder(Order):
    """A new order, and what to do next."""

    suggestion: str | None = Field(default=None, description="What to do next.")
    price_source: str | None = Field(default=None, description="Of the candles that priced it.")
    price_time: Time | None = Field(default=None, description="Their close.")


class OrdersResponse(Response):
    """A page of orders."""

    orders: Annotated[list[Order], TABLE] = Field(default_factory=list[Order], description="Newest first.")
    total: int | None = Field(default=None, description="Matches on all pages.")
    limit: int | None = None
    offset: int | None = None

    _bare_list = model_validator(mode="before")(listed_as("orders"))


ORDERS_PLACE: Final = Endpoint(
    "orders_place",
    "POST",
    "/orders",
    "trade",
    PlaceRequest,
    PlacedOrder,
    "Place an order.",
    at_most_once=True,
)
ORDERS_LIST: Final = Endpoint(
    "orders_list", "GET", "/orders", "read", OrdersRequest, OrdersResponse, "List orders, newest first."
)
ORDERS_CANCEL: Final = Endpoint(
    "orders_cancel",
    "DELETE",
    "/orders/{order_id}",
    "trade",
    CancelRequest,
    Order,
    "Cancel an order that has not ended.",
)
