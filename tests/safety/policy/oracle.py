"""The rule table again, in fractions and plain conditions, written from the table and not from our rules.

It answers which rules object to an order and how. It shares types with the policy, but no logic.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final

from safety.policy.limits import Limits
from safety.terms.facts import AccountFacts, Facts, RestingOrder
from safety.terms.proposal import OrderTerms

DOLLARS: Final = ("USD", "USDT", "USDC")
LARGEST: Final = ("BTC", "ETH", "XRP", "BNB", "SOL", "DOGE", "TRX", "ADA", "LINK", "AVAX")
CHANNELS: Final = {"none": (0, 0), "elicitation": (25, 50), "passphrase": (250, 1000), "separate": (1000, 5000)}

CEILINGS: Final = {
    "max_notional": "1000",
    "daily_notional": "5000",
    "max_leverage": "3",
    "collar": "0.1",
    "collar_major": "0.1",
    "collar_probability": "0.2",
    "quote_age": "90",
    "daily_count": "1000",
    "per_minute": "60",
    "open_orders": "200",
    "open_orders_symbol": "200",
    "daily_loss_share": "0.5",
    "drawdown_share": "0.75",
    "rearm_after": "100",
    "halt_failures": "20",
    "halt_unresolved": "10",
    "clock_skew": "30",
    "snapshot_age": "60",
    "automatic_up_to": "250",
}
ALWAYS: Final = ("ask_a_human", "one_unresolved", "ask_for_standing", "ask_to_publish")

VENUES: Final = {
    "binance": ("spot", r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20})"),
    "upbit": ("spot", r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20})"),
    "gate": ("spot", r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20})"),
    "binancefuturesusd": ("perpetual", r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20}):(?P=quote)"),
    "gatefutures": ("perpetual", r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20}):(?P=quote)"),
    "hyperliquid": ("perpetual", r"(?P<base>[A-Z0-9]{1,20})/USDT"),
    "lighter": ("perpetual", r"(?P<base>[A-Z0-9]{1,20})/USDT"),
    "polymarket": ("prediction", r"(?P<base>[1-9][0-9]{9,99})"),
}
NUMBER: Final = re.compile(r"\d{1,18}(\.\d{1,18})?")


class Unknown(Exception):
    """A required fact is missing."""


class Oracle:
    """One order under one set of limits."""

    def __init__(self, order: OrderTerms, limits: Limits, facts: Facts) -> None:
        self.order, self.facts, self.usage = order, facts, facts.usage
        self.limits = limits
        self.real = facts.money == "real"

    def number(self, name: str) -> Fraction | None:
        """The effective value of a numeric limit: real money never exceeds the ceilings."""
        value = getattr(self.limits, name)
        mine = None if value is None else Fraction(value)
        if self.real and name in CEILINGS:
            top = Fraction(CEILINGS[name])
            return top if mine is None else min(mine, top)
        return mine

    def on(self, name: str) -> bool:
        """The effective value of a precaution."""
        return getattr(self.limits, name) or (self.real and name in ALWAYS)

    def verdicts(self, *, again: bool = False) -> dict[str, str]:
        """Which rules object, by number, and how."""
        found: dict[str, str] = {}
        for number in (f"{n:02}" for n in range(1, 30)):
            if again and number in {"14", "15"}:
                continue
            rule = getattr(self, f"r{number}", None)
            try:
                if rule is not None and rule():
                    found[f"R{number}"] = "REQUIRE" if number in {"15", "22", "28"} else "DENY"
            except Unknown:
                found[f"R{number}"] = "DENY"
        if found and set(found.values()) == {"REQUIRE"} and not again and self.tired():
            found["R28F"] = "DENY"
        return found

    # What an order is worth

    def parts(self, symbol: str) -> tuple[str, str]:
        """Base and quote currency."""
        match = re.fullmatch(VENUES[self.order.exchange][1], symbol.removesuffix("/USDC") if self.predicts else symbol)
        if match is None:
            raise Unknown
        return match["base"], match.groupdict().get("quote") or "USDC"

    @property
    def predicts(self) -> bool:
        return self.order.exchange == "polymarket"

    @property
    def perpetual(self) -> bool:
        return VENUES[self.order.exchange][0] == "perpetual"

    def market(self) -> Fraction:
        if self.facts.quote is None or self.facts.quote.price <= 0:
            raise Unknown
        return Fraction(self.facts.quote.price)

    def rate(self) -> Fraction:
        if self.facts.usd_rate is None or self.facts.usd_rate <= 0:
            raise Unknown
        return Fraction(self.facts.usd_rate)

    def price(self) -> Fraction:
        return max(self.market(), Fraction(self.order.price or 0))

    def cost(self) -> Fraction:
        """Value in quote currency, without leverage."""
        amount = Fraction(self.order.amount)
        by_base = amount * self.price()
        return max(by_base, amount) if self.order.order_type == "market" else by_base

    def usd(self) -> Fraction:
        exact = self.cost() * self.rate() * (self.order.leverage or 1)
        return Fraction(math.ceil(exact * 10**8), 10**8)

    # The account

    def account(self) -> AccountFacts:
        if self.facts.account is None:
            raise Unknown
        return self.facts.account

    def equity(self) -> Fraction:
        if self.account().equity_usd is None:
            raise Unknown
        return Fraction(self.account().equity_usd or 0)

    def mine(self, resting: RestingOrder) -> bool:
        return resting.symbol == self.order.symbol

    def reduces(self) -> bool:
        size = Fraction(self.account().positions.get(self.order.symbol, Decimal(0)))
        usage = self.usage
        if usage.reserved_symbol_usd != 0 or usage.unknown_here > 0 or usage.in_flight_here > 0:
            return False
        going = sum(Fraction(r.remaining) for r in self.resting_entries() if self.mine(r) and r.side == self.order.side)
        signed = Fraction(self.order.amount) + going
        after = size + (signed if self.order.side == "buy" else -signed)
        return size != 0 and abs(after) < abs(size) and after * size >= 0

    def resting_entries(self) -> list[RestingOrder]:
        """Resting orders that are not the stop or target of a plan: only these can open a position."""
        return [resting for resting in self.account().open_orders if resting.role is None]

    def resting_value(self, resting: RestingOrder) -> Fraction:
        quote = self.parts(resting.symbol)[1]
        if quote == self.parts(self.order.symbol)[1]:
            rate = self.rate()
        elif quote in DOLLARS:
            rate = Fraction(1)
        else:
            raise Unknown
        if resting.price is not None:
            return Fraction(resting.price) * Fraction(resting.remaining) * rate
        if self.mine(resting):
            return self.price() * Fraction(resting.remaining) * rate
        raise Unknown

    # The table

    def r01(self) -> bool:
        return not self.limits.trading

    def r02(self) -> bool:
        return self.limits.accounts is not None and self.order.account_id not in self.limits.accounts

    def r03(self) -> bool:
        held_at = self.facts.account
        if held_at is not None and held_at.exchange not in {None, self.order.exchange}:
            return True
        if held_at is not None and held_at.market_type not in {None, self.order.market_type}:
            return True
        kinds, venues = self.limits.market_types, self.limits.exchanges
        bad_kind = kinds is not None and self.order.market_type not in kinds
        return bad_kind or (venues is not None and self.order.exchange not in venues)

    def r04(self) -> bool:
        allowed = self.limits.symbols is None or self.order.symbol in self.limits.symbols
        return not allowed or self.order.symbol in self.limits.forbidden_symbols

    def r05(self) -> bool:
        return self.limits.order_types is not None and self.order.order_type not in self.limits.order_types

    def r06(self) -> bool:
        order = self.order
        kind, shape = VENUES[order.exchange]
        wrong = [
            order.amount <= 0 or NUMBER.fullmatch(format(order.amount, "f")) is None,
            order.price is not None and (order.price <= 0 or NUMBER.fullmatch(format(order.price, "f")) is None),
            (order.price is None) != (order.order_type == "market"),
            self.predicts
            and (order.order_type in {"market", "limit"} or (order.price is not None and order.price >= 1)),
            order.market_type != kind,
            order.leverage is not None and (not self.perpetual or not 1 <= order.leverage <= 125),
            re.fullmatch(shape, order.symbol) is None,
            re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", order.account_id) is None or order.account_id in {".", ".."},
        ]
        return any(wrong)

    def r07(self) -> bool:
        table = self.limits.max_amount
        return table is not None and (self.order.symbol not in table or self.order.amount > table[self.order.symbol])

    def r08(self) -> bool:
        limit = self.number("max_notional")
        return limit is not None and self.usd() > limit

    def r09(self) -> bool:
        names = ("max_notional", "daily_notional", "position_usd", "position_share", "exposure_share")
        automatic = self.number("automatic_up_to")
        if any(self.number(name) is not None for name in names) or (self.on("ask_a_human") and automatic):
            self.usd()
        return False

    def r10(self) -> bool:
        fresh, price = self.number("quote_age"), self.order.price
        if self.predicts:
            collars = [self.number("collar_probability")]
        else:
            large = self.parts(self.order.symbol)[0] in LARGEST
            collars = [self.number("collar"), self.number("collar_major") if large else None]
        reaches = [] if price is None else [collar for collar in collars if collar is not None]
        if fresh is None and not reaches:
            return False
        market = self.market()
        if fresh is not None and self.facts.quote is not None and abs(self.facts.quote.age) > fresh:
            return True
        distance = abs(Fraction(price or 0) - market) / (1 if self.predicts else market)
        share = Fraction(1)
        if fresh is not None and self.facts.quote is not None and self.facts.quote.age > 10:
            share = max(Fraction(1, 4), (150 - Fraction(str(self.facts.quote.age))) / 140)
        return any(distance > reach * share for reach in reaches)

    def r11(self) -> bool:
        limit = self.number("max_leverage")
        return limit is not None and self.perpetual and (self.order.leverage is None or self.order.leverage > limit)

    def r12(self) -> bool:
        limit = self.number("daily_notional")
        spans = (self.usage.notional_24h, self.usage.notional_day)
        return limit is not None and any(Fraction(used) + self.usd() > limit for used in spans)

    def r13(self) -> bool:
        limit = self.number("daily_count")
        return limit is not None and any(used + 1 > limit for used in (self.usage.count_24h, self.usage.count_day))

    def r14(self) -> bool:
        ages, limit = self.usage.order_ages, self.number("per_minute")
        too_soon = any(age < self.limits.seconds_between for age in ages)
        return too_soon or (limit is not None and len([age for age in ages if age < 60]) + 1 > limit)

    def r15(self) -> bool:
        def like(now: Decimal | None, then: Decimal | None) -> bool:
            return now is None or then is None or abs(Fraction(now) - Fraction(then)) * 100 <= Fraction(then)

        return any(
            earlier.age < self.limits.duplicate_seconds
            and like(self.order.amount, earlier.amount)
            and like(self.order.price, earlier.price)
            for earlier in self.usage.similar
        )

    def r16(self) -> bool:
        everywhere, here = self.number("open_orders"), self.number("open_orders_symbol")
        if self.order.order_type in {"market", "FOK"} or (everywhere is None and here is None):
            return False
        resting, moving = self.resting_entries(), self.usage.in_flight_here
        if everywhere is not None and len(resting) + moving + 1 > everywhere:
            return True
        return here is not None and len([r for r in resting if self.mine(r)]) + moving + 1 > here

    def r17(self) -> bool:
        return any(self.exposures())

    def exposures(self) -> Iterator[bool]:
        one_usd, one_share, all_share = map(self.number, ("position_usd", "position_share", "exposure_share"))
        if (one_usd is None and one_share is None and all_share is None) or self.reduces():
            return
        account = self.account()
        values = {symbol: abs(Fraction(value)) for symbol, value in account.position_usd.items()}
        unvalued = [s for s, size in account.positions.items() if size != 0 and s not in values]
        if one_usd is not None or one_share is not None:
            resting = sum(self.resting_value(r) for r in self.resting_entries() if self.mine(r))
            if self.order.symbol in unvalued:
                raise Unknown
            held = values.get(self.order.symbol, Fraction(0))
            total = held + resting + Fraction(self.usage.reserved_symbol_usd) + self.usd()
            yield one_usd is not None and total > one_usd
            yield one_share is not None and total > one_share * self.equity()
        if all_share is not None:
            if unvalued:
                raise Unknown
            resting = sum(self.resting_value(r) for r in self.resting_entries())
            total = sum(values.values()) + resting + Fraction(self.usage.reserved_usd) + self.usd()
            yield total > all_share * self.equity()

    def r18(self) -> bool:
        usd, share = self.number("daily_loss_usd"), self.number("daily_loss_share")
        if usd is None and share is None:
            return False
        equity = self.equity()
        if self.usage.day_start_equity is None:
            raise Unknown
        start = Fraction(self.usage.day_start_equity)
        return (usd is not None and equity - start <= -usd) or (share is not None and equity - start <= -share * start)

    def r19(self) -> bool:
        share = self.number("drawdown_share")
        if share is None or self.reduces():
            return False
        equity = self.equity()
        if self.usage.high_water_equity is None:
            raise Unknown
        highest = Fraction(self.usage.high_water_equity)
        return equity <= highest * (1 - share)

    def r20(self) -> bool:
        if self.facts.switch == "REDUCING":
            return not self.reduces()
        return self.facts.switch == "HALTED"

    def r21(self) -> bool:
        if not self.on("no_self_trade"):
            return False
        for resting in self.account().open_orders:
            if not self.mine(resting) or resting.side == self.order.side:
                continue
            if resting.role == "stop_loss" or (resting.role == "take_profit" and self.order.price is None):
                continue  # not in the book, and away from the market
            if self.order.price is None or resting.price is None:
                return True
            bid, offer = (
                (self.order.price, resting.price) if self.order.side == "buy" else (resting.price, self.order.price)
            )
            if bid >= offer:
                return True
        return False

    def r22(self) -> bool:
        limit = self.number("rearm_after")
        return limit is not None and self.usage.automatic_in_a_row >= limit

    def r23(self) -> bool:
        pause, halt = self.number("cooldown_failures"), self.number("halt_failures")
        failed, age = self.usage.failures_in_a_row, self.usage.last_failure_age
        paused = age is None or age < self.limits.cooldown_seconds
        return (halt is not None and failed >= halt) or (pause is not None and failed >= pause and paused)

    def r24(self) -> bool:
        halt = self.number("halt_unresolved")
        if halt is not None and self.usage.unknown_anywhere >= halt:
            return True
        blind = self.facts.labels_echoed is not True and self.usage.in_flight_here >= 1
        return self.on("one_unresolved") and (self.usage.unknown_here >= 1 or blind)

    def r25(self) -> bool:
        if not self.on("check_funds") or (self.perpetual and self.reduces()):
            return False
        account, order = self.account(), self.order
        base, quote = self.parts(order.symbol)
        if order.side == "buy" or self.perpetual:
            quote = "USDC" if order.exchange in {"hyperliquid", "lighter", "polymarket"} else quote
            free = Fraction(account.free.get(quote, Decimal(0))) - Fraction(self.usage.reserved_usd) / self.rate()
            self.usd()
            return self.cost() / (order.leverage or 1) > free
        held = account.positions.get(order.symbol) if self.predicts else account.free.get(base)
        reserved = Fraction(self.usage.reserved_symbol_usd) / (self.price() * self.rate())
        return Fraction(order.amount) > Fraction(held or 0) - reserved + self.freed()

    def freed(self) -> Fraction:
        """What an order that only reduces takes from the exits of its symbol; a stop and its target share theirs."""
        if not self.order.reduce_only:
            return Fraction(0)
        exits = [r for r in self.account().open_orders if r.role is not None and self.mine(r)]
        plans = {r.parent for r in exits}
        return sum((max(Fraction(r.remaining) for r in exits if r.parent == plan) for plan in plans), Fraction(0))

    def r26(self) -> bool:
        limit = self.number("clock_skew")
        if limit is None:
            return False
        return self.usage.clock_went_back or self.facts.clock_skew is None or abs(self.facts.clock_skew) > limit

    def r27(self) -> bool:
        limit = self.number("snapshot_age")
        return limit is not None and (not self.facts.upstream_healthy or self.account().age > limit)

    def r28(self) -> bool:
        automatic = self.number("automatic_up_to") or Fraction(0)
        return self.on("ask_a_human") and (automatic == 0 or self.usd() > automatic)

    def r29(self) -> bool:
        if not self.real:
            return False
        one, day = (
            Fraction(most, 2 if self.facts.labels_echoed is False else 1) for most in CHANNELS[self.facts.assurance]
        )
        used = max(Fraction(self.usage.notional_24h), Fraction(self.usage.notional_day))
        return self.usd() > one or used + self.usd() > day

    def tired(self) -> bool:
        """Whether a human was asked, or declined, too often."""
        ages = self.usage.declined_ages
        for later in ages:
            if later < 1800 and any(0 <= former - later <= 600 for former in _others(ages, later)):
                return True
        return self.usage.pending + 1 > 3 or self.usage.prompts_last_hour + 1 > 10


def _others(ages: tuple[float, ...], one: float) -> list[float]:
    rest = list(ages)
    rest.remove(one)
    return rest
