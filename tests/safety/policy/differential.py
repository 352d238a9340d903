"""Random orders, limits and facts, judged by the policy and by the oracle. The seed is printed; the answer is a count.

python -m tests.safety.policy.differential --orders 100000
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from api.orders import OrderType
from safety.policy.evaluation import LIVE, Policy, evaluate
from safety.policy.limits import Limits
from safety.terms.facts import AccountFacts, Facts, Outcome, PolicyDecision, Quote, RestingOrder, Similar, Usage
from safety.terms.proposal import OrderTerms
from tests.safety.policy.oracle import Oracle

NOW: Final = 1_795_000_000.0
TOKEN: Final = "21742633143463906290569050155826241533067272736897614950488156847949938836455"
Choice = TypeVar("Choice")
D = Decimal


@dataclass(frozen=True)
class Market:
    """A market, and its price."""

    exchange: str
    kind: str
    symbol: str
    price: Decimal
    rate: Decimal
    others: tuple[str, ...]


MARKETS: Final = (
    Market("binance", "spot", "BTC/USDT", D(60_000), D(1), ("ETH/USDT", "ETH/USDC", "ETH/EUR")),
    Market("binance", "spot", "PEPE/USDT", D("0.00001"), D(1), ("BTC/USDT",)),
    Market("upbit", "spot", "XRP/KRW", D(3_400), D("0.000725"), ("BTC/KRW", "BTC/USDT")),
    Market("binancefuturesusd", "perpetual", "BTC/USDT:USDT", D(60_000), D(1), ("ETH/USDT:USDT",)),
    Market("hyperliquid", "perpetual", "SUI/USDT", D("3.2"), D(1), ("BTC/USDT",)),
    Market("polymarket", "prediction", TOKEN, D("0.6"), D(1), (TOKEN[::-1],)),
)
SMALL: Final = ("1", "10", "19.99", "20", "24.99", "25", "25.01", "29.99", "30", "30.01", "49.99", "50", "50.01")
LARGE: Final = (
    "99.99",
    "100",
    "100.01",
    "125.01",
    "200",
    "249.99",
    "250",
    "250.01",
    "999.99",
    "1000",
    "1000.01",
    "5000",
)


class Dice:
    """Draws values, mostly ordinary ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def any(self, *choices: Choice) -> Choice:
        """One of these."""
        return self.random.choice(choices)

    def mostly(self, usual: Choice, *unusual: Choice, times: float = 0.98) -> Choice:
        """The first option, except in unusual cases."""
        return usual if self.random.random() < times else self.random.choice(unusual)


def near(dice: Dice, centre: Decimal, *shares: str) -> Decimal:
    """A number at some distance from another, or just beside it."""
    share = D(dice.mostly("0", *shares, times=0.6)) * dice.any(1, -1)
    exact = centre * (1 + share)
    return exact + (dice.any(D(0), D("1e-9"), D("-1e-9")) if share else 0)


def random_order(dice: Dice, market: Market) -> OrderTerms:
    """An order of a round value, with a price near the market's; seldom one that makes no sense."""
    usd = D(dice.mostly(dice.any(*SMALL), *LARGE, times=0.85))
    amount = (usd / (market.price * market.rate)).quantize(D("1e-12"), ROUND_HALF_EVEN)
    kind: OrderType = dice.any("limit", "limit", "GTC", "FOK", "market")
    if market.kind == "prediction":
        kind = dice.any("GTC", "GTC", "FOK")
        price = market.price + D(dice.mostly("0", "0.05", "-0.05", "0.0500001", "0.01", "-0.3", times=0.6))
    else:
        price = near(dice, market.price, "0.005", "0.01", "0.0100001", "0.02", "0.0200001", "0.1", "0.15")
    leverage = dice.mostly(1, 2, 3, 4, 125, None) if market.kind == "perpetual" else None
    order = OrderTerms(
        account_id="acc-1",
        exchange=market.exchange,  # pyright: ignore[reportArgumentType] - of the table above
        market_type=market.kind,  # pyright: ignore[reportArgumentType] - likewise
        symbol=market.symbol,
        side=dice.any("buy", "buy", "sell"),
        order_type=kind,
        amount=amount,
        price=None if kind == "market" else price.quantize(D("1e-18")),
        leverage=leverage,
    )
    return order if dice.random.random() < 0.96 else order.model_copy(update=nonsense(dice, market))


