"""A live order that passes every rule, and the facts that change one thing about it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from safety.policy.evaluation import LIVE, Policy, evaluate
from safety.policy.limits import Limited, Limits, meet
from safety.terms.facts import AccountFacts, Facts, Outcome, Quote, RestingOrder, Similar, Usage
from safety.terms.proposal import Action, DeploymentTerms, OrderTerms, PublicationTerms

NOW: Final = 1_795_000_000.0

BUY: Final = OrderTerms(
    account_id="acc-1",
    exchange="binance",
    market_type="spot",
    symbol="BTC/USDT",
    side="buy",
    order_type="limit",
    amount=Decimal("0.0005"),
    price=Decimal(60_000),
)
"""30 USD at a market price of 60,000."""

PERPETUAL: Final = BUY.model_copy(
    update={"exchange": "binancefuturesusd", "market_type": "perpetual", "symbol": "BTC/USDT:USDT", "leverage": 1}
)

TOKEN: Final = "21742633143463906290569050155826241533067272736897614950488156847949938836455"

PREDICTION: Final = BUY.model_copy(
    update={
        "exchange": "polymarket",
        "market_type": "prediction",
        "symbol": TOKEN,
        "order_type": "GTC",
        "amount": Decimal(50),
        "price": Decimal("0.6"),
    }
)

ALLOWING: Final = LIVE.model_copy(
    update={
        "trading": True,
        "accounts": frozenset({"acc-1"}),
        "market_types": None,
        "symbols": None,
        "max_amount": {"BTC/USDT": Decimal("0.01"), "BTC/USDT:USDT": Decimal("0.01"), TOKEN: Decimal(1_000)},
        "automatic_up_to": Decimal(100),
    }
)

HOLDING: Final = AccountFacts(
    age=1.0,
    equity_usd=Decimal(1_000),
    free={"USDT": Decimal(500), "USDC": Decimal(500), "BTC": Decimal("0.001")},
    positions={},
    position_usd={},
    open_orders=(),
)

KNOWN: Final = Facts(
    now=NOW,
    money="real",
    assurance="passphrase",
    quote=Quote(Decimal(60_000), 1.0),
    usd_rate=Decimal(1),
    account=HOLDING,
    usage=Usage(day_start_equity=Decimal(1_000), high_water_equity=Decimal(1_000)),
    clock_skew=0.5,
    labels_echoed=True,
)


def policy(**limits: Any) -> Policy:
    """A live policy that lets `BUY` pass without a human, with these limits changed."""
    return Policy(live=Limits.model_validate({**dict(ALLOWING), **limits}))


def paper(**limits: Any) -> Policy:
    """A paper policy with these limits."""
    return Policy(paper=Limits.model_validate(limits))


def facts(**changed: Any) -> Facts:
    """The facts of a quiet hour, with these changed. Fields of the usage and the account are named directly."""
    usage = {name: changed.pop(name) for name in list(changed) if name in Usage.__slots__}
    account = {name: changed.pop(name) for name in list(changed) if name in AccountFacts.__slots__}
    return replace(KNOWN, **{"usage": replace(KNOWN.usage, **usage), "account": replace(HOLDING, **account), **changed})


def rest(side: str, price: str | None, remaining: str = "0.0001", symbol: str = "BTC/USDT") -> RestingOrder:
    """An own resting order."""
    return RestingOrder(symbol, side, None if price is None else Decimal(price), Decimal(remaining))


def earlier(age: float = 10, amount: str = "0.0005", price: str | None = "60000", state: str = "ACKED") -> Similar:
    """An earlier intent of the same account, symbol and side."""
    return Similar("01EARLIER", state, Decimal(amount), None if price is None else Decimal(price), age)


def at_least_as_tight(one: Limited, other: Limited) -> bool:
    """Whether `other` allows everything that `one` allows."""
    return meet(one, other) == one


def against(action: Action, limits: Policy, known: Facts, *, again: bool = False) -> dict[str, str]:
    """Which rules object, by the three characters of their number, and how."""
    decision = evaluate(action, limits, known, again=again)
    return {
        f"{finding.rule[:3]}{'F' if 'FATIGUE' in finding.rule else ''}": finding.outcome.name
        for finding in decision.findings
        if finding.outcome is not Outcome.PASS
    }


DEPLOYMENT: Final = DeploymentTerms(action="subscribe", strategy_id="st-1", account_id="acc-1")
POST: Final = PublicationTerms(action="post", body='{"category":"market_talk","title":"Hello"}')
