"""Decisions made bar by bar equal the decisions over all bars at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.times import SECONDS, AcceleratedClock
from engine.engine import Engine
from engine.feeds.market import open_feed
from engine.live.decisions import LiveDecision, decide
from engine.live.deployment import Deployment, catalogue

BARS = 240


def streamed(engine: Engine, deployment: Deployment, start: int, step: int) -> tuple[dict[str, LiveDecision], int]:
    """Decisions of a strategy that looks every `step` bars, and the close of the last bar it saw."""
    seconds = SECONDS[deployment.timeframe]
    found: dict[str, LiveDecision] = {}
    cursor = start
    for bar in range(step, BARS + 1, step):
        feed = open_feed(engine.store, AcceleratedClock(start + bar * seconds + 1.0), engine.settings.seed)
        outlook = decide(feed, deployment, start, cursor)
        cursor = outlook.seen_until
        for decision in outlook.decisions:
            found.setdefault(decision.key, decision)
    return found, cursor


@pytest.mark.parametrize(
    ("deployment", "step"),
    [(d, (6, 47)[i % 2]) for i, d in enumerate(catalogue())],
    ids=lambda p: getattr(p, "strategy_id", p),
)
async def test_looking_bar_by_bar_or_seldom_finds_what_a_look_over_everything_finds(
    engine: Engine, clock: AcceleratedClock, deployment: Deployment, step: int
) -> None:
    seconds = SECONDS[deployment.timeframe]
    start = int(clock.now() // seconds) * seconds - BARS * seconds

    found, cursor = streamed(engine, deployment, start, step)

    everything = decide(engine.feed, deployment, start, start)
    assert {key for key, d in found.items() if d.bar_time <= cursor} == {
        d.key for d in everything.decisions if d.bar_time <= cursor
    }
    assert len(everything.decisions) > 0


@pytest.mark.parametrize("limit", ["", ", limit=close * 1.001", ", limit=close * 0.999"])
async def test_entries_found_after_a_gap_carry_their_stop_and_target(
    engine: Engine, clock: AcceleratedClock, limit: str
) -> None:
    script = (
        'emit_signal(rsi(close, 7) < 45, entry(TICKER, "LONG", Notional(500), stop_loss=0.02, take_profit=0.03'
        f"{limit}))\n"
        "emit_signal(rsi(close, 7) > 55, exit(TICKER))\n"
    )
    start = int(clock.now() // 3600) * 3600 - BARS * 3600

    outlook = decide(engine.feed, replace(catalogue()[0], timeframe="1h", script=script), start, start)

    entries = [d for d in outlook.decisions if d.reason == "entry"]
    assert len(entries) > 3
    assert [d.stop for d in entries] == pytest.approx([0.98 * d.price for d in entries])
    assert [d.target for d in entries] == pytest.approx([1.03 * d.price for d in entries])


async def test_nothing_is_decided_while_no_bar_has_closed(engine: Engine, clock: AcceleratedClock) -> None:
    deployment = catalogue()[0]
    hour = int(clock.now() // 3600) * 3600
    start = hour - BARS * 3600

    outlook = decide(engine.feed, deployment, start, hour)

    assert (outlook.decisions, outlook.seen_until) == ((), hour)
