"""Defines rules and the worst-case cost of an order. A rule is a pure function that may object to a case.

An order that cannot be valued has no value, and the rules that need one deny.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import cache, lru_cache
from typing import Final, Literal, TypedDict

from typing_extensions import Unpack

from api.errors import HeyTradersError
from api.exchanges import EXCHANGES
from api.symbols import BITCOIN_IN_DOLLARS, BITCOIN_IN_WON, Instrument, resolve
from safety.policy.limits import Limits
from safety.terms.facts import AccountFacts, Facts, Outcome, RuleResult
from safety.terms.proposal import Action, OrderTerms

EXACT: Final = Context(prec=200, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Enough digits for the product of any four numbers that the API accepts."""

_SMALLEST_USD: Final = Decimal("1e-8")
_SMALLEST_AMOUNT: Final = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class OrderValue:
    """An order's value.

    Attributes:
        price: Quote currency per unit, the worst of limit price and quote.
        units: Quote currency for the whole order, without leverage.
        usd: Value in USD, leveraged, rounded up to 8 decimals.
        missing: Why there is no value; "" if there is one.
    """

    price: Decimal | None = None
    units: Decimal | None = None
    usd: Decimal | None = None
    missing: str = ""


def worth(order: OrderTerms, facts: Facts) -> OrderValue:
    """Value an order at the worst of its limit price and the quote, times leverage.

    The API document gives `amount` in base units. Some exchanges read the amount of a market order as quote currency,
    so for market orders the larger of the two values counts.
    """
    if facts.quote is None or not _positive(facts.quote.price):
        return OrderValue(missing=f"there is no market price of {order.symbol}")
    price = facts.quote.price if order.price is None else max(order.price, facts.quote.price)
    units = EXACT.multiply(order.amount, price)
    if order.order_type == "market":
        units = max(units, order.amount)
    if facts.usd_rate is None or not _positive(facts.usd_rate):
        return OrderValue(price, units, missing=_no_rate(order))
    usd = EXACT.multiply(EXACT.multiply(units, facts.usd_rate), order.leverage or 1)
    return OrderValue(price, units, trimmed(usd.quantize(_SMALLEST_USD, ROUND_UP, context=EXACT)))


def _no_rate(order: OrderTerms) -> str:
    said = f"the value in USD of the quote currency of {order.symbol} is not known"
    if instrument(order.symbol, order.exchange).quote != "KRW":
        return said
    needed = [f"of {each.symbol} on {EXCHANGES[each.exchange].name}" for each in (BITCOIN_IN_DOLLARS, BITCOIN_IN_WON)]
    return f"{said} (it needs recent prices {' and '.join(needed)})"


@lru_cache(maxsize=1024)
def instrument(order_symbol: str, exchange: str) -> Instrument:
    """Base and quote of an order's symbol.

    Raises:
        InvalidInput: It is not a symbol of that exchange.
    """
    return resolve(order_symbol, exchange)  # pyright: ignore[reportArgumentType] - an Order's exchange is one


