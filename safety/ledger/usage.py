"""Computes the usage of the limits from the intents at the moment of a decision.

There are no counters. Inside a transaction that writes, the sums include the bookings of every other process, and no
other process can book in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final, overload

from safety.ledger.journal import Event, Journal
from safety.ledger.rows import Row, one_of, select
from safety.terms.channel import PAPER_SERVICE, Money
from safety.terms.facts import Similar, Usage
from safety.terms.intent import COUNTED, State
from safety.terms.proposal import Action, Deployment, Order, Proposal, account_of


class SimilarRows(Sequence[Similar]):
    """The similar intents found by a transaction, youngest first. Immutable; equal to any sequence with the same items.

    Args:
        rows: Tuples of intent_id, state, amount, price, and Unix seconds of the booking.
        now: Unix seconds.
    """

    __slots__ = ("_now", "_rows")

    def __init__(self, rows: Iterable[Any], now: float) -> None:
        self._rows = tuple(rows)
        self._now = now

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Similar: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Similar]: ...
    def __getitem__(self, place: int | slice) -> Similar | Sequence[Similar]:
        if isinstance(place, slice):
            return SimilarRows(self._rows[place], self._now)
        intent_id, state, amount, price, booked = self._rows[place]
        return Similar(
            intent_id, state, Decimal(amount), Decimal(price) if price else None, max(0.0, self._now - booked)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any sequence may be asked

    def __hash__(self) -> int:
        return hash(tuple(self))


MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 86_400.0
VISIBLE_SECONDS: Final = 15.0
"""How long an acknowledged order may be missing from the account's snapshot, which is never older."""
CLOCK_SECONDS: Final = 1.0
"""How far a clock may be set back before it matters."""
_MANY: Final = 1_000
_ENDED: Final = frozenset({"paused", "stopped", "unsubscribed"})
_MAY_STILL_HAPPEN: Final[tuple[State, ...]] = ("PENDING", "APPROVED", "NOT_SENT", "SENT", "UNKNOWN")
_States = list[tuple[State, Decimal]]
_COUNTED: Final = tuple(sorted(COUNTED))
_SENT: Final[tuple[State, ...]] = (*_COUNTED, "REJECTED")

_OURS: Final = "money = ? AND kind = 'order' AND intent_id <> ?"
_NOT_LATE: Final = "(deadline IS NULL OR deadline >= ?)"


def usage_of(journal: Journal, money: Money, action: Action, *, without: str = "") -> Usage:
    """The usage of the limits for an action.

    Args:
        journal: The transaction.
        money: Selects the limits of real or of simulated money, over all services of this home.
        action: An order; for any other action only the account matters.
        without: An intent to leave out: the one being decided.
    """
    day = _booked(journal, money, without)
    midnight = journal.now // DAY * DAY
    today = [amount for amount, booked in day if booked >= midnight]
    here, elsewhere = _unseen(journal, money, action, without)
    failures = _failures(journal, money, without)
    day_start, high_water = equity_marks(journal, money, account_of(action))
    return Usage(
        notional_24h=sum((amount for amount, _ in day), Decimal(0)),
        notional_day=sum(today, Decimal(0)),
        count_24h=len(day),
        count_day=len(today),
        order_ages=_ages(journal, money, without),
        similar=_similar(journal, money, action, without),
        reserved_symbol_usd=sum((usd for _, usd in here), Decimal(0)),
        reserved_usd=sum((usd for _, usd in (*here, *elsewhere)), Decimal(0)),
        unknown_here=sum(state == "UNKNOWN" for state, _ in here),
        unknown_anywhere=_count(journal, f"{_OURS} AND state = 'UNKNOWN'", money, without),
        in_flight_here=sum(state == "SENT" for state, _ in here),
        failures_in_a_row=len(failures),
        last_failure_age=_age(journal, failures[0]) if failures else None,
        automatic_in_a_row=_automatic(journal, money, without),
        pending=_count(
            journal, f"money = ? AND intent_id <> ? AND state = 'PENDING' AND {_NOT_LATE}", money, without,
            journal.now,
        ),
        prompts_last_hour=_count(
            journal, "money = ? AND intent_id <> ? AND asked = 1 AND created > ?", money, without,
            max(journal.now - HOUR, _lifted(journal)),
        ),
        declined_ages=_declined(journal, money),
        day_start_equity=day_start,
        high_water_equity=high_water,
        standing_active=_standing(journal, money, without),
        clock_went_back=clock_went_back(journal),
        at=journal.now,
    )  # fmt: skip


