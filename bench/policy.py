"""The policy: the time to judge one order that passes, that needs approval, and that is refused with a suggestion; and
the time to compute the rest of a limit.

Baselines of the same run: checking the order against the API's request model alone, and one comparison of its value.

python -m bench.policy
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from api.orders import PlaceRequest
from safety.policy.evaluation import LIVE, Policy, evaluate
from safety.policy.explain import left
from safety.terms.facts import AccountFacts, Facts, Quote, RestingOrder, Usage
from safety.terms.proposal import OrderTerms

ROUNDS: Final = 5_000

ORDER: Final = OrderTerms(
    account_id="acc-1",
    exchange="binance",
    market_type="spot",
    symbol="BTC/USDT",
    side="buy",
    order_type="limit",
    amount=Decimal("0.0005"),
    price=Decimal(60_000),
)
LARGE: Final = ORDER.model_copy(update={"amount": Decimal("0.1"), "order_type": "market", "price": None})
LIMITS: Final = LIVE.model_copy(
    update={
        "trading": True,
        "accounts": frozenset({"acc-1"}),
        "symbols": frozenset({"BTC/USDT"}),
        "max_amount": {"BTC/USDT": Decimal("0.01")},
    }
)
ASKING: Final = Policy(live=LIMITS)
AUTOMATIC: Final = Policy(live=LIMITS.model_copy(update={"automatic_up_to": Decimal(50)}))
FACTS: Final = Facts(
    now=1_795_000_000.0,
    money="real",
    assurance="passphrase",
    quote=Quote(Decimal(60_000), 1.0),
    usd_rate=Decimal(1),
    account=AccountFacts(
        age=1.0,
        equity_usd=Decimal(1_000),
        free={"USDT": Decimal(500)},
        positions={"ETH/USDT": Decimal("0.01")},
        position_usd={"ETH/USDT": Decimal(40)},
        open_orders=(RestingOrder("BTC/USDT", "buy", Decimal(55_000), Decimal("0.0004")),),
    ),
    usage=Usage(
        notional_24h=Decimal(60),
        count_24h=2,
        order_ages=(20.0, 50.0),
        day_start_equity=Decimal(1_000),
        high_water_equity=Decimal(1_010),
    ),
    clock_skew=0.2,
    labels_echoed=True,
)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile of a call, microseconds of CPU time, because it never waits."""
    for _ in range(100):
        call()
    taken: list[float] = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        call()
        taken.append((time.thread_time() - begun) * 1e6)
    taken.sort()
    return taken[ROUNDS // 2], taken[ROUNDS * 99 // 100]


def main() -> None:
    """Print the figures."""
    request = ORDER.request("htm1")
    fields = request.model_dump(exclude_none=True)
    for name, call in (
        ("judged: passes", lambda: evaluate(ORDER, AUTOMATIC, FACTS)),
        ("judged: a human is asked", lambda: evaluate(ORDER, ASKING, FACTS)),
        ("judged: refused, with a suggestion", lambda: evaluate(LARGE, ASKING, FACTS)),
        ("judged: paper without limits", lambda: evaluate(ORDER, ASKING, Facts(now=0.0, money="paper"))),
        ("what the limits leave", lambda: left(ASKING, FACTS)),
        ("baseline: the request model alone", lambda: PlaceRequest.model_validate(fields)),
        ("baseline: one comparison", lambda: ORDER.amount * FACTS.quote.price <= 50 if FACTS.quote else None),
    ):
        median, worst = timed(call)
        print(f"{name:<36} p50 {median:8.1f} us   p99 {worst:8.1f} us")


if __name__ == "__main__":
    main()