def trimmed(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent."""
    return Decimal(format(EXACT.normalize(value), "f"))


def plain(value: Decimal) -> str:
    """A number for people: no exponent, no trailing zeros, at most 18 decimals."""
    return format(EXACT.normalize(value.quantize(_SMALLEST_AMOUNT, context=EXACT)), "f")


def _positive(value: Decimal) -> bool:
    return value.is_finite() and value > 0


ActionKind = Literal["order", "standing", "publication"]

DAY: Final = 86_400
_DIGITS: Final = 5
"""Significant digits of suggested prices and amounts; the strictest of the eight exchanges accepts as many."""


@dataclass(frozen=True, slots=True)
class Case:
    """One action with its limits and the known facts.

    Attributes:
        worth: The worst-case cost; empty for actions other than orders.
    """

    action: Action
    limits: Limits
    facts: Facts
    worth: OrderValue

    @property
    def order(self) -> OrderTerms:
        """The action, which must be an order.

        Raises:
            TypeError: It is not an order.
        """
        if not isinstance(self.action, OrderTerms):
            raise TypeError("not an order")
        return self.action

    @property
    def account(self) -> AccountFacts:
        """The account's snapshot.

        Raises:
            Missing: It could not be read.
        """
        if self.facts.account is None:
            raise Missing("the account's balances and orders could not be read")
        return self.facts.account

    @property
    def usd(self) -> Decimal:
        """The order's value.

        Raises:
            Missing: It has none.
        """
        if self.worth.usd is None:
            raise Missing(self.worth.missing)
        return self.worth.usd

    @property
    def price(self) -> Decimal:
        """The worst price per unit, quote currency.

        Raises:
            Missing: It is not known.
        """
        if self.worth.price is None:
            raise Missing(self.worth.missing)
        return self.worth.price

    @property
    def units(self) -> Decimal:
        """Quote currency for the whole order, without leverage.

        Raises:
            Missing: It is not known.
        """
        if self.worth.units is None:
            raise Missing(self.worth.missing)
        return self.worth.units

    @property
    def usd_rate(self) -> Decimal:
        """USD per unit of the quote currency.

        Raises:
            Missing: It is not known.
        """
        if self.facts.usd_rate is None or self.worth.usd is None:
            raise Missing(self.worth.missing)
        return self.facts.usd_rate

    def smaller(self, allowed: Decimal, of: Decimal) -> OrderTerms | None:
        """The order cut down so that `of`, which grows with its amount, becomes at most `allowed`."""
        if of <= 0:
            return None
        amount = rounded(min(self.order.amount, self.order.amount * allowed / of), ROUND_DOWN)
        return self.order.model_copy(update={"amount": amount}) if amount > 0 else None


def at_most(smaller: OrderTerms | None, otherwise: str) -> str:
    """The advice for an order that is too large."""
    return otherwise if smaller is None else f"Use an amount of at most {plain(smaller.amount)}"


class Missing(Exception):
    """A fact that a rule needs is missing; the text names it."""


def rounded(value: Decimal, way: str) -> Decimal:
    """A number with few significant digits and at most 18 decimals, as the API accepts it."""
    place = max(value.adjusted() - _DIGITS + 1, -18)
    return trimmed(value.quantize(Decimal(1).scaleb(min(place, 0)), way, context=EXACT))


def seconds(span: float) -> str:
    """A time span for people, to the millisecond."""
    return f"{span:.3f}".rstrip("0").rstrip(".")


class Numbers(TypedDict, total=False):
    """Optional parts of an objection besides its reason: attributes of `RuleResult`."""

    limit: str
    observed: str | None
    unit: str
    window: str | None
    resets_at: float | None
    repaired: OrderTerms | None


Objection = Callable[[str], RuleResult]
"""A rule's objection to a case; it becomes a finding under the rule's id."""


def deny(reason: str, what_to_do: str, **numbers: Unpack[Numbers]) -> Objection:
    """An objection that no approval can change."""
    return lambda rule: RuleResult(rule, Outcome.DENY, reason, what_to_do=what_to_do, **numbers)


def require(reason: str, **numbers: Unpack[Numbers]) -> Objection:
    """An objection that a human can lift for this one action."""
    return lambda rule: RuleResult(rule, Outcome.REQUIRE, reason, what_to_do=ASK, **numbers)


ASK: Final = "A human approves it with `heytraders-mcp approve`; no tool can approve it"
SIGN: Final = "Only the user can change this limit, with `heytraders-mcp policy sign`"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        id: Number and name.
        objection: Returns the objection to a case, or `None`.
        kinds: The kinds of action that it judges.
        once: It limits frequency and volume, so it is judged when an action is admitted, and not again before sending.
    """

    id: str
    objection: Callable[[Case], Objection | None]
    kinds: frozenset[ActionKind]
    once: bool

    def judge(self, case: Case) -> RuleResult:
        """Apply the rule. A missing fact, or an error in the rule itself, is a denial."""
        try:
            found = self.objection(case)
        except Missing as missing:
            found = deny(f"{missing}, so this limit cannot be checked", "Try again once it is known")
        except HeyTradersError as error:
            found = deny(error.message, error.suggestion.rstrip("."))
        except Exception as error:  # noqa: BLE001 - whatever breaks in a rule, the answer is no
            found = deny(f"the rule failed ({type(error).__name__})", "Tell the user; the order was not sent")
        return _passed(self.id) if found is None else found(self.id)


@cache
def _passed(rule_id: str) -> RuleResult:
    """The finding of a rule without an objection."""
    return RuleResult(rule_id)


def rule(
    id: str,  # noqa: A002 - what it is called in every finding
    *kinds: ActionKind,
    once: bool = False,
) -> Callable[[Callable[[Case], Objection | None]], Rule]:
    """Make a function a rule for some kinds of action, by default orders."""

    def made(objection: Callable[[Case], Objection | None]) -> Rule:
        return Rule(id, objection, frozenset(kinds or ("order",)), once)

    return made
