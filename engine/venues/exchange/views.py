"""Own accounts and their orders in the API's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from api.accounts import Account
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import Order, PlacedOrder
from api.times import iso8601
from engine.store.exchange_data import SentOrder

from .markets import ExchangeMarket, decimal
from .orders import PAIR, TRIGGER, SeenOrder, gate_label_in
from .session import Keys

WAITING: Final = "WAITING"
"""The state of an exit that this engine holds until its price is reached."""

MISSED: Final = "MISSED"
"""The state of an exit that its exchange ended before it had filled, until another takes its place."""

HELD: Final = frozenset({WAITING, MISSED})
"""The states of exits that are not at their exchange, although they have not ended."""

ENDED: Final = frozenset({"FILLED", "CANCELLED", "REJECTED"})


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account that its owner connected. `keys` reads the secrets each time, so that they can be revoked."""

    account_id: str
    exchange: ExchangeId
    name: str
    testnet: bool
    keys: Callable[[], Keys]


def held(raw: Mapping[str, Any]) -> list[tuple[str, Decimal, Decimal]]:
    """Each asset of a balance in ccxt's format with its free and its total amount.

    Free can exceed the total where other assets serve as margin too.
    """
    parts: list[dict[str, Any]] = [raw.get(name) or {} for name in ("free", "used", "total")]
    free, used, totals = parts
    found: list[tuple[str, Decimal, Decimal]] = []
    for asset, amount in totals.items():
        total, available = decimal(amount) or Decimal(0), decimal(free.get(asset))
        found.append((asset, total - (decimal(used.get(asset)) or 0) if available is None else available, total))
    return found


def account_view(own: OwnAccount) -> Account:
    row = EXCHANGES[own.exchange]
    return Account(
        account_id=own.account_id,
        name=own.name or f"{row.name}{' testnet' if own.testnet else ''} account",
        exchange=own.exchange,
        market_type=row.market_type,
        currency=row.quote,
        status="active",
        paper=False,
    )


def order_view(row: SentOrder, own: OwnAccount) -> Order:
    return Order(**_fields(row, own))


def placed_view(row: SentOrder, own: OwnAccount) -> PlacedOrder:
    return PlacedOrder(**_fields(row, own), price_source="exchange", price_time=iso8601(row.updated_at))


def _fields(row: SentOrder, own: OwnAccount) -> dict[str, Any]:
    return {
        "order_id": row.order_id,
        "exchange_order_id": row.venue_id,
        "account_id": own.account_id,
        "exchange": own.exchange,
        "symbol": row.symbol,
        "market_type": EXCHANGES[own.exchange].market_type,
        "side": row.side,
        "order_type": "market" if row.order_type in {TRIGGER, PAIR} else row.order_type,
        "status": "OPEN" if row.status in HELD else row.status,
        "amount": row.amount,
        "filled_amount": row.filled,
        "remaining_amount": Decimal(0) if row.status in ENDED else row.amount - row.filled,
        "price": row.price,
        "average_price": row.average,
        "fee": row.fee,
        "fee_currency": row.fee_currency,
        "leverage": row.leverage,
        "label": row.label if row.role is None else None,
        "role": row.role or ("entry" if row.has_plan else None),
        "parent": row.parent,
        "stop_loss": row.stop_loss,
        "take_profit": row.take_profit,
        "reduce_only": row.reduce_only or None,
        "held_by": _holder(row),
        "message": row.message or _why_held(row),
        "created_at": iso8601(row.created_at),
        "updated_at": iso8601(row.updated_at),
        "paper": False,
    }


def _holder(row: SentOrder) -> str | None:
    """Who watches the price of an exit."""
    if row.role is None or row.status in ENDED:
        return None
    return "engine" if row.status in HELD else "venue"


def _why_held(row: SentOrder) -> str | None:
    """Who holds the exits of an entry, and why an exit cannot rest at its exchange."""
    exchange = EXCHANGES[row.exchange]
    if row.role is None and row.has_plan and row.status not in {"REJECTED", "CANCELLED"}:
        pair = row.stop_loss is not None and row.take_profit is not None
        return f"Exits: {exchange.held_by(pair=pair)}"
    if row.status != WAITING or not exchange.no_exits:
        return None
    return f"{exchange.name} {exchange.no_exits}: this engine watches the price"


def foreign_view(raw: Mapping[str, Any], seen: SeenOrder, own: OwnAccount, market: ExchangeMarket) -> Order:
    """An order placed elsewhere. One placed by a copy of this home has the beginning of its label."""
    at = raw.get("timestamp")
    label = gate_label_in(own.exchange, seen.client_id, None if not at else float(at) / 1_000)
    return Order(
        order_id=seen.order_id,
        exchange_order_id=seen.order_id,
        account_id=own.account_id,
        exchange=own.exchange,
        symbol=market.instrument.symbol,
        market_type=market.instrument.market_type,
        side=raw.get("side"),
        order_type="limit" if raw.get("type") != "market" else "market",
        status=seen.status,
        amount=seen.amount,
        filled_amount=seen.filled,
        remaining_amount=None if seen.amount is None else seen.amount - seen.filled,
        price=seen.price,
        average_price=seen.average,
        label=label,
        message=None if label is None else "Sent by a safety gate, and not recorded in this database",
        created_at=None if not at else iso8601(float(at) / 1_000),
        paper=False,
    )
