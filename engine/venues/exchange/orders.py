"""Orders on real exchanges: ids, validation, what an answer proves, and answers that ccxt does not parse.

An order's id is derived from its label before anything is sent, so that an order can be found again if the answer was
lost. Amounts and prices are sent exactly as approved or not at all: nothing is rounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from typing import Any, Final, Protocol, cast

from api.errors import InvalidInput
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import OrderStatus, PlaceRequest
from api.refusals import show
from engine.venues.exchange.convention import OrderIdForm
from engine.venues.exchange.conventions import CONVENTIONS

from .markets import ExchangeMarket, decimal
from .session import WriteResult

_STATUS: Final[Mapping[str, OrderStatus]] = {
    "open": "OPEN",
    "closed": "FILLED",
    "canceled": "CANCELLED",
    "cancelled": "CANCELLED",
    "expired": "CANCELLED",
    "rejected": "REJECTED",
    "scheduledCancel": "CANCELLED",
}

_OVER: Final = ("finished", "closed", "cancelled")
"""States of Gate whose reason ccxt passes on untranslated, such as `reduce_only` or `position_closed`."""


class OrderFields(Protocol):
    """The fields of an order, as requested and as recorded."""

    @property
    def side(self) -> str:
        """buy or sell."""
        ...

    @property
    def order_type(self) -> str:
        """market, limit, GTC or FOK."""
        ...

    @property
    def amount(self) -> Decimal:
        """In base units."""
        ...

    @property
    def price(self) -> Decimal | None:
        """In quote units; `None` for a market order."""
        ...

    @property
    def reduce_only(self) -> bool | None:
        """Whether it must not open or flip a position."""
        ...


class RestingExit(Protocol):
    """One exit that is about to rest at its exchange."""

    @property
    def client_id(self) -> str:
        """Our id for it at the exchange."""
        ...

    @property
    def amount(self) -> Decimal:
        """In base units."""
        ...

    @property
    def stop_loss(self) -> Decimal | None:
        """Trigger price of a stop."""
        ...

    @property
    def take_profit(self) -> Decimal | None:
        """Price of a target."""
        ...

    @property
    def side(self) -> str:
        """buy or sell."""
        ...


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """An order as the exchange shows it. Amounts in base units, exactly; `state` is the exchange's own word."""

    order_id: str | None
    client_id: str | None
    status: OrderStatus
    amount: Decimal | None
    price: Decimal | None
    filled: Decimal
    average: Decimal | None
    fee: Decimal | None
    fee_currency: str | None
    state: str


_TO_BASE_32: Final = str.maketrans("JKMNPQRSTVWXYZ", "IJKLMNOPQRSTUV")
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID: Final = "([0-7][0-9A-HJKMNP-TV-Z]{25})"
_GATE_LABEL: Final = re.compile(f"htm1:{_ULID}:")
_INTENT_IDS: Final = {
    "36 letters": re.compile(f"htm{_ULID}"),
    "t- and 26": re.compile(f"t-{_ULID}"),
    "128-bit hex": re.compile("0x([0-9a-fA-F]{32})"),
}
"""Order ids that contain an intent id of the safety gate, by their format."""
_INTENT_AGE: Final = 86_400.0


def order_id_for(exchange: ExchangeId, account_id: str, label: str) -> str:
    """The id of an order with this label at the exchange, in the exchange's format.

    For a label of the safety gate it is the intent id, where the format has room. The exchange's history then tells an
    old copy of a home which orders it does not know. For any other label it is a digest.
    """
    form: OrderIdForm = CONVENTIONS[exchange].order_id
    intent = _GATE_LABEL.match(label)
    if intent is not None and CONVENTIONS[exchange].names_intents:
        return _with_intent(form, intent[1])
    digest = sha256(f"{exchange}\n{account_id}\n{label}".encode()).hexdigest()
    if form == "t- and 26":
        return f"t-{digest[:26]}"
    if form == "128-bit hex":
        return f"0x{digest[:32]}"
    if form == "48-bit number":
        return str(int(digest[:12], 16))
    return f"htm{digest[:32]}"


def _with_intent(form: OrderIdForm, intent_id: str) -> str:
    if form == "128-bit hex":
        return f"0x{int(intent_id.translate(_TO_BASE_32), 32):032x}"
    return f"{'htm' if form == '36 letters' else 't-'}{intent_id}"


