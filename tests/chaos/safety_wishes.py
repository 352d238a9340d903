"""The orders that agents want in the chaos runs: an endless sequence, identical after a restart.

There are few accounts, symbols and amounts, so many orders look alike; only the wish's number, in the label, differs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

ACCOUNTS: Final = ("acc-1", "acc-2", "acc-3")
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
AMOUNTS: Final = tuple(f"{0.001 * 1.05**step:.6f}" for step in range(40))


@dataclass(frozen=True)
class Wish:
    """An order that must be placed exactly once."""

    number: int
    order: dict[str, Any]

    @property
    def label(self) -> str:
        """The caller's label."""
        return f"wish-{self.number}"


def wish(number: int, seed: int) -> Wish:
    """The wish with that number; always the same."""
    chance = random.Random(seed * 1_000_003 + number)
    limit = chance.random() < 0.5
    order = {
        "account_id": chance.choice(ACCOUNTS),
        "exchange": "binance",
        "symbol": chance.choice(SYMBOLS),
        "side": chance.choice(("buy", "sell")),
        "order_type": "limit" if limit else "market",
        "amount": chance.choice(AMOUNTS),
        "label": f"wish-{number}",
    }
    return Wish(number, {**order, "price": "100"} if limit else order)
