"""Rules on the account: open orders, positions, losses, funds, and orders that only reduce a position.

R16 to R20 and R25.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.errors import HeyTradersError, show
from api.exchanges import EXCHANGES
from safety.policy.case import SIGN, Case, Missing, Objection, at_most, deny, instrument, plain, rule
from safety.policy.limits import Limits
from safety.policy.orders import same_symbol
from safety.terms.facts import AccountFacts, RestingOrder
from safety.terms.proposal import OrderTerms

RESTS: Final = frozenset({"limit", "GTC"})
_DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})


@rule("R16_OPEN_ORDERS")
def open_orders(case: Case) -> Objection | None:
    """Resting orders per account and per symbol; judged only for orders that would rest."""
    if case.order.order_type not in RESTS:
        return None
    for where, allowed, count in counts(case):
        if count >= allowed:
            return deny(
                f"{where} has {count} open orders, and {allowed} are allowed",
                "Cancel one first" if allowed else SIGN,
                limit=str(allowed),
                observed=str(count + 1),
                unit="orders",
            )
    return None


def counts(case: Case) -> Iterator[tuple[str, int, int]]:
    """The comparisons of R16: the scope, how many orders may rest there, and how many rest or are about to."""
    in_all, in_symbol = case.limits.open_orders, case.limits.open_orders_symbol
    on_the_way = case.facts.usage.in_flight_here
    if in_all is not None:
        yield "the account", in_all, len(_entries(case.account)) + on_the_way
    if in_symbol is not None:
        here = sum(same_symbol(case.order, resting.symbol) for resting in _entries(case.account))
        yield case.order.symbol, in_symbol, here + on_the_way


def _entries(account: AccountFacts) -> tuple[RestingOrder, ...]:
    """Resting orders that may open a position. Exits do not: their entry's approval covered them."""
    return tuple(resting for resting in account.open_orders if not resting.is_exit)


@rule("R17_POSITION")
def position(case: Case) -> Objection | None:
    """USD in one symbol and in all, with open and reserved orders, absolute and as shares of the equity.

    An order that only reduces a position always passes.
    """
    limits = case.limits
    if limits.position_usd is None and limits.position_share is None and limits.exposure_share is None:
        return None
    if shrinks(case):
        return None
    return next((found for stake in stakes(case) if (found := _too_much(case, stake)) is not None), None)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Allowed and used exposure: held, reserved and resting.

    Attributes:
        symbol: The symbol; `None` is all symbols.
        allowed: USD.
        used: USD.
    """

    symbol: str | None
    allowed: Decimal
    used: Decimal


def stakes(case: Case) -> Iterator[Exposure]:
    """The comparisons of R17: the order's symbol, then all symbols.

    Raises:
        Missing: Something is not known.
    """
    limits, usage, symbol = case.limits, case.facts.usage, case.order.symbol
    here = _least(limits.position_usd, _share(case, limits.position_share))
    if here is not None:
        used = _held(case.account, symbol) + usage.reserved_symbol_usd + _resting_usd(case, symbol)
        yield Exposure(symbol, here, used)
    if limits.exposure_share is not None:
        used = _held(case.account) + usage.reserved_usd + _resting_usd(case, None)
        yield Exposure(None, limits.exposure_share * equity(case), used)


def _too_much(case: Case, stake: Exposure) -> Objection | None:
    """The objection if the order would exceed the stake."""
    if stake.used + case.usd <= stake.allowed:
        return None
    smaller = case.smaller(stake.allowed - stake.used, case.usd)
    return deny(
        f"{stake.symbol or 'all positions and orders'} would come to {plain(stake.used + case.usd)} USD, and "
        f"{plain(stake.allowed)} USD are allowed",
        at_most(smaller, "Reduce what the account holds first"),
        limit=plain(stake.allowed),
        observed=plain(stake.used + case.usd),
        unit="USD",
        repaired=smaller,
    )


def _least(*limits: Decimal | None) -> Decimal | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _share(case: Case, share: Decimal | None) -> Decimal | None:
    return None if share is None else share * equity(case)


def equity(case: Case) -> Decimal:
    """The account's total equity in USD.

    Raises:
        Missing: It is not known.
    """
    if case.account.equity_usd is None:
        raise Missing("the account's equity is not known")
    return case.account.equity_usd


def _held(account: AccountFacts, symbol: str | None = None) -> Decimal:
    """USD in the position of one symbol, or of all."""
    unvalued = next((s for s, size in account.positions.items() if size and s not in account.position_usd), None)
    if unvalued is not None and symbol in {None, unvalued}:
        raise Missing(f"the value of the position in {show(unvalued)} is not known")
    values = account.position_usd
    return sum(map(abs, values.values()), Decimal(0)) if symbol is None else abs(values.get(symbol, Decimal(0)))


def _resting_usd(case: Case, symbol: str | None = None) -> Decimal:
    """USD in resting orders of the order's symbol, or of all."""
    resting = _entries(case.account)
    if symbol is not None:
        resting = tuple(r for r in resting if same_symbol(case.order, r.symbol))
    return sum((_usd_of(case, r) for r in resting), Decimal(0))


def _usd_of(case: Case, resting: RestingOrder) -> Decimal:
    order = case.order
    price = resting.price
    if price is None and same_symbol(order, resting.symbol):
        price = case.price
    try:
        quote = instrument(resting.symbol, order.exchange).quote
    except HeyTradersError:
        quote = ""
    same = quote == instrument(order.symbol, order.exchange).quote
    rate = case.usd_rate if same else Decimal(1) if quote in _DOLLARS else None
    if price is None or rate is None:
        raise Missing(f"the value of the open order of {show(resting.symbol)} is not known")
    return price * resting.remaining * rate