def gate_label_in(exchange: ExchangeId, client_id: str | None, placed_at: float | None) -> str | None:
    """The beginning of the safety gate's label in an order id, up to the intent id; `None` if there is none.

    Args:
        exchange: The exchange.
        client_id: The id that the sender chose for the order.
        placed_at: When the exchange took the order, in Unix seconds. An intent is sent within a day.
    """
    pattern = _INTENT_IDS.get(CONVENTIONS[exchange].order_id)
    found = None if pattern is None else pattern.fullmatch(client_id or "")
    if found is None or placed_at is None:
        return None
    text = found[1]
    if len(text) == 32:
        text = "".join(_CROCKFORD[int(text, 16) >> shift & 31] for shift in range(125, -1, -5))
    made_at = int(text[:10].translate(_TO_BASE_32), 32) / 1_000
    return f"htm1:{text}" if abs(placed_at - made_at) <= _INTENT_AGE else None


def check(request: PlaceRequest, market: ExchangeMarket) -> None:
    """Refuse an order that the exchange would not accept unchanged.

    Raises:
        InvalidInput: Says what is invalid, and what would be valid.
    """
    exchange, name = request.exchange, EXCHANGES[request.exchange].name
    row = CONVENTIONS[exchange]
    if request.order_type == "market":
        why = row.no_market_buys if request.side == "buy" else row.no_market_sells
        if why:
            raise InvalidInput(
                f"{name} {why}, so a market order for an amount cannot be sent",
                suggestion="Use order_type limit with a price at the market",
            )
    if request.order_type == "FOK" and not row.takes_fok:
        raise InvalidInput(
            f"{name} takes no fill-or-kill orders through this server", suggestion=("Use order_type limit")
        )
    _check_step("amount", request.amount, market.lot, market)
    if request.price is not None:
        _check_step("price", request.price, market.price_step(request.price), market)
    for field, exit_price in (("stop_loss", request.stop_loss), ("take_profit", request.take_profit)):
        if exit_price is not None:
            _check_step(field, exit_price, market.price_step(exit_price), market)
    if market.min_amount is not None and request.amount < market.min_amount:
        raise InvalidInput(
            f"amount {request.amount:f} is below the smallest that {name} takes of {market.instrument.symbol},"
            f" {market.min_amount:f}",
            suggestion=f"Use an amount of at least {market.min_amount:f}",
        )
    cost = request.amount * (request.price or Decimal(0))
    if market.min_cost is not None and request.price is not None and cost < market.min_cost:
        raise InvalidInput(
            f"{request.amount:f} at {request.price:f} is {cost:f} {market.instrument.quote}, below the smallest order"
            f" of {name}, {market.min_cost:f}",
            suggestion=f"Use an amount of at least {_smallest(market.min_cost / request.price, market.lot):f}",
        )


def _smallest(amount: Decimal, lot: Decimal) -> Decimal:
    """The smallest multiple of `lot` that is at least `amount`."""
    return (amount / lot).to_integral_value(ROUND_CEILING) * lot


def _check_step(field: str, value: Decimal, step: Decimal, market: ExchangeMarket) -> None:
    if value % step == 0:
        return
    lower = value // step * step
    near = [f"{one:f}" for one in (lower, lower + step) if one > 0]
    raise InvalidInput(
        f"{field} {show(f'{value:f}')} is not a multiple of {step:f}, the step of {market.instrument.symbol} on"
        f" {EXCHANGES[market.instrument.exchange].name}; nothing is rounded",
        suggestion=f"Use {' or '.join(near)}",
    )


