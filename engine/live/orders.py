"""A strategy's resting orders, as rows, kept in step with the orders of its backtest bar by bar.

An order is placed once under its key. It is replaced when the script moves it, cancelled when its reason no longer
holds, and matched with its fill in the backtest.

Limit entries rest at the venue and include their stop and target, as orders with exits do. The stop and the target of a
position rest there too, on the newest entry of the position and for the whole of it, and one cancels the other. Exits
that the venue refuses are held here: the target rests as an order of its own, and the stop becomes a market order when
the price reaches it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from api.orders import CANCELLABLE, INTERNAL_PREFIX, Order, Side
from api.symbols import Instrument, resolve
from api.times import SECONDS
from engine.store.live import resting_table, signals_table, subscriptions_table

from .deployment import Deployment
from .subscriptions import Running

if TYPE_CHECKING:
    from .decisions import LiveDecision, Outlook, Rest

LiveOrderState = Literal["due", "moving", "open", "held", "cancel", "refused", "filled", "surplus", "ended"]
"""`due`: to be placed. `moving`: an exit that is to rest on its entry, in place of earlier ones. `open`: rests at the
venue. `held`: a stop that waits here. `cancel`: to be cancelled. `refused`: not placed again until the script moves it.
`filled`: filled, and the backtest has not made this fill yet; no other order takes its place. `surplus`: an entry that
filled, and that the backtest has dropped without a fill; what it bought is sold. `ended`: filled as in the backtest,
cancelled, or never needed."""

LiveOrderKind = Literal["limit", "stop", "market"]
_row: Final = resting_table.c
LIVING: Final[tuple[LiveOrderState, ...]] = ("due", "moving", "open", "held", "refused")
"""The states of an order that has not ended, and is not about to be cancelled."""
ENTRY: Final = "entry:"
STOP: Final = "stop:"
TARGET: Final = "target:"
CLOSE: Final = "close:"
RECONCILED: Final = "reconciled"
"""The reason of an order that closes what only the account holds."""
EARLY: Final = "the market filled it before the backtest did"
"""The message of a fill that the backtest made at a later bar."""
UNPLACED: Final = "none"
"""In place of the key of a resting order: the backtest's limit order was never placed, so nothing fills for it."""
NOTHING_HELD: Final = "there is no position that it could close"
COVERS_NOTHING: Final = sa.and_(
    _row.state == "moving", _row.entry.is_(None), sa.func.coalesce(_row.message, "") == NOTHING_HELD
)
"""An exit of what the backtest holds and the account does not. It waits, and is not looked at, until the strategy's
holding changes: a missed entry is never made up for."""
_NEAR: Final = 0.01
"""An order stays unchanged while its size is off by less than this fraction."""
_SAME: Final = 1e-9
"""Prices that differ by less than this fraction are equal."""
_RESTED: Final = {"entry": ENTRY, "stop_loss": STOP, "trailing_stop": STOP, "take_profit": TARGET}
ZERO: Final = Decimal(0)
_LIVING_OF: Final = sa.select(resting_table).where(
    _row.subscription_id == sa.bindparam("owner"), _row.state.in_((*LIVING, "filled", "surplus"))
)
REPORTED: Final = sa.exists().where(signals_table.c.resting == _row.key)
"""A signal reports the fill of the order."""
_ORDERS: Final = (
    sa.select(resting_table, subscriptions_table.c.agent_id, subscriptions_table.c.account_id)
    .add_columns(subscriptions_table.c.deployment)
    .join(subscriptions_table, subscriptions_table.c.id == _row.subscription_id)
    .where(_row.state.in_(sa.bindparam("states", expanding=True)))
    .order_by(_row.closes.desc(), _row.since, _row.price, _row.key)
)
_INTENDS: Final = (
    sa.update(subscriptions_table)
    .where(subscriptions_table.c.id == sa.bindparam("owner"))
    .values(intended=sa.bindparam("holds"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueOrder:
    """An order that a strategy requests, resting or not.

    Attributes:
        key: Its permanent id; placing the same key again refers to the same order.
        kind: A stop is placed as a market order once its price is reached.
        closes: Share of the strategy's holding that it closes; 0 if it opens or adds.
        units, equity: Size and equity on the strategy's simulated account at the decision.
        fixed: Whether the size does not depend on equity.
        price: Its limit, or the expected fill price.
        since: Close of the bar that decided it, unix seconds; `seconds` is the length of a bar.
        stop, target: Exit prices of the position that it opens.
        slot: The purpose of a resting order.
        entry: The `order_id` of the entry that carries an exit at the venue, or is about to.
        message: Why a resting order is not placed.
        signal_id: Its signal; None for a resting order.
        resting: The key of the order that rested for that signal.
        rung: The rung of a grid that the signal buys or sells.
    """

    key: str
    subscription_id: str
    agent_id: str
    account_id: str
    instrument: Instrument
    side: Side
    kind: LiveOrderKind
    closes: float
    reason: str
    units: float
    equity: float
    fixed: bool
    price: float
    leverage: float
    since: int
    seconds: int
    order_id: str | None = None
    filled: Decimal = ZERO
    state: LiveOrderState = "due"
    stop: float | None = None
    target: float | None = None
    slot: str = ""
    entry: str | None = None
    message: str | None = None
    signal_id: str | None = None
    resting: str | None = None
    rung: int | None = None

    @property
    def position(self) -> str:
        """The position that a resting order opens or closes: the ticker, and the rung of a grid."""
        return _position(self.slot) or self.instrument.ticker

    @property
    def is_unclear(self) -> bool:
        """Whether it may rest on its entry, although no order was recorded."""
        return self.entry is not None and self.order_id is None and self.state in ("moving", "cancel")

    @property
    def direction(self) -> Literal[1, -1]:
        """1 buys, -1 sells."""
        return 1 if self.side == "buy" else -1


def sync(connection: sa.Connection, running: Running, outlook: Outlook) -> None:
    """Record which orders to place, move and cancel for the coming bar. Nothing is sent here."""
    entries: dict[str, tuple[list[Any], list[Rest]]] = defaultdict(lambda: ([], []))
    exits: dict[str, tuple[list[Any], dict[str, Rest]]] = defaultdict(lambda: ([], {}))
    for rest in outlook.rests:
        if rest.closes:
            exits[_position(rest.slot)][1][rest.slot] = rest
        else:
            entries[_position(rest.slot)][1].append(rest)
    for row in connection.execute(_LIVING_OF, {"owner": running.id}).all():
        position = _position(row.slot)
        if row.slot.startswith(ENTRY):
            entries[position][0].append(row)
        elif row.slot.startswith((STOP, TARGET)) and row.state != "filled":
            exits[position][0].append(row)
        else:
            _sync_other(connection, row, exits[position][1])
    kept = {i for each in entries.values() for i in _sync_entries(connection, running, *each, outlook)}
    for rows, rests in exits.values():
        _sync_exits(connection, running, [row for row in rows if rests or row.entry not in kept], rests, outlook)
    intended = {i.symbol: units for i, units in outlook.holds.items() if units}
    connection.execute(_INTENDS, {"owner": running.id, "holds": json.dumps(intended)})


def _sync_other(connection: sa.Connection, row: Any, rests: Mapping[str, Rest]) -> None:
    """Forget an exit that filled and that the backtest no longer has, and an order of `reconcile` that was placed."""
    if row.state == "filled":
        if row.slot not in rests:
            change(connection, row.key, state="ended")
    elif row.state != "due":
        _take_out(connection, row)


def _sync_entries(
    connection: sa.Connection, running: Running, rows: Sequence[Any], rests: Sequence[Rest], outlook: Outlook
) -> Iterator[str]:
    """Bring the limit entries of one position in step. A moved order keeps its slot, so that it replaces the earlier.

    An order that the market filled, in whole or in part, before the backtest stays the fill of that entry while the
    backtest has an order for it: it is not placed again, and it keeps the exits that it carries.

    Yields:
        The ids of the orders that keep their exits.
    """
    due, moved = list(rests), list[Any]()
    for row in sorted(rows, key=_is_filled, reverse=True):
        same = next((rest for rest in due if _alike(row, rest)), None)
        if same is None:
            moved.append(row)
        else:
            due.remove(same)
            yield from _keep(connection, row)
    for row in moved:
        rest = min(due, key=lambda each: abs(each.price - row.price), default=None)
        may_rest = row.state not in ("filled", "surplus")
        if may_rest:
            _take_out(connection, row)
        elif rest is None:
            change(connection, row.key, state="surplus")
        if rest is not None:
            due.remove(rest)
            yield from _keep(connection, row)
            if may_rest:
                _insert(connection, running, replace(rest, slot=row.slot), outlook, "due")
    taken = {row.slot for row in rows}
    for rest in due:
        _insert(connection, running, replace(rest, slot=_free_slot(rest.slot, taken)), outlook, "due")


def _keep(connection: sa.Connection, row: Any) -> Iterator[str]:
    """Keep what an entry has bought; its exits may have followed its fill before that is booked."""
    if row.state == "surplus":
        change(connection, row.key, state="filled")
    if row.order_id is not None:
        yield row.order_id


def _is_filled(row: Any) -> bool:
    """Whether an order has filled at least in part."""
    return Decimal(row.filled or "0") > 0


def _free_slot(slot: str, taken: set[str]) -> str:
    """A slot that no living order of the position has; the rung of a grid has only one."""
    start, number = slot, 0
    while "#" not in slot and slot in taken:
        number += 1
        slot = f"{start.rpartition(':')[0]}:{number}"
    taken.add(slot)
    return slot


def _position(slot: str) -> str:
    """The position that an order of a slot opens or closes: the ticker, and the rung of a grid."""
    kind, _, name = slot.partition(":")
    return name.rpartition(":")[0] if f"{kind}:" == ENTRY and "#" not in name else name


def _sync_exits(
    connection: sa.Connection, running: Running, rows: Sequence[Any], rests: Mapping[str, Rest], outlook: Outlook
) -> None:
    """Move the exits of one position. Those at the venue stay there until the new ones replace them."""
    settled = {row.slot: row for row in rows if row.state in ("open", "held") or _covers_nothing(row)}
    if len(settled) == len(rows) == len(rests) and all(
        rest.slot in settled and _alike(settled[rest.slot], rest) for rest in rests.values()
    ):
        return
    if len(rows) == len(rests) and all(row.slot in rests and _covers_nothing(row) for row in rows):
        for row in rows:
            rest = rests[row.slot]
            share = _share(rest, outlook.holds)
            change(connection, row.key, price=rest.price, units=rest.units, closes=share, since=outlook.seen_until)
        return
    entry = None
    for row in rows:
        if rests and row.state == "moving":
            entry = row.entry or entry
            change(connection, row.key, state="ended")
        elif not rests or row.state != "open":
            _take_out(connection, row)
    for rest in rests.values():
        _insert(connection, running, rest, outlook, "moving", entry)


def _covers_nothing(row: Any) -> bool:
    """See `COVERS_NOTHING`."""
    return row.state == "moving" and row.entry is None and row.message == NOTHING_HELD


def _take_out(connection: sa.Connection, row: Any) -> None:
    may_rest = row.state in ("due", "open") or (row.state == "moving" and row.entry is not None)
    change(connection, row.key, state="cancel" if may_rest else "ended")


def match(
    connection: sa.Connection, running: Running, fresh: Iterable[LiveDecision], seen_until: int
) -> dict[str, str]:
    """The resting order for each new decision of a closed bar, by the decision's key.

    Its slot names the position, and the rung of a grid. Limit entries of one position share it: among them, the order
    with the limit of the decision's own entry, or else one that filled before the script moved it. An order that has
    filled, or that rests at the venue, comes before one that was never placed. An entry whose order has ended without
    a fill gets the newest such order; one whose order was never placed gets `UNPLACED`.
    """
    found: dict[str, str] = {}
    for decision in fresh:
        opened = int(decision.key.partition(":")[0])
        place = decision.instrument, decision.rung
        opens = decision.closes == 0.0
        in_slot = slot_of_fill(decision.reason, *place, closes=not opens)
        if opened >= seen_until or in_slot is None or (decision.reason == "entry" and decision.limit is None):
            continue
        where = sa.and_(
            _row.subscription_id == running.id,
            _row.symbol == decision.instrument.symbol,
            _row.side == ("buy" if decision.direction > 0 else "sell"),
            _row.since <= opened,
            _row.key.not_in(found.values()),
        )
        asked = sa.select(_row.key, _row.price, _row.units, _row.state).where(where, in_slot)
        rows = connection.execute(asked.where(_row.state.in_(("due", "moving", "open", "held", "filled")))).all()
        own: Sequence[Any] = [row for row in rows if row.state == "filled" or _is_own(row, decision)]
        if not own and opens:
            unfilled = asked.where(_row.state.in_(("ended", "refused")), sa.func.coalesce(_row.filled, "0") == "0")
            if decision.limit is not None:
                near = _SAME * decision.limit
                unfilled = unfilled.where(_row.price.between(decision.limit - near, decision.limit + near))
            own = connection.execute(unfilled.order_by(_row.since.desc()).limit(1)).all()
        if own:
            best = min(own, key=lambda row: _distance(row, decision))
            found[decision.key] = best.key
            claim(connection, best.key)
        elif opens:
            found[decision.key] = UNPLACED
    return found


def _is_own(row: Any, decision: LiveDecision) -> bool:
    """Whether an order has the limit of the decision's entry."""
    return decision.limit is None or abs(row.price - decision.limit) <= _SAME * decision.limit


def _distance(row: Any, decision: LiveDecision) -> tuple[bool, bool, float, float]:
    """How far an order is from being the one of a decision, for a comparison."""
    price = decision.price if decision.limit is None else decision.limit
    at_venue = row.state in ("open", "filled")
    return not _is_own(row, decision), not at_venue, abs(row.price - price), abs(row.units - decision.units)


def slot_of_fill(
    reason: str, instrument: Instrument, rung: int | None, *, closes: bool
) -> sa.ColumnElement[bool] | None:
    """The condition on the slot of the order that rests for a fill; None if no order rests for it.

    A signal of a grid that an earlier release stored has no rung: any of the instrument's rungs may have made it.
    """
    begins = (TARGET if closes else ENTRY) if reason == "grid" else _RESTED.get(reason)
    if begins is None:
        return None
    if rung is not None:
        return _row.slot == f"{begins}{instrument.ticker}#{rung}"
    if reason == "grid" or begins == ENTRY:
        return _row.slot.startswith(f"{begins}{instrument.ticker}{'#' if reason == 'grid' else ':'}", autoescape=True)
    return _row.slot == begins + instrument.ticker


def claim(connection: sa.Connection, key: str) -> None:
    """Record that a signal reports a fill that was made before it, so that no other one does."""
    mine = sa.and_(_row.key == key, _row.state == "filled")
    connection.execute(sa.update(resting_table).where(mine).values(state="ended", message=EARLY))


def end(connection: sa.Connection, order: DueOrder, message: str | None, *, filled: bool) -> None:
    """Record that an order can no longer fill; one with a fill waits for the signal that reports it.

    An entry that filled while it was moved takes the place of the order that was to replace it. One that filled while
    it was dropped is a surplus.
    """
    waits = sa.and_(sa.func.coalesce(_row.filled, "0") != "0", _row.reason != RECONCILED, sa.not_(REPORTED))
    state: LiveOrderState = "filled"
    if filled and order.state == "cancel" and order.slot.startswith(ENTRY):
        same = sa.and_(_row.subscription_id == order.subscription_id, _row.slot == order.slot, _row.state == "due")
        reported = sa.exists().where(signals_table.c.resting == order.key)
        replaced = sa.update(resting_table).where(same, sa.not_(reported)).values(state="ended", message=EARLY)
        state = "filled" if connection.execute(replaced).rowcount else "surplus"
    change(connection, order.key, state=sa.case((waits, state), else_="ended"), message=message)


def set_off(connection: sa.Connection, stop: DueOrder) -> None:
    """Turn a stop into a market order; the target beside it ends."""
    slot = connection.execute(sa.select(_row.slot).where(_row.key == stop.key)).scalar_one()
    beside = sa.and_(
        _row.subscription_id == stop.subscription_id,
        _row.slot == f"target:{slot.partition(':')[2]}",
        _row.state.in_(("due", "open")),
    )
    connection.execute(sa.update(resting_table).where(beside).values(state="cancel"))
    change(connection, stop.key, state="due")


def cancels_wait(connection: sa.Connection) -> bool:
    """Whether an order of a strategy that no longer runs still has to be cancelled."""
    return connection.execute(sa.select(_row.key).where(_row.state == "cancel").limit(1)).first() is not None


def end_all(connection: sa.Connection, subscription_id: str) -> None:
    """Take every order of a subscription out of the market: it is paused, stopped or has ended."""
    mine = _row.subscription_id == subscription_id
    may_rest = sa.or_(_row.state.in_(("due", "open")), sa.and_(_row.state == "moving", _row.entry.is_not(None)))
    connection.execute(sa.update(resting_table).where(mine, may_rest).values(state="cancel"))
    waiting = _row.state.in_(("held", "moving", "refused"))
    connection.execute(sa.update(resting_table).where(mine, waiting).values(state="ended"))


def in_state(
    connection: sa.Connection, *states: LiveOrderState, where: sa.ColumnElement[bool] | None = None
) -> list[DueOrder]:
    """All orders in these states, those that close first; `where` narrows them down."""
    wanted = _ORDERS if where is None else _ORDERS.where(where)
    return [_order(row) for row in connection.execute(wanted, {"states": states})]


def find(connection: sa.Connection, key: str) -> Any:
    """The row of an order; None if there is none."""
    return connection.execute(sa.select(resting_table).where(_row.key == key)).one_or_none()


def set_state(connection: sa.Connection, key: str, state: LiveOrderState, message: str | None = None) -> None:
    """Update the state of an order."""
    change(connection, key, state=state, message=message)


def is_over(shown: Order) -> bool:
    """Whether a venue's order can no longer fill."""
    return shown.status not in CANCELLABLE


def shown(connection: sa.Connection, subscription_id: str) -> list[dict[str, Any]]:
    """The orders that are waiting now, at the venue or here."""
    mine = sa.and_(_row.subscription_id == subscription_id, _row.state.in_((*LIVING, "filled")))
    rows = connection.execute(sa.select(resting_table).where(mine).order_by(_row.symbol, _row.price)).all()
    placed = {r.slot for r in rows if r.state == "open"}
    rows = [r for r in rows if r.state != "moving" or r.slot not in placed]
    where = {"open": "venue", "held": "engine", "due": "to be placed", "moving": "to be placed", "refused": "refused"}
    where |= {"filled": "filled"}
    return [
        {
            "symbol": r.symbol,
            "side": r.side,
            "reason": r.reason,
            "price": rounded(r.price),
            "amount": rounded(r.units if r.wanted is None else Decimal(r.wanted)),
            "where": "not placed" if _covers_nothing(r) else where[r.state],
            "order_id": r.order_id,
            "entry": r.entry,
            **({} if message is None else {"message": message}),
        }
        for r in rows
        for message in (f"{EARLY}, at {r.average}" if r.state == "filled" and r.average else r.message,)
    ]


def rounded(number: float | Decimal) -> float:
    """A number without the residue of binary fractions."""
    return float(f"{number:.12g}")


def _insert(
    connection: sa.Connection,
    running: Running,
    rest: Rest,
    outlook: Outlook,
    state: LiveOrderState,
    entry: str | None = None,
) -> None:
    key = order_key(running.id, rest.slot, outlook.seen_until, rest.price)
    if connection.execute(sa.select(_row.key).where(_row.key == key)).first() is not None:
        return
    connection.execute(
        sa.insert(resting_table).values(
            key=key,
            subscription_id=running.id,
            slot=rest.slot,
            exchange=rest.instrument.exchange,
            symbol=rest.instrument.symbol,
            side="buy" if rest.direction > 0 else "sell",
            kind=rest.kind,
            closes=_share(rest, outlook.holds),
            reason=rest.reason,
            units=rest.units,
            equity=outlook.equity,
            fixed=rest.fixed,
            price=rest.price,
            stop=rest.stop,
            target=rest.target,
            since=outlook.seen_until,
            state=state,
            entry=entry,
        )
    )


def _share(rest: Rest, holds: Mapping[Instrument, float]) -> float:
    net = abs(holds.get(rest.instrument, 0.0))
    return min(rest.units / net, 1.0) if rest.closes and net > 0.0 else 0.0


def _alike(row: Any, rest: Rest) -> bool:
    """Whether an order may stay unchanged."""
    pairs = ((row.price, rest.price), (row.stop, rest.stop), (row.target, rest.target))
    return abs(row.units - rest.units) <= _NEAR * rest.units and all(
        (a is None) == (b is None) and (a is None or b is None or abs(a - b) <= _SAME * abs(b)) for a, b in pairs
    )


def order_key(subscription_id: str, slot: str, moment: int, price: float) -> str:
    """The permanent id of an order of a slot."""
    named = f"{subscription_id}|{slot}|{moment}|{price!r}"
    return f"{INTERNAL_PREFIX}ord_{hashlib.sha256(named.encode()).hexdigest()[:26]}"


def change(connection: sa.Connection, key: str, **values: Any) -> None:
    """Change columns of the row of an order."""
    connection.execute(sa.update(resting_table).where(_row.key == key).values(**values))


def _order(row: Any) -> DueOrder:
    deployment = Deployment.from_json(row.deployment)
    return DueOrder(
        key=row.key,
        subscription_id=row.subscription_id,
        agent_id=row.agent_id,
        account_id=row.account_id,
        instrument=resolve(row.symbol, row.exchange),
        side=row.side,
        kind=row.kind,
        closes=row.closes,
        reason=row.reason,
        units=row.units,
        equity=row.equity,
        fixed=row.fixed,
        price=row.price,
        leverage=deployment.leverage,
        since=row.since,
        seconds=SECONDS[deployment.timeframe],
        order_id=row.order_id,
        filled=Decimal(row.filled or "0"),
        state=row.state,
        stop=row.stop,
        target=row.target,
        slot=row.slot,
        entry=row.entry,
        message=row.message,
    )