def equity_marks(journal: Journal, money: Money, account_id: str) -> tuple[Decimal | None, Decimal | None]:
    """The account's first equity of this UTC day and its highest, USD, both since a human last released the switch."""
    event = journal.latest("equity", f"{money} {account_id}") or _earlier_mark(journal, money, account_id)
    if event is None or event.seq < journal.last_release()[0] or not journal.is_sound(event):
        return None, None
    start = Decimal(event.body["day_start"]) if event.body["day"] == journal.now // DAY else None
    return start, Decimal(event.body["high"])


def _earlier_mark(journal: Journal, money: Money, account_id: str) -> Event | None:
    """The mark written by an older release, which kept one per service."""
    subjects = journal.db.execute(
        "SELECT subject FROM events WHERE kind = 'equity' AND substr(subject, -length(?)) = ? ORDER BY seq DESC",
        (f" {account_id}", f" {account_id}"),
    )
    for (subject,) in subjects:
        if (subject == f"{PAPER_SERVICE} {account_id}") == (money == "paper"):
            return journal.latest("equity", subject)
    return None


def clock_went_back(journal: Journal) -> bool:
    """Whether an event lies in the future. A release by a human clears this."""
    latest: float | None = journal.db.execute("SELECT max(at) FROM events").fetchone()[0]
    if latest is None or latest <= journal.now + CLOCK_SECONDS:
        return False
    after, _ = journal.last_release()
    late = "SELECT 1 FROM events WHERE at > ? AND seq > ? LIMIT 1"
    return journal.db.execute(late, (journal.now + CLOCK_SECONDS, after)).fetchone() is not None


def _booked(journal: Journal, money: Money, without: str) -> list[tuple[Decimal, float]]:
    """USD and time of every order of the last 24 hours that counts."""
    rows = journal.db.execute(
        f"SELECT notional, booked FROM intents INDEXED BY intents_by_day WHERE {_OURS} AND booked > ?"
        f" AND {one_of('state', _COUNTED)} AND {_NOT_LATE}",
        (money, without, journal.now - DAY, *_COUNTED, journal.now),
    )
    return [(Decimal(notional or 0), booked) for notional, booked in rows]


def _ages(journal: Journal, money: Money, without: str) -> tuple[float, ...]:
    """Seconds since each order of the last minute was admitted; rejected ones count, since they were messages too."""
    since = journal.now - MINUTE
    rows = journal.db.execute(
        f"SELECT created FROM intents WHERE {_OURS} AND booked > ? AND created > ? AND {one_of('state', _SENT)}"
        f" AND {_NOT_LATE} ORDER BY created DESC",
        (money, without, since, since, *_SENT, journal.now),
    )
    return tuple(max(0.0, journal.now - created) for (created,) in rows)


def _unseen(journal: Journal, money: Money, action: Action, without: str) -> tuple[_States, _States]:
    """State and USD of the account's orders that its snapshot may not show yet: of the symbol, and of all others."""
    of_account = (
        f"SELECT symbol, state, notional FROM intents INDEXED BY intents_by_outcome WHERE {_OURS} AND account_id = ?"
        f" AND {_NOT_LATE} AND "
    )
    terms = (money, without, account_of(action), journal.now)
    rows = journal.db.execute(
        f"{of_account} {one_of('state', _MAY_STILL_HAPPEN)} UNION ALL {of_account} state = 'ABSENT' AND booked > ?"
        f" UNION ALL {of_account} state = 'ACKED' AND changed_at > ?",
        (*terms, *_MAY_STILL_HAPPEN, *terms, journal.now - DAY, *terms, journal.now - VISIBLE_SECONDS),
    )
    wanted = action.symbol if isinstance(action, Order) else None
    here: _States = []
    elsewhere: _States = []
    for symbol, state, notional in rows:
        (here if symbol == wanted else elsewhere).append((state, Decimal(notional or 0)))
    return here, elsewhere


