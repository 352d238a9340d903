"""Answers that ccxt does not read, or not far enough: refusals, and orders and positions in an exchange's own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from api.accounts import Position
from api.exchanges import ExchangeId

from .conventions import CONVENTIONS, Dialect
from .markets import decimal
from .session import Written

_UNCERTAIN: Final = frozenset({408, 409, 425, 429})
_SUCCESS: Final = range(200, 300)
_NOT_CERTAIN: Final = ("uplicate", "elayed")
"""Words of an answer that an order of this id is there already, or will be later. Such an answer refuses nothing."""

Said = tuple[str, str]
"""A code, and words."""


def refusal(exchange: ExchangeId, written: Written) -> str | None:
    """The code or words by which the exchange said that there is no order; `None` for anything less certain."""
    row, status = CONVENTIONS[exchange], written.status
    if status is None or status in _UNCERTAIN or status >= 500:
        return None
    try:
        body: Any = json.loads(written.body)
    except ValueError:
        return None
    if not isinstance(body, Mapping):
        return None
    said = _REFUSED[row.dialect](cast("Mapping[str, Any]", body), status)
    if said is None or any(word in said[1] for word in _NOT_CERTAIN):
        return None
    code, words = said
    if code in row.refusals or any(phrase in words for phrase in row.refusal_words):
        return ": ".join(part for part in said if part)
    return None


def _binance(body: Mapping[str, Any], status: int) -> Said | None:
    return None if status in _SUCCESS else (str(body.get("code")), str(body.get("msg") or ""))


def _upbit(body: Mapping[str, Any], status: int) -> Said | None:
    error = cast("Mapping[str, Any]", body.get("error") or {})
    return None if status in _SUCCESS else (str(error.get("name")), str(error.get("message") or ""))


def _gate(body: Mapping[str, Any], status: int) -> Said | None:
    return None if status in _SUCCESS else (str(body.get("label")), str(body.get("message") or ""))


def _hyperliquid(body: Mapping[str, Any], _: int) -> Said | None:
    """Its refusals come with status 200, as a text or inside the list of one status."""
    response = body.get("response")
    if body.get("status") == "err" and isinstance(response, str):
        return "", response
    try:
        (only,) = cast("Any", response)["data"]["statuses"]
        return ("", str(only["error"])) if set(only) == {"error"} else None
    except (TypeError, KeyError, ValueError):
        return None


def _lighter(body: Mapping[str, Any], _: int) -> Said | None:
    code = str(body.get("code"))
    return None if code in {"200", "0", "None"} else (code, str(body.get("message") or body.get("msg") or ""))


def _polymarket(body: Mapping[str, Any], status: int) -> Said | None:
    """A refusal has words only: `error`, or with status 200 `errorMsg` and no order id."""
    if status in _SUCCESS and (body.get("success") is not False or body.get("orderID")):
        return None
    words = str(body.get("error") or body.get("errorMsg") or "")
    return ("", words) if words else None


_REFUSED: Final[Mapping[Dialect, Callable[[Mapping[str, Any], int], Said | None]]] = {
    "binance": _binance,
    "upbit": _upbit,
    "gate": _gate,
    "hyperliquid": _hyperliquid,
    "lighter": _lighter,
    "polymarket": _polymarket,
}

_UPBIT_STATES: Final = {"wait": "open", "watch": "open", "done": "closed", "cancel": "canceled"}
_POLYMARKET_STATES: Final = {"live": "open", "delayed": "open", "unmatched": "open", "matched": "closed"}


def upbit_order(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Upbit's own answer in ccxt's words, whose reader asks for more than a look needs."""
    return {
        "id": raw.get("uuid"),
        "clientOrderId": raw.get("identifier"),
        "status": _UPBIT_STATES.get(str(raw.get("state"))),
        "amount": raw.get("volume"),
        "filled": raw.get("executed_volume"),
        "remaining": raw.get("remaining_volume"),
        "price": raw.get("price"),
        "symbol": raw.get("market"),
        "side": "buy" if raw.get("side") == "bid" else "sell",
        "fee": {"cost": raw.get("paid_fee"), "currency": "KRW"},
    }


def polymarket_order(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An order of Polymarket's order book in ccxt's words, with exact numbers."""
    amount, filled = decimal(raw.get("original_size")), decimal(raw.get("size_matched")) or Decimal(0)
    state = str(raw.get("status")).lower().removeprefix("order_status_")
    status = _POLYMARKET_STATES.get(state, "canceled")
    if amount is not None and filled >= amount:
        status = "closed"
    elif status == "closed":
        status = "open"
    return {
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


def polymarket_fills(order_id: str, amount: Decimal, trades: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """An order of `amount` that has ended and is known by its trades only; `None` where no trade is of it.

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


def polymarket_positions(answer: Any) -> list[Position]:
    """The tokens that a wallet holds, with the questions that they answer."""
    rows = cast("Sequence[Mapping[str, Any]]", answer if isinstance(answer, list) else answer.get("data") or [])
    found: list[Position] = []
    for raw in rows:
        size = decimal(raw.get("size"))
        if not size:
            continue
        found.append(
            Position(
                symbol=f"{raw.get('asset')}/USDC",
                title=f"{raw.get('title')} ({raw.get('outcome')})",
                side="long",
                size=size,
                entry_price=decimal(raw.get("avgPrice")) or Decimal(0),
                unrealized_pnl=decimal(raw.get("cashPnl")) or Decimal(0),
                leverage=Decimal(1),
                mark_price=decimal(raw.get("curPrice")),
            )
        )
    return found
