"""Orders on real exchanges: their id, what may be sent, and what an answer proves.

The id of an order is derived from its label before anything is sent, so that an order whose answer was lost can be
found again. Amounts and prices are sent as they were approved or not at all: nothing is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, cast

from api.errors import InvalidInput
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import OrderStatus, PlaceRequest
from api.refusals import show

from .conventions import CONVENTIONS, OrderIdForm
from .markets import Market, decimal
from .session import Written

NO_MARKET_ORDERS: Final[Mapping[ExchangeId, str]] = {
    "upbit": "sizes market orders to buy in won",
    "gate": "sizes market orders to buy in the quote currency",
    "hyperliquid": "has none",
    "lighter": "has none with a bounded price",
}
"""Where a market order cannot be sent for an amount of base units, and why."""

NO_FOK: Final = frozenset({"hyperliquid", "lighter"})
NOT_YET: Final[frozenset[ExchangeId]] = frozenset({"lighter", "polymarket"})
"""Where no account is connected: an order whose answer was lost could not be found again with certainty."""

_STATUS: Final[Mapping[str, OrderStatus]] = {
    "open": "OPEN",
    "closed": "FILLED",
    "canceled": "CANCELLED",
    "cancelled": "CANCELLED",
    "expired": "CANCELLED",
    "rejected": "REJECTED",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """An order as the exchange shows it. Amounts in base units, exactly."""

    order_id: str | None
    client_id: str | None
    status: OrderStatus
    amount: Decimal | None
    price: Decimal | None
    filled: Decimal
    average: Decimal | None
    fee: Decimal | None
    fee_currency: str | None


def order_id_for(exchange: ExchangeId, account_id: str, label: str) -> str:
    """The id that an order of this label has at the exchange, in the exchange's form."""
    digest = sha256(f"{exchange}\n{account_id}\n{label}".encode()).hexdigest()
    form: OrderIdForm = CONVENTIONS[exchange].order_id
    if form == "t- and 26":
        return f"t-{digest[:26]}"
    if form == "128-bit hex":
        return f"0x{digest[:32]}"
    if form in {"48-bit number", "salt"}:
        return str(int(digest[:12], 16))
    return f"htm{digest[:32]}"


def check(request: PlaceRequest, market: Market) -> None:
    """Refuse an order that the exchange cannot take as it is written.

    Raises:
        InvalidInput: Says what does not fit, and what would.
    """
    exchange, name = request.exchange, EXCHANGES[request.exchange].name
    if exchange in NOT_YET:
        raise InvalidInput(
            f"orders cannot be sent to {name} from here yet",
            suggestion=f"Place the order at {name} itself",
        )
    if request.order_type == "market" and exchange in NO_MARKET_ORDERS:
        raise InvalidInput(
            f"{name} {NO_MARKET_ORDERS[exchange]}, so a market order for an amount cannot be sent",
            suggestion="Use order_type limit with a price at the market",
        )
    if request.order_type == "FOK" and exchange in NO_FOK:
        raise InvalidInput(f"{name} has no fill-or-kill orders", suggestion="Use order_type limit")
    _check_step("amount", request.amount, market.lot, market)
    if request.price is not None:
        _check_step("price", request.price, market.price_step(request.price), market)
    if market.min_amount is not None and request.amount < market.min_amount:
        raise InvalidInput(
            f"amount {request.amount:f} is below the smallest that {name} takes of {market.instrument.symbol},"
            f" {market.min_amount:f}",
            suggestion="Order more",
        )
    cost = request.amount * (request.price or Decimal(0))
    if market.min_cost is not None and request.price is not None and cost < market.min_cost:
        raise InvalidInput(
            f"{request.amount:f} at {request.price:f} is {cost:f} {market.instrument.quote}, below the smallest order"
            f" of {name}, {market.min_cost:f}",
            suggestion="Order more",
        )


def _check_step(field: str, value: Decimal, step: Decimal, market: Market) -> None:
    if value % step == 0:
        return
    lower = value // step * step
    near = [f"{one:f}" for one in (lower, lower + step) if one > 0]
    raise InvalidInput(
        f"{field} {show(f'{value:f}')} is not a multiple of {step:f}, the step of {market.instrument.symbol} on"
        f" {EXCHANGES[market.instrument.exchange].name}; nothing is rounded",
        suggestion=f"Use {' or '.join(near)}",
    )


