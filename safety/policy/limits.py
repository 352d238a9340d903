"""Defines all limits, their units, and which direction is tighter. A limit without a value limits nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from api.exchanges import ExchangeId, MarketType
from api.orders import OrderType


class Tighter(Enum):
    """How to tell which of two values is tighter."""

    LOWER = "lower"
    """A number; `None` means no limit."""
    HIGHER = "higher"
    """A number of seconds to wait or to look back."""
    FEWER = "fewer"
    """A set of allowed values; `None` allows everything, the empty set nothing."""
    MORE = "more"
    """A set of forbidden values."""
    TRUE = "true"
    """A precaution."""
    FALSE = "false"
    """A permission."""


Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=8)]
Fraction = Annotated[Decimal, Field(ge=0, le=10, max_digits=12, decimal_places=10)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]


class Limits(BaseModel):
    """Limits for one kind of money. `None` means that there is no such limit. Each field says which rule reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trading: Annotated[bool, Tighter.FALSE] = Field(default=True, description="R01: orders are placed at all.")
    accounts: Annotated[frozenset[str] | None, Tighter.FEWER] = Field(default=None, description="R02: account ids.")
    market_types: Annotated[frozenset[MarketType] | None, Tighter.FEWER] = Field(
        default=None, description="R03: kinds of market."
    )
    exchanges: Annotated[frozenset[ExchangeId] | None, Tighter.FEWER] = Field(default=None, description="R03: venues.")
    symbols: Annotated[frozenset[str] | None, Tighter.FEWER] = Field(default=None, description="R04: exact symbols.")
    forbidden_symbols: Annotated[frozenset[str], Tighter.MORE] = Field(
        default=frozenset(), description="R04: never these."
    )
    order_types: Annotated[frozenset[OrderType] | None, Tighter.FEWER] = Field(
        default=None, description="R05: order types."
    )
    max_amount: Annotated[dict[str, Decimal] | None, Tighter.LOWER] = Field(
        default=None,
        description="R07: largest order in base units, for each allowed symbol; a symbol without one is denied.",
    )
    max_notional: Annotated[Usd | None, Tighter.LOWER] = Field(default=None, description="R08: USD of one order.")
    collar: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R10: how far a price may lie from the market, as a fraction."
    )
    collar_major: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R10: the same for the ten largest assets."
    )
    collar_probability: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R10: the same for prediction markets, as a difference."
    )
    quote_age: Annotated[Seconds | None, Tighter.LOWER] = Field(
        default=None, description="R10: seconds a quote stays fresh."
    )
    max_leverage: Annotated[Count | None, Tighter.LOWER] = Field(default=None, description="R11: leverage.")
    daily_notional: Annotated[Usd | None, Tighter.LOWER] = Field(
        default=None, description="R12: USD of all orders in 24 hours, and since midnight UTC."
    )
    daily_count: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R13: orders, over the same spans."
    )
    seconds_between: Annotated[Annotated[int, Field(ge=0, le=60)], Tighter.HIGHER] = Field(
        default=0, description="R14: pause between two orders, at most the minute that usage looks back."
    )
    per_minute: Annotated[Count | None, Tighter.LOWER] = Field(default=None, description="R14: orders in a minute.")
    duplicate_seconds: Annotated[Annotated[int, Field(ge=0, le=3600)], Tighter.HIGHER] = Field(
        default=0,
        description=("R15: an order like an earlier one within this span, at most an hour, needs a human's approval."),
    )
    repeat_seconds: Annotated[Seconds, Tighter.HIGHER] = Field(
        default=0, description="R15: an identical call within this span returns the existing intent."
    )
    open_orders: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R16: open orders of the account."
    )
    open_orders_symbol: Annotated[Count | None, Tighter.LOWER] = Field(default=None, description="R16: of one symbol.")
    position_usd: Annotated[Usd | None, Tighter.LOWER] = Field(default=None, description="R17: USD held in one symbol.")
    position_share: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R17: share of the account's equity in one symbol."
    )
    exposure_share: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R17: share of the account's equity in all positions and orders."
    )
    daily_loss_usd: Annotated[Usd | None, Tighter.LOWER] = Field(
        default=None, description="R18: a loss of this many USD since midnight UTC halts."
    )
    daily_loss_share: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R18: so does this share of the equity at midnight UTC."
    )
    drawdown_share: Annotated[Fraction | None, Tighter.LOWER] = Field(
        default=None, description="R19: below the highest equity by this share, only reducing orders pass."
    )
    no_self_trade: Annotated[bool, Tighter.TRUE] = Field(
        default=False, description="R21: never trade with a resting order of the same user."
    )
    rearm_after: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R22: orders in a row without a human's approval before one is needed again."
    )
    cooldown_failures: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R23: failures in a row before a pause."
    )
    cooldown_seconds: Annotated[Seconds, Tighter.HIGHER] = Field(default=600, description="R23: length of that pause.")
    halt_failures: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R23: failures in a row that halt."
    )
    one_unresolved: Annotated[bool, Tighter.TRUE] = Field(
        default=False,
        description=("R24: while an order's outcome is unknown, no other order is sent on its account and symbol."),
    )
    halt_unresolved: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R24: unknown outcomes anywhere that halt."
    )
    check_funds: Annotated[bool, Tighter.TRUE] = Field(default=False, description="R25: free balance must cover it.")
    clock_skew: Annotated[Seconds | None, Tighter.LOWER] = Field(
        default=None, description="R26: seconds that this clock may differ from the service's."
    )
    snapshot_age: Annotated[Seconds | None, Tighter.LOWER] = Field(
        default=None, description="R27: seconds that an account snapshot stays fresh."
    )
    ask_a_human: Annotated[bool, Tighter.TRUE] = Field(
        default=False, description="R28: every order needs a human's approval, except those within automatic_up_to."
    )
    automatic_up_to: Annotated[Usd, Tighter.LOWER] = Field(
        default=Decimal(0), description="R28: USD of an order that needs no human."
    )
    elicitation_up_to: Annotated[Usd, Tighter.LOWER] = Field(
        default=Decimal(0),
        description="R29: USD of an order for which an answer in the client's own dialog counts as a human's.",
    )
    ask_for_standing: Annotated[bool, Tighter.TRUE] = Field(
        default=False, description="R30: a strategy that trades by itself always needs a human's approval."
    )
    max_standing: Annotated[Count | None, Tighter.LOWER] = Field(
        default=None, description="R30: strategies that trade by themselves at the same time."
    )
    standing_seconds: Annotated[Seconds | None, Tighter.LOWER] = Field(
        default=None, description="R30: after this long such a strategy is paused until a human approves again."
    )
    webhook_hosts: Annotated[frozenset[str] | None, Tighter.FEWER] = Field(
        default=None, description="R31: exact hosts that webhooks may call."
    )
    public_webhooks: Annotated[bool, Tighter.TRUE] = Field(
        default=False,
        description=("R31: webhooks go to public https hosts, signed with a configured secret or not at all."),
    )
    ask_to_publish: Annotated[bool, Tighter.TRUE] = Field(
        default=False, description="R32: posts and profile changes need a human's approval."
    )