def nonsense(dice: Dice, market: Market) -> dict[str, Any]:
    """A change that makes an order senseless, or nearly so."""
    return dice.any(
        {"amount": D(0)},
        {"amount": D("-1")},
        {"amount": D("1e-19")},
        {"amount": D("1e18")},
        {"price": None},
        {"price": D(1)},
        {"price": D("-5")},
        {"order_type": "market"},
        {"symbol": market.symbol.lower()},
        {"symbol": "BTCUSDT"},
        {"market_type": dice.any("spot", "perpetual", "prediction")},
        {"leverage": dice.any(0, 1, 126)},
        {"account_id": dice.any("..", "../meta", "acc 1", "acc-2", "a" * 129)},
    )


def random_limits(dice: Dice) -> Limits:
    """Limits of a live account, each changed now and then."""
    usual: dict[str, Any] = {
        **dict(LIVE),
        "trading": True,
        "accounts": frozenset({"acc-1"}),
        "symbols": None,
        "market_types": None,
        "order_types": None,
        "max_amount": None,
        "automatic_up_to": dice.any(D(100), D(30)),
        "position_usd": D(500),
        "position_share": D("0.5"),
        "exposure_share": D(2),
        "max_notional": D(100),
        "daily_notional": D(1_000),
    }
    unusual: dict[str, Sequence[Any]] = {
        "trading": (False,),
        "accounts": (None, frozenset[str](), frozenset({"acc-2"})),
        "market_types": (frozenset({"spot"}), frozenset({"perpetual", "prediction"})),
        "exchanges": (frozenset({"binance", "upbit"}), frozenset[str]()),
        "symbols": (frozenset({"BTC/USDT", TOKEN}), frozenset[str]()),
        "forbidden_symbols": (frozenset({"BTC/USDT"}), frozenset({"XRP/KRW"})),
        "order_types": (frozenset({"limit", "GTC"}), frozenset({"market", "FOK"})),
        "max_amount": ({"BTC/USDT": D("0.0005"), "BTC/USDT:USDT": D("0.0005"), TOKEN: D(50)}, {}),
        "max_notional": (None, D(30), D(50), D(2_000)),
        "collar": (None, D("0.005"), D("0.5")),
        "collar_major": (None, D("0.005"), D("0.5")),
        "collar_probability": (None, D("0.01"), D("0.9")),
        "quote_age": (None, 5, 600),
        "max_leverage": (None, 2, 3, 100),
        "daily_notional": (None, D(200), D(9_000)),
        "daily_count": (None, 5),
        "seconds_between": (0, 30),
        "per_minute": (None, 2, 1_000),
        "duplicate_seconds": (0, 3_600),
        "open_orders": (None, 2, 1_000),
        "open_orders_symbol": (None, 1),
        "position_usd": (None, D(100), D(5_000)),
        "position_share": (None, D("0.05"), D("0.1")),
        "exposure_share": (None, D("0.1"), D("0.25")),
        "daily_loss_usd": (None, D(10)),
        "daily_loss_share": (None, D("0.01"), D("0.9")),
        "drawdown_share": (None, D("0.01"), D("0.9")),
        "no_self_trade": (False,),
        "rearm_after": (None, 1, 1_000),
        "cooldown_failures": (None, 1),
        "cooldown_seconds": (0, 5_000),
        "halt_failures": (None, 2, 1_000),
        "one_unresolved": (False,),
        "halt_unresolved": (None, 1, 1_000),
        "check_funds": (False,),
        "clock_skew": (None, 1, 600),
        "snapshot_age": (None, 3, 600),
        "ask_a_human": (False,),
        "automatic_up_to": (D(0), D(25), D(30), D(1_000)),
    }
    for name, choices in unusual.items():
        usual[name] = dice.mostly(usual[name], *choices, times=0.985)
    return Limits.model_validate(usual)


