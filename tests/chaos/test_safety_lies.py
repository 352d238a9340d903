"""An exchange that doubles orders, refuses orders that it books, or books orders long given up: each causes a halt."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from safety.ledger.switch import Switch
from safety.terms.intent import Intent

from .safety_faults import Fate, Faults
from .safety_gated import PATIENCE, agent
from .safety_harness import exchange
from .safety_wishes import wish

SEED = 5
LATE = PATIENCE.grace + 3.0


def lying(fate: Fate, *, late: float = 0.0) -> Faults:
    """An exchange that does only this."""
    return Faults({fate: 1}, lag=0.0, listing_failures=0.0, strangers=0.0, outages=0.0, late=late, late_at_least=late)


async def outcome(url: str, home: Path, seconds: float = 30.0) -> tuple[Intent | None, Switch]:
    """One order, watched until the switch is pulled."""
    async with agent(url, home) as own:
        placed = await own.place(wish(0, SEED))
        assert placed is not None
        with anyio.fail_after(seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(own.watcher.run)
                while own.ledger.switch().state == "ACTIVE":  # noqa: ASYNC110 - polls a file
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
        return own.ledger.intent(placed.intent_id), own.ledger.switch()


@pytest.mark.parametrize(
    ("faults", "state", "reason"),
    [
        (lying("booked twice"), "ACKED", "orders"),
        (lying("refused after fill"), "REJECTED", "refused"),
        (lying("booked late", late=LATE), "ACKED", "recorded as ABSENT"),
    ],
    ids=["doubled", "refused", "late"],
)
async def test_what_cannot_be_explained_halts(tmp_path: Path, faults: Faults, state: str, reason: str) -> None:
    with exchange(faults, SEED) as running:
        intent, switch = await outcome(running.url, tmp_path)
        truth = running.truth()

    assert intent is not None
    assert (intent.state, switch.state) == (state, "HALTED")
    assert reason in switch.reason
    assert len(truth.arrivals) == 1