Limited = TypeVar("Limited", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Change:
    """One limit that differs.

    Attributes:
        name: Dotted, such as `live.max_notional`.
        before: The old value.
        after: The new value.
        loosens: The new value allows something that the old one forbade.
    """

    name: str
    before: object
    after: object
    loosens: bool


def meet(one: Limited, other: Limited) -> Limited:
    """The loosest limits that are at least as tight as both. Commutative, associative and idempotent.

    Raises:
        TypeError: A field neither declares a tighter direction nor holds limits itself.
    """
    return type(one)(  # a copy would keep the old one's cached values
        **{
            name: _tighter(name, info, getattr(one, name), getattr(other, name))
            for name, info in type(one).model_fields.items()
        }
    )


def changes(before: Limited, after: Limited, prefix: str = "") -> list[Change]:
    """Every limit that differs, in the order of the fields."""
    found: list[Change] = []
    for name, info in type(before).model_fields.items():
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, BaseModel):
            found += changes(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(Change(prefix + name, old, new, loosens=_tighter(name, info, old, new) != new))
    return found


def _tighter(name: str, info: FieldInfo, one: Any, other: Any) -> Any:
    if isinstance(one, BaseModel):
        return meet(one, other)
    way = next((mark for mark in info.metadata if isinstance(mark, Tighter)), None)
    if way is None:
        raise TypeError(f"{name} does not say which way is tighter")
    if one is None or other is None:
        return other if one is None else one
    return _COMBINED[way](one, other)


def _lower(one: Any, other: Any) -> Any:
    """The smaller number; for tables, the common keys with the smaller number of each."""
    if not isinstance(one, dict):
        return min(one, other)
    mine, theirs = cast("dict[str, Decimal]", one), cast("dict[str, Decimal]", other)
    return {key: min(value, theirs[key]) for key, value in mine.items() if key in theirs}


def _fewer(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return one & other


def _more(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return one | other


_COMBINED: Final[dict[Tighter, Callable[[Any, Any], Any]]] = {
    Tighter.LOWER: _lower,
    Tighter.HIGHER: max,
    Tighter.FEWER: _fewer,
    Tighter.MORE: _more,
    Tighter.TRUE: max,
    Tighter.FALSE: min,
}