def arguments(
    exchange: ExchangeId, terms: OrderFields, market: ExchangeMarket, client_id: str, created_at: float
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of ccxt's `create_order`: exact text for numbers, and our id.

    They depend only on the recorded row, so that the same order can be identified again.
    """
    row = CONVENTIONS[exchange]
    kind = "market" if terms.order_type == "market" else "limit"
    amount = f"{(terms.amount / market.contract).normalize():f}"
    price = None if terms.price is None else f"{terms.price:f}"
    params: dict[str, Any] = {row.id_parameter: client_id}
    if terms.order_type == "FOK":
        params["timeInForce"] = "FOK"
    if terms.reduce_only and market.instrument.market_type == "perpetual":
        params["reduceOnly"] = True
    if row.lists_outcomes:
        params |= {"timestamp": str(int(created_at * 1_000)), "tickSize": f"{market.tick.normalize():f}"}
    return (market.symbol, kind, terms.side, amount, price), params


TRIGGER: Final = "trigger"
"""The recorded order type of an exit that rests at its exchange as a trigger order."""

PAIR: Final = "pair"
"""The same for the two orders of a one-cancels-other request."""

LEFT_BEHIND: Final = "the price moved away from it, so it was cancelled unfilled"
"""The recorded message of an exit that this engine cancels in order to send it again."""

PLACE_PAIR: Final = "privatePostOrderListOco"
"""ccxt's method for Binance's one-cancels-other request of a stop and a target."""


def pair_arguments(stop: RestingExit, target: RestingExit, market: ExchangeMarket) -> dict[str, str]:
    """Binance's request for two exits that sell: the target rests above the market, the stop waits below it."""
    return {
        "symbol": market.market_id,
        "listClientOrderId": f"{stop.client_id[:-1]}l",
        "side": "SELL",
        "quantity": f"{stop.amount.normalize():f}",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{target.take_profit:f}",
        "aboveClientOrderId": target.client_id,
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{stop.stop_loss:f}",
        "belowClientOrderId": stop.client_id,
    }


def trigger_arguments(
    exchange: ExchangeId, exit_order: RestingExit, market: ExchangeMarket, bound: Decimal | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of ccxt's `create_order` for an exit that rests as a trigger order and then closes at market.

    Args:
        exchange: The exchange.
        exit_order: The exit, with one price.
        market: Its market.
        bound: The worst price of the fill, for exchanges without market orders.
    """
    row = CONVENTIONS[exchange]
    book = row.trigger_book
    params: dict[str, Any] = {row.id_parameter if book is None else book.id_parameter: exit_order.client_id}
    if exit_order.stop_loss is not None:
        params["stopLossPrice"] = f"{exit_order.stop_loss:f}"
    else:
        params["takeProfitPrice"] = f"{exit_order.take_profit:f}"
    if market.instrument.market_type == "perpetual":
        params["reduceOnly"] = True
    if bound is not None:
        params["slippage"] = "0"
    amount = f"{(exit_order.amount / market.contract).normalize():f}"
    return (market.symbol, "market", exit_order.side, amount, None if bound is None else f"{bound:f}"), params


def read_order(raw: Mapping[str, Any], market: ExchangeMarket) -> SeenOrder:
    """An order as ccxt parsed it."""
    amount, filled = decimal(raw.get("amount")), decimal(raw.get("filled")) or Decimal(0)
    fee = cast("Mapping[str, Any]", raw.get("fee") or {})
    given = raw.get("info")
    info: Mapping[str, Any] = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    status = _STATUS.get(str(raw.get("status")), "CANCELLED" if info.get("status") in _OVER else "OPEN")
    if status == "FILLED" and amount is not None and filled < amount and raw.get("remaining") not in {None, "0", 0}:
        status = "CANCELLED"
    if status == "OPEN" and filled > 0:
        status = "PART_FILLED"
    order_id, client_id = raw.get("id"), raw.get("clientOrderId")
    return SeenOrder(
        order_id=None if not order_id else str(order_id),
        client_id=None if not client_id else str(client_id),
        status=status,
        amount=None if amount is None else amount * market.contract,
        price=decimal(raw.get("price")),
        filled=filled * market.contract,
        average=(decimal(raw.get("average")) or None) if filled else None,
        fee=decimal(fee.get("cost")),
        fee_currency=fee.get("currency"),
        state=_state(info),
    )


def _state(info: Mapping[str, Any]) -> str:
    """The exchange's own word for the state of an order; a conditional order has one of its own."""
    if info.get("algoStatus"):
        return f"conditional {info['algoStatus']}"
    return next((str(info[name]) for name in ("finish_as", "status", "state") if info.get(name)), "")


def unlike(seen: SeenOrder, request: PlaceRequest, client_id: str) -> str:
    """Why the order shown is not the one that was sent; "" if it is."""
    if seen.client_id is not None and seen.client_id.lower() != client_id.lower():
        return "the answer is about an order with another id"
    if seen.amount is not None and seen.amount != request.amount:
        return f"the exchange shows an amount of {seen.amount:f}"
    if request.price is not None and seen.price not in {None, Decimal(0), request.price}:
        return f"the exchange shows a price of {seen.price:f}"
    return ""


_UNCERTAIN: Final = frozenset({408, 409, 425, 429})
_SUCCESS: Final = range(200, 300)
_NOT_CERTAIN: Final = ("uplicate", "elayed")
"""Words of an answer that an order with this id exists already, or will exist later. These are not refusals."""


def refusal(exchange: ExchangeId, written: WriteResult) -> str | None:
    """The code or words that prove that there is no order; `None` for anything less certain."""
    row, status = CONVENTIONS[exchange], written.status
    if status is None or status in _UNCERTAIN or status >= 500:
        return None
    try:
        body: Any = json.loads(written.body)
    except ValueError:
        return None
    if not isinstance(body, Mapping):
        return None
    said = row.refused(cast("Mapping[str, Any]", body), status)
    if said is None or any(word in said[1] for word in _NOT_CERTAIN):
        return None
    code, words = said
    if code in row.refusals or any(phrase in words for phrase in row.refusal_words):
        return ": ".join(part for part in said if part)
    return None


_IDENTIFIED_STATES: Final = {"wait": "open", "watch": "open", "done": "closed", "cancel": "canceled"}
_HASHED_STATES: Final = {"live": "open", "delayed": "open", "unmatched": "open", "matched": "closed"}


def identified_order(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Upbit's own answer in ccxt's format. ccxt's parser requires more than a query needs."""
    at = raw.get("created_at")
    return {
        "info": raw,
        "id": raw.get("uuid"),
        "clientOrderId": raw.get("identifier"),
        "status": _IDENTIFIED_STATES.get(str(raw.get("state"))),
        "amount": raw.get("volume"),
        "filled": raw.get("executed_volume"),
        "remaining": raw.get("remaining_volume"),
        "price": raw.get("price"),
        "symbol": raw.get("market"),
        "side": "buy" if raw.get("side") == "bid" else "sell",
        "fee": {"cost": raw.get("paid_fee"), "currency": "KRW"},
        "timestamp": None if not at else int(datetime.fromisoformat(str(at)).timestamp() * 1_000),
    }


def hashed_order(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An order of Polymarket's order book in ccxt's format, with exact numbers."""
    amount, filled = decimal(raw.get("original_size")), decimal(raw.get("size_matched")) or Decimal(0)
    state = str(raw.get("status")).lower().removeprefix("order_status_")
    status = _HASHED_STATES.get(state, "canceled")
    if amount is not None and filled >= amount:
        status = "closed"
    elif status == "closed":
        status = "open"
    return {
        "info": raw,
        "id": raw.get("id"),
        "status": status,
        "amount": amount,
        "filled": filled,
        "remaining": None if amount is None else amount - filled,
        "price": raw.get("price"),
        "average": raw.get("price") if filled else None,
        "symbol": raw.get("asset_id"),
        "side": str(raw.get("side")).lower(),
        "type": "limit",
        "timestamp": None if not raw.get("created_at") else int(float(raw["created_at"])) * 1_000,
    }


def order_of_trades(order_id: str, amount: Decimal, trades: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """An ended order of `amount` that is known only by its trades; `None` if it has no trades.

    Failed trades do not count.
    """
    size = cost = Decimal(0)
    for trade in trades:
        if str(trade.get("status")).upper().endswith("FAILED"):
            continue
        parts: list[tuple[Any, Any]] = []
        if trade.get("taker_order_id") == order_id:
            parts.append((trade.get("size"), trade.get("price")))
        makers: list[Mapping[str, Any]] = trade.get("maker_orders") or []
        parts += [(one.get("matched_amount"), one.get("price")) for one in makers if one.get("order_id") == order_id]
        for matched, price in parts:
            size += decimal(matched) or Decimal(0)
            cost += (decimal(matched) or Decimal(0)) * (decimal(price) or Decimal(0))
    if not size:
        return None
    left = {"amount": amount, "filled": size, "remaining": f"{amount - size:f}", "average": cost / size}
    return {"id": order_id, "status": "closed" if size >= amount else "canceled", **left}
