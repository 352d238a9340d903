"""Books intents within the limits: admission, the claim to send, the outcome, and the usage that each decision needs.

Exactly one claim wins. There are no counters: usage is summed over the intents at the moment of a decision. Inside a
transaction that writes, the sums include the bookings of every other process, and no other process can book in
between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, overload

from safety.ledger import switch
from safety.ledger.journal import Event, Journal
from safety.ledger.rows import (
    LedgerRow,
    admit_row,
    altered,
    expire,
    get,
    get_whole,
    insert,
    intent_of,
    is_whole,
    keep_denial,
    move,
    no_such_move,
    one_of,
    select,
    sending_seconds,
)
from safety.ledger.switch import Switch
from safety.terms.facts import Outcome, PolicyDecision, RuleResult, Similar, SwitchState, Usage
from safety.terms.intent import COUNTED, Admission, Caller, Claim, Intent, IntentState, Verdict, order_label
from safety.terms.proposal import (
    PAPER_SERVICE,
    Action,
    DeploymentTerms,
    Money,
    OrderTerms,
    Proposal,
    account_of,
    canonical_json,
)


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
_MAY_STILL_HAPPEN: Final[tuple[IntentState, ...]] = ("PENDING", "APPROVED", "NOT_SENT", "SENT", "UNKNOWN")
_States = list[tuple[IntentState, Decimal]]
_COUNTED: Final = tuple(sorted(COUNTED))
_SENT: Final[tuple[IntentState, ...]] = (*_COUNTED, "REJECTED")

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
    wanted = action.symbol if isinstance(action, OrderTerms) else None
    here: _States = []
    elsewhere: _States = []
    for symbol, state, notional in rows:
        (here if symbol == wanted else elsewhere).append((state, Decimal(notional or 0)))
    return here, elsewhere


def _similar(journal: Journal, money: Money, action: Action, without: str) -> Sequence[Similar]:
    if not isinstance(action, OrderTerms):
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


def _subscription(row: LedgerRow) -> str:
    action = Proposal.read(row["proposal"]).action
    named = action.subscription_id if isinstance(action, DeploymentTerms) else None
    return row["order_id"] or named or row["intent_id"]


def _status(row: LedgerRow) -> str:
    result: dict[str, object] = json.loads(row["result"] or "{}")
    return str(result.get("status", "")).lower()


def _count(journal: Journal, where: str, *arguments: object) -> int:
    counted: int = journal.db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM intents WHERE {where})", arguments
    ).fetchone()[0]
    return counted


def _age(journal: Journal, changed_at: float) -> float:
    return max(0.0, journal.now - changed_at)


_HAPPENED = ("SENT", "UNKNOWN", "ABSENT", "ACKED")


def admit(
    journal: Journal,
    proposal: Proposal,
    caller: Caller,
    decide: Callable[[Usage], PolicyDecision],
    *,
    repeat_seconds: int,
    ask_first: bool,
    last_word: Callable[[Intent, Usage], Verdict] | None = None,
) -> Admission:
    """Return the intent of an earlier call with the same terms, or decide and book. A denial is only an event.

    With `last_word`, an intent that needs no human is claimed too, if it agrees.
    """
    earlier = _of_origin(journal, caller.origin) if caller.origin else _earlier(journal, proposal, repeat_seconds)
    if earlier is not None:
        return Admission(intent_of(earlier), _decision_for(earlier, proposal), repeated=True)
    usage = usage_of(journal, proposal.money, proposal.action)
    decision = decide(usage)
    told = {
        "tool": caller.tool,
        "client": caller.client,
        "service": proposal.service,
        "digest": proposal.digest,
        "action": proposal.action.model_dump(mode="json", exclude_none=True),
        "decision": decision.report(),
    }
    if decision.outcome not in {Outcome.PASS, Outcome.REQUIRE}:
        keep_denial(journal, proposal.service, told)
        return Admission(None, decision)
    passed = decision.outcome is Outcome.PASS
    state: IntentState = "APPROVED" if passed and not ask_first else "PENDING"
    row = insert(journal, admit_row(journal, proposal, caller, state, automatic=passed), told)
    if last_word is None or state != "APPROVED":
        return Admission(intent_of(row), decision)
    claim = _decided(journal, row, lambda intent: last_word(intent, usage))
    return Admission(claim.intent, decision, claimed=claim.won)


def _of_origin(journal: Journal, origin: str) -> LedgerRow | None:
    """The intent of one strategy decision, in any state."""
    rows = select(journal, "origin = ?", (origin,))
    return rows[0] if rows else None


def _earlier(journal: Journal, proposal: Proposal, repeat_seconds: int) -> LedgerRow | None:
    """The intent of an earlier call with the same terms.

    An intent that waits for a human, or was definitely not sent but still may be, always matches. One that needed no
    human, or was sent, matches for `repeat_seconds`. A rejected one never matches.
    """
    terms = (proposal.money, proposal.action_hash)
    rows = select(
        journal,
        "money = ? AND action_hash = ? AND (state IN ('PENDING', 'NOT_SENT') OR state = 'APPROVED' AND"
        f" (automatic = 0 OR by_human = 1) OR booked > ? AND ({one_of('state', _HAPPENED)} OR state = 'APPROVED'))"
        " ORDER BY created DESC, rowid DESC LIMIT 1",
        (*terms, journal.now - repeat_seconds, *_HAPPENED),
    )
    return rows[0] if rows else None


def _decision_for(row: LedgerRow, proposal: Proposal) -> PolicyDecision:
    outcome = Outcome.PASS if row["automatic"] else Outcome.REQUIRE
    found = RuleResult(
        "R15_DUPLICATE",
        outcome,
        reason="" if outcome is Outcome.PASS else f"the same call is already intent {row['intent_id']}",
        what_to_do=f"Look at intent {row['intent_id']} with order_intent",
    )
    return PolicyDecision(outcome, (found,), proposal.policy_hash, proposal.notional_usd)


_LEFT: Final[frozenset[IntentState]] = frozenset({"SENT", "UNKNOWN", "ABSENT"})
"""Only a claimed intent has an outcome."""


def claim(
    journal: Journal, home: Path, intent_id: str, decide: Callable[[Intent, Usage, SwitchState], Verdict]
) -> Claim:
    """Move an intent to SENT if it is approved, in time, unaltered and not halted, and `decide` agrees."""
    state = switch.current(journal, home).state
    expire(journal)
    row = get(journal, intent_id)
    if row["state"] not in {"APPROVED", "NOT_SENT"}:
        return Claim(won=False, intent=intent_of(row), reason=row["reason"] or f"it is {row['state']}")
    if not is_whole(journal, row):
        switch.engage(journal, Switch("HALTED", altered(row), "the check before sending"))
        return Claim(won=False, intent=intent_of(row), reason=altered(row))
    if state == "HALTED":
        return _stopped(journal, row, Verdict("HALTED", f"halted: {switch.in_journal(journal).reason}"))

    def judged(intent: Intent) -> Verdict:
        proposal = intent.proposal
        usage = usage_of(journal, proposal.money, proposal.action, without=intent.intent_id)
        return decide(intent, usage, state)

    return _decided(journal, row, judged)


def _decided(journal: Journal, row: LedgerRow, judged: Callable[[Intent], Verdict]) -> Claim:
    intent = intent_of(row)
    verdict = judged(intent)
    if verdict.to == row["state"]:
        return Claim(won=False, intent=intent, reason=verdict.reason)
    if verdict.to != "SENT":
        return _stopped(journal, row, verdict)
    label = row["label"] or order_label(intent.intent_id, intent.digest, journal.head()[1])
    told = {"label": label}
    sent = move(journal, row, "SENT", told, label=label, sent_at=journal.now, booked=journal.now)
    return Claim(won=True, intent=intent_of(sent))


def _stopped(journal: Journal, row: LedgerRow, verdict: Verdict) -> Claim:
    stopped = move(journal, row, verdict.to, reason=verdict.reason)
    return Claim(won=False, intent=intent_of(stopped), reason=verdict.reason)


def settle(
    journal: Journal,
    intent_id: str,
    to: IntentState,
    *,
    result: Mapping[str, Any] | None,
    order_id: str | None,
    reason: str,
    only_from: IntentState | None,
) -> Intent:
    """Book an outcome."""
    row = get_whole(journal, intent_id)
    if row["state"] == to or only_from not in {None, row["state"]}:
        return intent_of(row)
    if row["state"] not in _LEFT:
        raise no_such_move(row, to)
    changes: dict[str, object] = {"reason": reason}
    told: dict[str, object] = {}
    if result is not None:
        changes["result"] = canonical_json(dict(result))
        told["shown"] = dict(result)
    if order_id is not None:
        changes["order_id"] = told["order_id"] = order_id
    if to == "NOT_SENT":
        changes["deadline"] = _deadline(row)
    late = row["state"] == "ABSENT" and to == "ACKED"
    settled = intent_of(move(journal, row, to, told, **changes))
    if late:
        reason = f"intent {settled.intent_id} was recorded as ABSENT, and its order has appeared after all"
        switch.engage(journal, Switch("HALTED", reason, "the reconciliation"))
    return settled


def _deadline(row: LedgerRow) -> float:
    """The deadline for another try: the approval's end, as for the first try."""
    until: float = row["approved_at"] + sending_seconds(row)
    return until
