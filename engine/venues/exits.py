"""Exits of a position: a stop, a target and a trailing stop. A fill of one cancels the others.

This module has the parts common to every venue: the exit prices and their storage. Paper accounts match exits against
bars. Exchanges hold them as one-cancels-other orders; if an exchange has none, the engine watches the price.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from api.errors import InvalidInput
from api.orders import ExitRole
from engine.trading_rules import text


@dataclass(frozen=True, slots=True)
class Exits:
    """The exits that follow an entry. `Exits()` has none.

    Attributes:
        stop: Price at which a market order closes the position at a loss.
        target: Price of a limit order that closes the position at a profit.
        trail: Distance of the trailing stop behind the best price since the entry, as a fraction.
        relative: `stop` and `target` are fractions of the entry's average price, not prices.
    """

    stop: Decimal | None = None
    target: Decimal | None = None
    trail: Decimal | None = None
    relative: bool = False

    def __bool__(self) -> bool:
        """Whether there is any."""
        return not (self.stop is None and self.target is None and self.trail is None)

    def prices(self, sign: int, entry: Decimal) -> dict[ExitRole, Decimal]:
        """The price of each exit of a position that was entered at `entry`; `sign` 1 is long, -1 short."""
        found: dict[ExitRole, Decimal] = {}
        if self.stop is not None:
            found["stop_loss"] = entry * (1 - sign * self.stop) if self.relative else self.stop
        if self.target is not None:
            found["take_profit"] = entry * (1 + sign * self.target) if self.relative else self.target
        if self.trail is not None:
            found["trailing_stop"] = trailing_price(sign, entry, self.trail)
        return found

    def check(self, sign: int) -> None:
        """Refuse a stop beyond the target. `sign` 1 is long, -1 short.

        Raises:
            InvalidInput: With both prices.
        """
        if self.stop is None or self.target is None or self.relative or sign * (self.target - self.stop) > 0:
            return
        where = "below" if sign > 0 else "above"
        raise InvalidInput(
            f"the stop at {self.stop:f} must lie {where} the target at {self.target:f}",
            suggestion="Exchange the two prices",
        )

    def to_text(self) -> str | None:
        """The database format; `None` without exits."""
        if not self:
            return None
        written = {name: text(value) for name, value in self._values().items() if value is not None}
        return json.dumps({**written, "relative": self.relative})

    @classmethod
    def from_text(cls, written: str | None) -> Exits | None:
        """Parse the output of `to_text`."""
        if written is None:
            return None
        fields: dict[str, object] = json.loads(written)
        relative = bool(fields.pop("relative"))
        return cls(**{name: Decimal(str(value)) for name, value in fields.items()}, relative=relative)

    def _values(self) -> dict[str, Decimal | None]:
        return {"stop": self.stop, "target": self.target, "trail": self.trail}


@dataclass(frozen=True, slots=True)
class ExitOrder:
    """An exit that is about to be sent to an own account.

    Attributes:
        label: The label of its entry, by which the gate finds the approval.
        account_id: The account.
        symbol: As in its entry.
        side: buy or sell.
        role: stop_loss or take_profit.
        price: The approved price.
        amount: Filled amount of the entry, base units.
    """

    label: str
    account_id: str
    symbol: str
    side: str
    role: str
    price: Decimal
    amount: Decimal


Permit = Callable[[ExitOrder], str]
"""The gate's decision on an exit: why it may not be sent now, or "" if it may; a permit is journaled. Blocks."""


def trailing_price(sign: int, best: Decimal, trail: Decimal) -> Decimal:
    """The price of a trailing stop when the best price since the entry is `best`."""
    return best * (1 - sign * trail)