def shrinks(case: Case) -> bool:
    """Whether the order is certain to reduce a position, whatever else is resting or being sent."""
    order, usage = case.order, case.facts.usage
    size = case.account.positions.get(order.symbol, Decimal(0))
    against = "buy" if size.is_signed() else "sell"
    if not size or order.side != against or usage.reserved_symbol_usd or usage.unknown_here or usage.in_flight_here:
        return False
    resting = sum(
        (r.remaining for r in _entries(case.account) if r.side == order.side and same_symbol(order, r.symbol)),
        Decimal(0),
    )
    return order.amount + resting <= abs(size)


@rule("R18_DAILY_LOSS")
def daily_loss(case: Case) -> Objection | None:
    """The loss since midnight UTC, absolute and as a share of the equity then. Exceeding it halts."""
    limits, start = case.limits, case.facts.usage.day_start_equity
    if limits.daily_loss_usd is None and limits.daily_loss_share is None:
        return None
    now = equity(case)
    if start is None:
        raise Missing("the account's equity at the start of the day is not known")
    allowed = loss_allowed(limits, start)
    if allowed is None or start - now < allowed:
        return None
    return deny(
        f"the account has lost {plain(start - now)} USD since midnight UTC; a loss of {plain(allowed)} USD halts all "
        "trading",
        "Stop and tell the user; only `heytraders-mcp release` lets trading continue",
        limit=plain(allowed),
        observed=plain(start - now),
        unit="USD",
        window="UTC day",
    )


def loss_allowed(limits: Limits, start: Decimal) -> Decimal | None:
    """The daily loss in USD that halts, for a day that began with an equity of `start`."""
    share = None if limits.daily_loss_share is None else limits.daily_loss_share * start
    return _least(limits.daily_loss_usd, share)


@rule("R19_DRAWDOWN")
def drawdown(case: Case) -> Objection | None:
    """After a drawdown from the highest equity, only orders that reduce a position pass."""
    share, highest = case.limits.drawdown_share, case.facts.usage.high_water_equity
    if share is None or shrinks(case):
        return None
    now = equity(case)
    if highest is None:
        raise Missing("the account's highest equity is not known")
    if highest - now < share * highest:
        return None
    return deny(
        f"equity is {plain(now)} USD, down from {plain(highest)} USD; only orders that reduce a position pass now",
        "Reduce a position, or tell the user",
        limit=plain(share * highest),
        observed=plain(highest - now),
        unit="USD",
    )


@rule("R20_SWITCH", "order", "standing", "publication")
def switch(case: Case) -> Objection | None:
    """The kill switch. REDUCING passes orders that reduce a position; HALTED passes nothing."""
    state = case.facts.switch
    if state == "ACTIVE":
        return None
    if state == "REDUCING" and (
        case.action.kind == "publication" or (isinstance(case.action, OrderTerms) and shrinks(case))
    ):
        return None
    allowed = "only orders that provably reduce a position pass" if state == "REDUCING" else "nothing passes"
    moved = case.facts.switch_moved and f", moved by {case.facts.switch_moved}"
    return deny(
        f"the kill switch is {state}{moved}: {allowed}",
        "Tell the user; only `heytraders-mcp release` ends it. Cancelling and pausing always work",
        limit="ACTIVE",
        observed=state,
    )


@rule("R25_FUNDS")
def funds(case: Case) -> Objection | None:
    """Free balance, less the amount reserved for orders that the account does not show yet."""
    if not case.limits.check_funds:
        return None
    order = case.order
    venue = EXCHANGES[order.exchange]
    if venue.market_type == "perpetual":
        if shrinks(case):
            return None
        asset, free, needed = _money(case, order.leverage or 1)
    elif order.side == "buy":
        asset, free, needed = _money(case, 1)
    else:
        base = instrument(order.symbol, order.exchange).base
        tokens = venue.market_type == "prediction"
        asset, held = ("tokens", case.account.positions) if tokens else (base, case.account.free)
        free = held.get(base, Decimal(0)) - case.facts.usage.reserved_symbol_usd / (case.price * case.usd_rate)
        needed = order.amount
        if order.reduce_only:
            free += _held_by_exits(case)
    if needed <= free:
        return None
    smaller, free = case.smaller(free, needed), max(free, Decimal(0))
    return deny(
        f"the order needs {plain(needed)} {asset}, and {plain(free)} are free",
        at_most(smaller, "Cancel orders that reserve the balance"),
        limit=plain(free),
        observed=plain(needed),
        unit=asset,
        repaired=smaller,
    )


def _held_by_exits(case: Case) -> Decimal:
    """The balance held by exits of the order's symbol; the two exits of a plan hold the same amount."""
    held: dict[str | None, Decimal] = {}
    for resting in case.account.open_orders:
        if resting.is_exit and same_symbol(case.order, resting.symbol):
            held[resting.parent] = max(held.get(resting.parent, Decimal(0)), resting.remaining)
    return sum(held.values(), Decimal(0))


def _money(case: Case, leverage: int) -> tuple[str, Decimal, Decimal]:
    """The quote currency, its free balance, and the amount that the order takes."""
    order = case.order
    quote = instrument(order.symbol, order.exchange).quote
    reserved = case.facts.usage.reserved_usd / case.usd_rate
    return quote, case.account.free.get(quote, Decimal(0)) - reserved, case.units / leverage