def random_facts(dice: Dice, market: Market, order: OrderTerms) -> Facts:
    """Most of the facts of a quiet hour."""
    unit = market.price * market.rate
    quote = dice.mostly(
        Quote(market.price, dice.mostly(1.0, 5.0, 9.99, 10.0, 10.01, 61.0, -11.0)), None, Quote(D(0), 1.0)
    )
    return Facts(
        now=NOW,
        money=dice.mostly("real", "paper", times=0.85),
        switch=dice.mostly("ACTIVE", "REDUCING", "HALTED", times=0.95),
        assurance=dice.mostly("separate", "passphrase", "elicitation", "none", times=0.85),
        quote=quote,
        usd_rate=dice.mostly(market.rate, None, D(0), times=0.98),
        account=dice.mostly(random_account(dice, market, order, unit), None, times=0.98),
        usage=random_usage(dice, order),
        clock_skew=dice.mostly(0.1, 5.0, -5.01, 1.0, 40.0, None),
        upstream_healthy=dice.mostly(True, False, times=0.98),
        labels_echoed=dice.mostly(True, False, None, times=0.85),
    )


def random_account(dice: Dice, market: Market, order: OrderTerms, unit: Decimal) -> AccountFacts:
    """Some money, sometimes a position and resting orders."""
    size = order.amount * dice.mostly(0, 1, 2, -1, -2, D("0.5"), D("0.999999"), D("-0.999999"), times=0.7)
    count = dice.mostly(0, 1, 2, 3, times=0.8)
    resting = [
        RestingOrder(
            dice.mostly(order.symbol, *market.others, times=0.7),
            dice.any("buy", "sell"),
            dice.mostly(dice.any(order.price, market.price, market.price * 2), None),
            order.amount * dice.any(D("0.1"), D("0.5"), D(1)),
            role,
            None if role is None else dice.any("entry-1", "entry-2"),
        )
        for role in (dice.mostly(None, "stop_loss", "take_profit", times=0.6) for _ in range(count))
    ]
    money = dice.mostly(D(5_000), order.amount * market.price, D(30), D("29.99"), D(0))
    base = market.symbol.partition("/")[0]
    values = {order.symbol: abs(size) * unit} if size and dice.random.random() < 0.95 else {}
    return AccountFacts(
        age=dice.mostly(1.0, 14.9, 15.0, 15.1, 70.0),
        equity_usd=dice.mostly(D(1_000), D(950), D("950.01"), D(850), D("849.99"), D(0), None, times=0.95),
        free={
            "USDT": money,
            "USDC": money,
            "KRW": money * 1_400,
            base: dice.mostly(D(10) ** 9, order.amount, abs(size)),
        },
        positions={order.symbol: size, market.others[0]: dice.mostly(D(0), D(1), times=0.97)},
        position_usd={**values, market.others[0]: dice.mostly(D(0), D(50), D("-150"))},
        open_orders=tuple(resting),
        exchange=dice.mostly(None, order.exchange, "upbit", "binance", times=0.9),
        market_type=dice.mostly(None, order.market_type, "spot", times=0.9),
    )


