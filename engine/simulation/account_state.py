"""The account as a script sees it at a bar's close."""

from __future__ import annotations

import math
from collections.abc import Sequence

from api.symbols import Instrument
from engine.program import AccountState, PositionState

from .account import Ledger

FLAT = PositionState(side=0, amount=0.0, entry_price=math.nan, bars_in_position=0, unrealized_pnl_pct=0.0)


def account_state(
    ledger: Ledger, states: dict[Instrument, PositionState], marks: Sequence[float], bar: int, peak: float
) -> AccountState:
    """The account at the close of `bar`, valued at `marks`; `peak` is the highest equity before.

    `states` comes flat, in the order of the universe, and is filled in.

    Positions opened in grid cells are the grid's own and are only part of the money.
    """
    equity = ledger.equity(marks)
    instruments = tuple(states) if ledger.order else ()
    for slot in ledger.order:
        if slot[1] < 0:
            p = ledger.positions[slot]
            states[instruments[slot[0]]] = PositionState(
                side=p.side,
                amount=p.amount,
                entry_price=p.entry,
                bars_in_position=bar - p.opened,
                unrealized_pnl_pct=100.0 * p.side * (marks[slot[0]] / p.entry - 1.0),
            )
    top = max(peak, equity)
    drawdown = 100.0 * (equity / top - 1.0) if top > 0.0 else 0.0
    return AccountState(equity=equity, cash=ledger.free(), drawdown_pct=drawdown, positions=states)
