"""A row of the boundary tables: one change to an order that passes, and the rules that then object."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from safety.terms.proposal import Action
from tests.safety.policy.scenarios import BUY


class Row(NamedTuple):
    """One case of a table."""

    name: str
    objecting: str
    action: Action
    limits: dict[str, Any]
    facts: dict[str, Any]


class Table:
    """Rows in the order in which they were written."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(
        self,
        name: str,
        objecting: str = "",
        action: Action = BUY,
        *,
        limits: Mapping[str, Any] | None = None,
        change: Mapping[str, Any] | None = None,
        **known: Any,
    ) -> None:
        """Add a case with the rules that object, such as `R08 R12` or `R28?`, where `?` asks for a human."""
        changed = action.model_copy(update=dict(change or {}))
        self.rows.append(Row(name, objecting, changed, dict(limits or {}), known))


SELL: Final = BUY.model_copy(update={"side": "sell"})
MARKET: Final = BUY.model_copy(update={"order_type": "market", "price": None})
ANY_TYPE: Final[dict[str, Any]] = {"order_types": None}
D = Decimal
