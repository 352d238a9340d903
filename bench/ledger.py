"""The ledger: one durable commit of each kind, the cost of a decision on a full day, and the check at startup.

Baseline of the same run: a commit of one row to a bare SQLite file with the same durability.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from safety.ledger import Ledger
from safety.terms.facts import Outcome, PolicyDecision, RuleResult, SwitchState, Usage
from safety.terms.intent import GO, Caller, Intent, Verdict
from safety.terms.proposal import OrderTerms, Proposal

ROUNDS = 200
BUSY_DAY = 1_000
SERVICE = "https://api.example.com/api/v1"
CALLER = Caller("orders_place", "bench")


def proposal(number: int) -> Proposal:
    """A unique order."""
    order = OrderTerms(
        account_id="bench", exchange="binance", market_type="spot", symbol="BTC/USDT", side="buy", order_type="limit",
        amount=Decimal(number + 1) / 1_000, price=Decimal(60_000),
    )  # fmt: skip
    now = time.time()
    return Proposal(
        action=order, money="real", service=SERVICE, policy_hash="0a" * 32, quote=Decimal(60_000),
        notional_usd=Decimal(50), created=now, expires=now + 300,
    )  # fmt: skip


def passes(_usage: Usage, _switch: SwitchState) -> PolicyDecision:
    """A policy that costs nothing."""
    return PolicyDecision(Outcome.PASS, (RuleResult("R00_BENCH"),), "0a" * 32)


def goes(_intent: Intent, _usage: Usage, _switch: SwitchState) -> Verdict:
    """A final check that costs nothing."""
    return GO


def timed(work: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Milliseconds of a call: median and 99th percentile."""
    taken: list[float] = []
    for number in range(rounds):
        begun = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def bare(home: Path) -> tuple[float, float]:
    """One row in one commit, rollback journal, synchronous=EXTRA."""
    connection = sqlite3.connect(home / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=PERSIST")
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
    found = timed(lambda n: connection.execute("INSERT INTO rows VALUES (?, ?)", (n, "x" * 600)), ROUNDS)
    connection.close()
    return found


def orders(home: Path) -> dict[str, tuple[float, float]]:
    """The cost of one order: admitted, claimed, settled."""
    ledger = Ledger.open(home)
    ids: list[str] = []

    def admit(number: int) -> None:
        admission = ledger.admit(proposal(number), CALLER, passes, repeat_seconds=0)
        if admission.intent is not None:
            ids.append(admission.intent.intent_id)

    steps: dict[str, Callable[[int], object]] = {
        "event appended": lambda n: ledger.record("note", number=n),
        "order admitted": admit,
        "claimed, SENT": lambda n: ledger.claim(ids[n], goes),
        "settled": lambda n: ledger.settle(ids[n], "ACKED", order_id=str(n)),
        "usage read": lambda _: ledger.usage("real", proposal(0).action),
    }
    found = {name: timed(step, ROUNDS) for name, step in steps.items()}
    ledger.close()
    return found


def busy_day(home: Path) -> tuple[tuple[float, float], float, int]:
    """Admission after a thousand orders of the day, seconds of the startup check, and events checked."""
    ledger = Ledger.open(home)
    for number in range(BUSY_DAY):
        ledger.admit(proposal(number), CALLER, passes, repeat_seconds=0)
    late = timed(lambda n: ledger.admit(proposal(BUSY_DAY + n), CALLER, passes, repeat_seconds=0), 50)
    begun = time.perf_counter()
    if ledger.verify():
        raise RuntimeError("the journal is inconsistent")
    seconds = time.perf_counter() - begun
    events = ledger.head()[0]
    ledger.close()
    return late, seconds, events


def main() -> int:
    """Print every figure beside its baseline."""
    with tempfile.TemporaryDirectory() as folder:
        baseline = bare(Path(folder))
        found = orders(Path(folder, "orders"))
        late, seconds, events = busy_day(Path(folder, "day"))
    rows = {"bare SQLite commit": baseline, **found, f"admitted, {BUSY_DAY:,} today": late}
    for name, (median, slowest) in rows.items():
        print(f"{name:<24} p50 {median:7.2f} ms   p99 {slowest:7.2f} ms   {median / baseline[0]:5.1f} x bare")
    print(f"{'check at a start':<24} {seconds * 1_000:11.1f} ms for {events:,} events, {events / seconds:,.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