def random_usage(dice: Dice, order: OrderTerms) -> Usage:
    """A quiet hour, sometimes a busy one."""
    return Usage(
        notional_24h=dice.mostly(D(0), *(D(1_000) - D(value) for value in SMALL)),
        notional_day=dice.mostly(D(0), D(970), D(999)),
        count_24h=dice.mostly(0, 4, 5, 19, 20, 21),
        count_day=dice.mostly(0, 19, 20, times=0.97),
        order_ages=dice.mostly(
            (), (4.99,), (5.0,), (6.0, 30.0), (6.0, 20.0, 30.0, 40.0), (6.0, 7.0, 8.0, 9.0, 60.0), (6.0,) * 5
        ),
        similar=dice.mostly((), (likeness(dice, order),), (likeness(dice, order), likeness(dice, order)), times=0.9),
        reserved_symbol_usd=dice.mostly(D(0), D(50), D("170.01")),
        reserved_usd=dice.mostly(D(0), D(50), D(220), D("220.01")),
        unknown_here=dice.mostly(0, 1, times=0.97),
        unknown_anywhere=dice.mostly(0, 1, 2, 3),
        in_flight_here=dice.mostly(0, 1, 2, times=0.96),
        failures_in_a_row=dice.mostly(0, 1, 2, 3, 5, 6, 20),
        last_failure_age=dice.any(None, 1.0, 599.9, 600.0, 9_999.0),
        automatic_in_a_row=dice.mostly(0, 4, 5, 6, times=0.93),
        pending=dice.mostly(0, 2, 3, 4, times=0.93),
        prompts_last_hour=dice.mostly(0, 9, 10, times=0.93),
        declined_ages=dice.mostly(
            (),
            (5.0,),
            (5.0, 605.0),
            (5.0, 605.1),
            (1_799.0, 1_900.0),
            (1_800.0, 1_900.0),
            (1.0, 900.0, 1_400.0),
            times=0.93,
        ),
        day_start_equity=dice.mostly(D(1_000), D(1_049), None, times=0.97),
        high_water_equity=dice.mostly(D(1_000), D(1_176), D(2_000), None, times=0.97),
        clock_went_back=dice.mostly(False, True, times=0.98),
    )


def likeness(dice: Dice, order: OrderTerms) -> Similar:
    """An earlier intent, nearly or exactly the same."""
    factor = dice.any(D(1), D("1.0099"), D("1.0102"), D("0.9901"), D("0.9899"), D(2))
    price = None if order.price is None else order.price * dice.any(D(1), D("0.991"), D("0.98"))
    return Similar(
        "01EARLIER", "ACKED", order.amount * factor, dice.mostly(price, None), dice.any(1.0, 119.9, 120.0, 3_000.0)
    )


@dataclass(frozen=True)
class Case:
    """One question for both."""

    order: OrderTerms
    policy: Policy
    facts: Facts
    again: bool


def case(seed: int) -> Case:
    """The case of a seed, always the same."""
    dice = Dice(seed)
    market = dice.any(*MARKETS)
    order = random_order(dice, market)
    known = random_facts(dice, market, order)
    limits = random_limits(dice)
    policy = Policy(paper=limits) if known.money == "paper" else Policy(live=limits)
    return Case(order, policy, known, dice.mostly(False, True, times=0.9))


def disagreement(asked: Case, decision: PolicyDecision) -> str | None:
    """How the policy's decision differs from the oracle's, or `None`."""
    limits = asked.policy.paper if asked.facts.money == "paper" else asked.policy.live
    expected = Oracle(asked.order, limits, asked.facts).verdicts(again=asked.again)
    found = {
        f"{finding.rule[:3]}{'F' if 'FATIGUE' in finding.rule else ''}": finding.outcome.name
        for finding in decision.findings
        if finding.outcome is not Outcome.PASS
    }
    if "R06" in expected and "R06" in found and decision.outcome is Outcome.DENY:
        return None  # what makes no sense may offend other rules in any way
    worst = "DENY" if "DENY" in expected.values() else "REQUIRE" if expected else "PASS"
    if found == expected and decision.outcome.name == worst:
        return None
    return f"{sorted(found.items() ^ expected.items())}: {asked}"


def compare(first: int, count: int, tell: Callable[[str], object]) -> tuple[int, Counter[str]]:
    """Ask `count` questions. Returns the disagreements, and how often each outcome occurred."""
    wrong, outcomes = 0, Counter[str]()
    for seed in range(first, first + count):
        asked = case(seed)
        decision = evaluate(asked.order, asked.policy, asked.facts, again=asked.again)
        outcomes[decision.outcome.name] += 1
        difference = disagreement(asked, decision)
        if difference is not None:
            wrong += 1
            tell(f"seed {seed}: {difference}")
    return wrong, outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--report", type=Path)
    asked = parser.parse_args(arguments)
    begun = time.perf_counter()
    wrong, outcomes = compare(asked.seed, asked.orders, lambda text: sys.stdout.write(text + "\n"))
    report = {
        "orders": asked.orders,
        "seed": asked.seed,
        "disagreements": wrong,
        "outcomes": dict(outcomes),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if asked.report is not None:
        asked.report.write_text(text + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
