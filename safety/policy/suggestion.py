"""An order that would not be denied, where changing amount, price, type or leverage is all that it takes.

Each rule proposes the nearest order that it would let pass. The proposals are applied one after the other, those that
keep the amount first and then the smallest, and judged again: what is suggested was seen to pass against the same
facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from safety.terms.decision import Finding, Outcome
from safety.terms.proposal import Order

_ROUNDS: Final = 12


def suggested(order: Order, found: Sequence[Finding], judge: Callable[[Order], Sequence[Finding]]) -> Order | None:
    """The order that is left when every denial has been mended, or `None` where one cannot be.

    Args:
        order: The denied order.
        found: What was found about it.
        judge: The findings for another order under the same limits and facts.
    """
    for _ in range(_ROUNDS):
        denied = [finding for finding in found if finding.outcome is Outcome.DENY]
        if not denied:
            return order
        mended = [finding.mended for finding in denied if finding.mended is not None]
        if len(mended) < len(denied) or order in mended:
            return None
        kept = order.amount
        order = max(mended, key=lambda proposal: (proposal.amount == kept, -proposal.amount))
        found = judge(order)
    return None