def arguments(request: PlaceRequest, market: Market, client_id: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What ccxt's `create_order` takes: exact text for numbers, and our id."""
    exchange = request.exchange
    kind = "market" if request.order_type == "market" else "limit"
    amount = f"{(request.amount / market.contract).normalize():f}"
    price = None if request.price is None else f"{request.price:f}"
    name = {"binance": "newClientOrderId", "binancefuturesusd": "newClientOrderId", "gate": "text"}.get(
        exchange, "text" if exchange == "gatefutures" else "clientOrderId"
    )
    params: dict[str, Any] = {name: client_id}
    if request.order_type == "FOK":
        params["timeInForce"] = "FOK"
    return (market.symbol, kind, request.side, amount, price), params


def read_order(raw: Mapping[str, Any], market: Market) -> Seen:
    """An order as ccxt read it."""
    amount, filled = decimal(raw.get("amount")), decimal(raw.get("filled")) or Decimal(0)
    fee = cast("Mapping[str, Any]", raw.get("fee") or {})
    status = _STATUS.get(str(raw.get("status")), "OPEN")
    if status == "FILLED" and amount is not None and filled < amount and raw.get("remaining") not in {None, "0", 0}:
        status = "CANCELLED"
    if status == "OPEN" and filled > 0:
        status = "PART_FILLED"
    order_id, client_id = raw.get("id"), raw.get("clientOrderId")
    return Seen(
        order_id=None if not order_id else str(order_id),
        client_id=None if not client_id else str(client_id),
        status=status,
        amount=None if amount is None else amount * market.contract,
        price=decimal(raw.get("price")),
        filled=filled * market.contract,
        average=decimal(raw.get("average")) or None,
        fee=decimal(fee.get("cost")),
        fee_currency=fee.get("currency"),
    )


def unlike(seen: Seen, request: PlaceRequest, client_id: str) -> str:
    """Why an order that is shown is not the one that was sent; "" when it is."""
    if seen.client_id is not None and seen.client_id.lower() != client_id.lower():
        return "the answer is about an order with another id"
    if seen.amount is not None and seen.amount != request.amount:
        return f"the exchange shows an amount of {seen.amount:f}"
    if request.price is not None and seen.price not in {None, Decimal(0), request.price}:
        return f"the exchange shows a price of {seen.price:f}"
    return ""


def refusal(exchange: ExchangeId, written: Written) -> str | None:
    """The code or words by which the exchange said that there is no order; `None` for anything less certain."""
    status = written.status
    if status is None or status in {408, 409, 429} or status >= 500:
        return None
    try:
        body: Any = json.loads(written.body)
    except ValueError:
        return None
    codes = CONVENTIONS[exchange].refusals
    if exchange == "hyperliquid":
        said = _hyperliquid_error(body)
        return said if said is not None and any(code in said for code in codes) else None
    if not isinstance(body, Mapping):
        return None
    answer = cast("Mapping[str, Any]", body)
    if exchange in {"binance", "binancefuturesusd"}:
        code, words = str(answer.get("code")), str(answer.get("msg") or "")
    elif exchange == "upbit":
        error = cast("Mapping[str, Any]", answer.get("error") or {})
        code, words = str(error.get("name")), str(error.get("message") or "")
    else:
        code, words = str(answer.get("label")), str(answer.get("message") or "")
    if 200 <= status < 300 or code not in codes or "uplicate" in words:
        return None
    return f"{code}: {words}"


def _hyperliquid_error(body: Any) -> str | None:
    """Its refusals come with status 200, as a text or inside the list of one status."""
    if not isinstance(body, Mapping):
        return None
    answer = cast("Mapping[str, Any]", body)
    response = answer.get("response")
    if answer.get("status") == "err" and isinstance(response, str):
        return response
    try:
        (only,) = cast("Any", response)["data"]["statuses"]
        return only["error"] if set(only) == {"error"} else None
    except (TypeError, KeyError, ValueError):
        return None