def _similar(journal: Journal, money: Money, action: Action, without: str) -> Sequence[Similar]:
    if not isinstance(action, Order):
        return ()
    rows = journal.db.execute(
        "SELECT intent_id, state, amount, price, booked FROM intents INDEXED BY intents_by_likeness"
        f" WHERE {_OURS} AND booked > ? AND account_id = ?"
        f" AND symbol = ? AND side = ? AND {one_of('state', _COUNTED)} AND {_NOT_LATE} ORDER BY booked DESC",
        (money, without, journal.now - HOUR, action.account_id, action.symbol, action.side, *_COUNTED, journal.now),
    )
    return SimilarRows(rows.fetchall(), journal.now)


def _failures(journal: Journal, money: Money, without: str) -> list[float]:
    """Times of failures since the last acknowledged order, youngest first.

    A failure is an order that was sent and not acknowledged. A release clears the list.
    """
    rows = journal.db.execute(
        f"SELECT state, changed_at FROM intents INDEXED BY intents_by_attempt WHERE {_OURS} AND sent_at IS NOT NULL"
        " AND state <> 'SENT' AND changed_at > ? ORDER BY changed_at DESC LIMIT 100",
        (money, without, journal.last_release()[1]),
    )
    return [changed_at for _, changed_at in takewhile(lambda row: row[0] != "ACKED", rows)]


def _automatic(journal: Journal, money: Money, without: str) -> int:
    """Orders without a human's signature since a human last signed one; beyond 1,000 it no longer matters how many.

    A yes in the client's dialog does not count: a program could give it, and so trade without end.
    """
    signed: float | None = journal.db.execute(
        "SELECT max(approved_at) FROM intents WHERE money = ? AND kind = 'order' AND signature <> ''", (money,)
    ).fetchone()[0]
    return _count(
        journal,
        f"{_OURS} AND automatic = 1 AND coalesce(signature, '') = '' AND created > ?"
        f" AND {one_of('state', _SENT)} LIMIT {_MANY}",
        money, without, signed or 0.0, *_SENT,
    )  # fmt: skip


def _lifted(journal: Journal) -> float:
    """When a human last allowed questions again, Unix seconds; 0 if never."""
    event = journal.latest("questions")
    return event.at if event is not None and journal.is_sound(event) else 0.0


def _declined(journal: Journal, money: Money) -> tuple[float, ...]:
    rows = journal.db.execute(
        "SELECT changed_at FROM intents INDEXED BY intents_by_outcome WHERE money = ? AND state = 'DECLINED'"
        " AND by_human = 1 AND approved_at IS NULL AND changed_at > ? ORDER BY changed_at DESC",
        (money, max(journal.now - HOUR, _lifted(journal))),
    )
    return tuple(_age(journal, changed_at) for (changed_at,) in rows)


def _standing(journal: Journal, money: Money, without: str) -> int:
    """Strategies that trade by themselves, or may soon; a subscription counts once, even if resumed several times."""
    rows = select(
        journal,
        f"money = ? AND kind = 'standing' AND intent_id <> ? AND {one_of('state', _COUNTED)} AND {_NOT_LATE}"
        " ORDER BY changed_at",
        (money, without, *_COUNTED, journal.now),
    )
    latest = {_subscription(row): row for row in rows}
    return sum(_status(row) not in _ENDED for row in latest.values())


def _subscription(row: Row) -> str:
    action = Proposal.read(row["proposal"]).action
    named = action.subscription_id if isinstance(action, Deployment) else None
    return row["order_id"] or named or row["intent_id"]


def _status(row: Row) -> str:
    result: dict[str, object] = json.loads(row["result"] or "{}")
    return str(result.get("status", "")).lower()


def _count(journal: Journal, where: str, *arguments: object) -> int:
    counted: int = journal.db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM intents WHERE {where})", arguments
    ).fetchone()[0]
    return counted


def _age(journal: Journal, changed_at: float) -> float:
    return max(0.0, journal.now - changed_at)
