"""Which order of a listing is which intent of ours: by label, or where labels are not returned, by its terms. Pure.

By terms, an order is an intent's only if nothing else could be meant: one order that fits, one intent that it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from api.orders import Order as ShownOrder
from safety.terms.intent import Intent
from safety.terms.proposal import Order

from .classify import differs
from .listing import ids, unix_or_none


@dataclass(slots=True)
class Matches:
    """What a listing says about our intents.

    Attributes:
        found: Intent id to its order.
        several: Intent id to the orders that could be its own, or are under its label.
        open: Ids of intents that must not be taken for absent: something that looks like them is there.
    """

    found: dict[str, ShownOrder] = field(default_factory=dict[str, ShownOrder])
    several: dict[str, list[ShownOrder]] = field(default_factory=dict[str, list[ShownOrder]])
    open: set[str] = field(default_factory=set[str])

    def mentions(self, intent: Intent) -> bool:
        """Whether anything there has to do with an intent."""
        return intent.intent_id in self.found or intent.intent_id in self.several or intent.intent_id in self.open


def by_label(intents: Iterable[Intent], listed: Collection[ShownOrder]) -> Matches:
    """The orders under our labels."""
    matches = Matches()
    for intent in intents:
        under = [each for each in listed if each.label and each.label == intent.label]
        if len(under) == 1:
            matches.found[intent.intent_id] = under[0]
        elif under:
            matches.several[intent.intent_id] = under
    return matches


def by_terms(
    intents: Collection[Intent],
    listed: Collection[ShownOrder],
    *,
    before: Mapping[str, Collection[str]],
    earliest: Callable[[Intent], float],
) -> Matches:
    """The orders that can only be ours.

    Args:
        intents: Everything of the account that may have had an effect and is not known to.
        listed: Orders that no other intent is known to be.
        before: Intent id to the ids that the account showed before it was sent.
        earliest: When an intent's order can have been made at the earliest, Unix seconds on the service's clock.
    """
    fits = {
        intent.intent_id: [
            each
            for each in listed
            if ids(each).isdisjoint(before.get(intent.intent_id, ())) and _fits(intent, each, earliest(intent))
        ]
        for intent in intents
    }
    fits = {name: [each for each in alike if _is_exact(intents, name, each)] or alike for name, alike in fits.items()}
    claims = [id(each) for orders in fits.values() for each in orders]
    sending = {id(each) for intent in intents if intent.state == "SENT" for each in fits[intent.intent_id]}
    matches = Matches()
    for intent in intents:
        mine = fits[intent.intent_id]
        if not mine:
            continue
        if any(id(each) in sending for each in mine):
            matches.open.add(intent.intent_id)
        elif len(mine) == 1 and claims.count(id(mine[0])) == 1:
            matches.found[intent.intent_id] = mine[0]
        else:
            matches.several[intent.intent_id] = mine
    return matches


def _is_exact(intents: Iterable[Intent], intent_id: str, shown: ShownOrder) -> bool:
    """Whether an order has exactly the terms that were sent; where one has, what is merely near is another order."""
    order = next(each.proposal.action for each in intents if each.intent_id == intent_id)
    return isinstance(order, Order) and order.amount == shown.amount and shown.price in {None, order.price}


def _fits(intent: Intent, shown: ShownOrder, earliest: float) -> bool:
    order = intent.proposal.action
    if not isinstance(order, Order) or (shown.label and shown.label != intent.label):
        return False
    if shown.symbol is None or shown.side is None or shown.amount is None:
        return False
    made = unix_or_none(shown.created_at)
    return (made is None or made >= earliest) and differs(order, shown) is None
