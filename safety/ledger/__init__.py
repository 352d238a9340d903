"""The ledger: what was proposed, approved and sent, kept where every server process of one home sees it.

Every method is one transaction, blocks, and may be called from any thread. Nothing is sent without a row that was on
the disk before, limits are sums over those rows, and every change of a row is an event of a journal that cannot be
altered without showing it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from api.errors import Denied, HeyTradersError, InvalidInput
from safety.exits import redacted
from safety.ledger import audit, claiming, rows, switch
from safety.ledger.claiming import GO, Admission, Claim, Verdict, stop
from safety.ledger.database import FILE_NAME, Database
from safety.ledger.journal import Event, Journal, audit_key
from safety.ledger.switch import SignedPolicy, Switch, succession_text
from safety.ledger.usage import DAY, equity_marks, usage_of
from safety.terms.channel import Money
from safety.terms.facts import Decision, SwitchState, Usage
from safety.terms.intent import Caller, Intent, State, home_of, intent_of_label
from safety.terms.proposal import Action, Proposal, canonical_json

__all__ = [
    "GO",
    "Admission",
    "Claim",
    "Event",
    "Ledger",
    "SignedPolicy",
    "Switch",
    "Verdict",
    "stop",
    "succession_text",
]

_CHECK_PAUSE: Final = 0.005
"""Seconds between two parts of a check, so that calls and other processes get their turn."""
_OWN_KINDS: Final = frozenset(
    {"intent", "denied", "switch", "policy", "approver", "equity", "labels", "audit", "questions"}
)


class Ledger:
    """The safety ledger of one home folder."""

    def __init__(self, home: Path, database: Database, key: bytes, now: Callable[[], float]) -> None:
        self._home = home
        self._database = database
        self._key = key
        self._now = now
        self._anchors = audit.Anchors(home, key)

    @classmethod
    def open(cls, home: Path, *, now: Callable[[], float] = time.time, recent: bool = False) -> Ledger:
        """Open it, made if it is not there, and look through the journal: a break that is new halts.

        Args:
            home: Its folder.
            now: Unix seconds.
            recent: Look only at what came after the last time that all of it was whole. `check` is owed soon after.

        Raises:
            UserMustAct: Its files cannot be used, or others may read them.
        """
        database = Database(home / FILE_NAME)
        try:
            ledger = cls(home, database, audit_key(home), now)
            ledger._look(recent=recent)
        except BaseException:
            database.close()
            raise
        return ledger

    @staticmethod
    def exists(home: Path) -> bool:
        """Whether a ledger was ever opened there."""
        return (home / FILE_NAME).exists()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def admit(
        self,
        proposal: Proposal,
        caller: Caller,
        decide: Callable[[Usage, SwitchState], Decision],
        *,
        repeat_seconds: int,
        ask_first: bool = False,
    ) -> Admission:
        """Decide on a proposal and book it, so that nobody else can use what it uses of the limits.

        Args:
            proposal: What is to be done.
            caller: Who.
            decide: The policy; called at most once, with the usage and the switch that are true until this is booked.
            repeat_seconds: So long after it was sent, the same call means the same intent.
            ask_first: Ask a human even when the policy does not.
        """
        with self._write() as journal:
            state = switch.current(journal, self._home).state
            rows.expire(journal)
            return claiming.admit(
                journal,
                proposal,
                caller,
                lambda usage: decide(usage, state),
                repeat_seconds=repeat_seconds,
                ask_first=ask_first,
            )

    def approve(self, intent_id: str, *, signature: str, key_id: str) -> Intent:
        """Book a human's approval. That the signature covers the digest is verified by the caller, and at the claim.

        Raises:
            InvalidInput: It does not wait for one (any more).
        """
        with self._write() as journal:
            rows.expire(journal)
            row = rows.get_whole(journal, intent_id)
            if row["state"] == "PENDING":
                row = rows.move(
                    journal, row, "APPROVED", {"key_id": key_id, "signature": signature},
                    signature=signature, key_id=key_id, by_human=1, approved_at=journal.now,
                    deadline=journal.now + rows.SIGNED_SECONDS,
                )  # fmt: skip
                return rows.intent_of(row)
        raise InvalidInput(
            f"intent {row['intent_id']} is {row['state']} and does not wait for an approval",
            suggestion="Look at it with order_intent",
            code="INTENT_STATE",
        )

    def claim(self, intent_id: str, decide: Callable[[Intent, Usage, SwitchState], Verdict]) -> Claim:
        """Become the one who sends an intent. When this returns a won claim, that it is being sent is on the disk.

        Args:
            intent_id: Approved, or surely not sent before.
            decide: The last word, with the usage without this intent.
        """
        with self._read() as journal:
            lost = self._anchors.missing(journal)
        self._halt_on(lost)
        with self._write() as journal:
            claim = claiming.claim(journal, self._home, intent_id, decide)
        if claim.won and claim.intent.proposal.money == "real":
            self._keep_anchor()
        return claim

    def settle(
        self,
        intent_id: str,
        to: State,
        *,
        result: Mapping[str, Any] | None = None,
        order_id: str | None = None,
        reason: str = "",
        only_from: State | None = None,
    ) -> Intent:
        """Book what became of it. To where it already stands is no move; one that was given up and shows up halts.

        With `only_from`, one that has moved elsewhere since then is left as it is.

        Raises:
            InvalidInput: The table of moves does not have it.
        """
        with self._write() as journal:
            return claiming.settle(
                journal, intent_id, to, result=result, order_id=order_id, reason=reason, only_from=only_from
            )

    def settle_by_human(
        self, intent_id: str, order_id: str | None, *, signature: str, key_id: str, over: str
    ) -> Intent:
        """Book what a human says became of an order of unknown outcome. The caller has verified the signature.

        Args:
            intent_id: UNKNOWN or ABSENT.
            order_id: Which order it is; `None` where it was never placed.
            signature: Over `over`, hexadecimal.
            key_id: Of the approver's key.
            over: The text that was signed.

        Raises:
            InvalidInput: Its outcome is known, or the order is another intent's.
        """
        with self._write() as journal:
            row = rows.get_whole(journal, intent_id)
            told = {"by": key_id, "signature": signature, "over": over}
            if order_id is None:
                if row["state"] == "ABSENT":
                    return rows.intent_of(row)
                return rows.intent_of(rows.move(journal, row, "ABSENT", told, reason="a human says it was not placed"))
            taken = rows.select(journal, "order_id = ? AND intent_id <> ?", (order_id, row["intent_id"]))
            if taken:
                raise InvalidInput(
                    f"order {order_id} is that of intent {taken[0]['intent_id']}",
                    suggestion="Choose another, or --absent",
                    code="INTENT_STATE",
                )
            told["order_id"] = order_id
            reason = "a human says which order it is"
            return rows.intent_of(rows.move(journal, row, "ACKED", told, reason=reason, order_id=order_id))

    def observe(self, intent_id: str, result: Mapping[str, Any]) -> Intent:
        """Keep what the service shows of it now; it does not move."""
        with self._write() as journal:
            row = rows.get_whole(journal, intent_id)
            shown = canonical_json(dict(result))
            if shown == row["result"]:
                return rows.intent_of(row)
            changed = rows.rewrite(journal, {**row, "result": shown}, {"shown": dict(result)})
            return rows.intent_of(changed)

    def swept(self, intent_id: str) -> int:
        """Count one more complete look that did not find it."""
        with self._write() as journal:
            row = rows.get(journal, intent_id)
            journal.db.execute("UPDATE intents SET sweeps = sweeps + 1 WHERE intent_id = ?", (row["intent_id"],))
            count: int = row["sweeps"] + 1
            return count

    def decline(self, intent_id: str, reason: str, *, by_human: bool) -> Intent:
        """Give it up before it is sent.

        Raises:
            InvalidInput: It was sent, or is over.
        """
        with self._write() as journal:
            row = rows.get_whole(journal, intent_id)
            told = {"by_human": by_human}
            moved = rows.move(journal, row, "DECLINED", told, reason=reason, by_human=int(by_human))
            return rows.intent_of(moved)

    def expire_due(self) -> list[Intent]:
        """Let go of what nobody approved, or nobody sent, in time. Writes only when there is something."""
        with self._read() as journal:
            due = rows.any_due(journal)
        if not due:
            return []
        with self._write() as journal:
            return [rows.intent_of(row) for row in rows.expire(journal)]

    def intent(self, intent_id: str) -> Intent | None:
        """An intent by its id, in capitals or not."""
        with self._read() as journal:
            row = rows.find(journal, intent_id)
        return None if row is None else rows.intent_of(row)

    def by_origin(self, origin: str) -> Intent | None:
        """The intent of one decision of a strategy."""
        with self._read() as journal:
            found = rows.select(journal, "origin = ? AND origin <> ''", (origin,))
        return rows.intent_of(found[0]) if found else None

    def intents(
        self, *, states: Collection[State] | None = None, service: Collection[str] | None = None, limit: int = 200
    ) -> list[Intent]:
        """Intents, newest first."""
        conditions = ["1"] if states is None else [rows.one_of("state", states)]
        arguments: list[object] = [*(states or ())]
        if service is not None:
            conditions.append(rows.one_of("service", service))
            arguments += service
        where = " AND ".join(conditions) + " ORDER BY created DESC, rowid DESC LIMIT ?"
        with self._read() as journal:
            found = rows.select(journal, where, (*arguments, limit))
        return [rows.intent_of(row) for row in found]

    def by_label(self, labels: Collection[str]) -> dict[str, Intent]:
        """Those of our labels that an intent has."""
        wanted = sorted({label for label in labels if label})
        found: dict[str, Intent] = {}
        with self._read() as journal:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                for row in rows.select(journal, rows.one_of("label", part), part):
                    found[row["label"]] = rows.intent_of(row)
        return found

    def contradicted_by(self, labels: Collection[str]) -> str:
        """Why labels of placed orders cannot be, as far as this ledger goes; "" where they can.

        One of our own that no intent here has, or one of an intent that was never sent, is there only if an older state
        of the ledger, or a copy of it, was put in its place: what it forgot was sent, and counted.
        """
        with self._read() as journal:
            for label in labels:
                intent_id = intent_of_label(label)
                row = None if intent_id is None else rows.find(journal, intent_id)
                if intent_id is None or (row is None and home_of(intent_id) != journal.home):
                    continue
                if row is None or row["label"] != label or row["state"] in rows.NEVER_SENT:
                    known = "does not know" if row is None else f"has as {row['state']}"
                    return f"an order is placed under the label of intent {intent_id}, which this ledger {known}"
        return ""

    def usage(self, money: Money, action: Action) -> Usage:
        """What is used of the limits now; only what `admit` and `claim` see is still true when it is acted upon."""
        with self._read() as journal:
            return usage_of(journal, money, action)

    def saw_equity(self, money: Money, account_id: str, equity_usd: Decimal) -> None:
        """Remember an account's equity where it is the first of the UTC day or the highest."""
        with self._read() as journal:
            start, high = equity_marks(journal, money, account_id)
        if start is not None and high is not None and equity_usd <= high:
            return
        with self._write() as journal:
            start, high = equity_marks(journal, money, account_id)
            marks = {
                "day": int(journal.now // DAY),
                "day_start": format(equity_usd if start is None else start, "f"),
                "high": format(equity_usd if high is None else max(high, equity_usd), "f"),
            }
            journal.append("equity", f"{money} {account_id}", marks)

    def switch(self) -> Switch:
        """The kill switch, the file included."""
        seen = switch.read_file(self._home)
        with self._read() as journal:
            said = switch.in_journal(journal)
        if seen is None or said.state == "HALTED":
            return said
        try:
            with self._write() as journal:
                return switch.current(journal, self._home)
        except HeyTradersError:
            return seen

    def halt(self, reason: str, by: str, *, state: Literal["HALTED", "REDUCING"] = "HALTED") -> Switch:
        """Engage the switch. A halt makes the file first, so that it counts even while the ledger is busy."""
        reason = redacted(reason)
        wanted = Switch(state, reason, by)
        is_file = state == "HALTED" and switch.write_file(self._home, reason)
        try:
            with self._write() as journal:
                if not is_file:
                    switch.current(journal, self._home)
                halted = switch.engage(journal, wanted)
        except HeyTradersError:
            if is_file:
                return switch.read_file(self._home) or wanted
            raise
        if self._anchors.exist():
            self._keep_anchor()
        return halted

    def release(self, *, signature: str, key_id: str, over: str) -> Switch:
        """Book a human's release, which the caller has verified, and remove the file. Breaks known by now are accepted.

        Args:
            signature: Over `over`, hexadecimal.
            key_id: Of the approver's key.
            over: The text that was signed.

        Raises:
            Denied: Another approver signed for this home before.
        """
        with self._write() as journal:
            switch.current(journal, self._home)
            other = self._anchors.other_approver(_named_approver(journal))
        if other is not None:
            raise Denied(
                "another passphrase approved for this folder before, and its ledger is gone",
                suggestion=f"Restore safety.db and audit.key. If you removed them on purpose, remove {other} as well",
            )
        with self._write() as journal:
            told = {"state": "ACTIVE", "reason": "", "by": key_id, "signature": signature, "over": over}
            event = journal.append("switch", "release", {**told, "accepted": audit.breaks(journal)})
            switch.remove_file(self._home)
        if self._anchors.exist():
            self._keep_anchor(accepted=True)
        return Switch("ACTIVE", "", key_id, event.at)

    def allow_questions(self, *, signature: str, key_id: str, over: str) -> None:
        """Book that a human wants to be asked again, whatever was asked and declined before.

        Args:
            signature: Over `over`, hexadecimal, which the caller has verified.
            key_id: Of the approver's key.
            over: The text that was signed.
        """
        with self._write() as journal:
            journal.append("questions", "", {"by": key_id, "signature": signature, "over": over})

    def record(self, kind: str, **fields: object) -> None:
        """Append an event of the caller's own kind. `subject` among the fields says what it is about.

        Raises:
            ValueError: The kind is one that the ledger itself reads.
        """
        if kind in _OWN_KINDS:
            raise ValueError(f"only the ledger writes events of kind {kind}")
        with self._write() as journal:
            journal.append(kind, str(fields.pop("subject", "")), fields)

    def events(self, *, after: int = 0, limit: int = 100, newest: bool = False) -> list[Event]:
        """Events behind number `after`, oldest first: the first `limit` of them, or with `newest` the last."""
        with self._read() as journal:
            return journal.events(after=after, limit=limit, newest=newest)

    def latest(self, kind: str, subject: str, *, until: float = math.inf) -> Event | None:
        """The last event of a kind about a subject, up to a moment in Unix seconds."""
        with self._read() as journal:
            return journal.latest(kind, subject, until=until)

    def head(self) -> tuple[int, str]:
        """Number and MAC of the last event: an anchor, when it is kept elsewhere."""
        with self._read() as journal:
            return journal.head()

    def verify(self, *, anchor: tuple[int, str] | None = None) -> list[str]:
        """Where journal and rows do not hold together; empty when they do.

        Args:
            anchor: A head that was kept elsewhere; without one, a missing newest part cannot be told. Of the MAC, the
                first 12 characters or more, as the label of an order has them (then with number 0).
        """
        with self._read() as journal:
            return [*audit.breaks(journal), *(audit.unanchored(journal, anchor) if anchor else ())]

    def check(self) -> list[str]:
        """Look through all of it while others go on, and halt on a break that is new. Takes seconds in a long journal.

        Returns:
            What `verify` would, at most 20 sentences.
        """
        found, reached = audit.breaks_by_parts(self._read, lambda: time.sleep(_CHECK_PAUSE))
        with self._read() as journal:
            if not found:
                audit.write_checkpoint(journal, self._home, reached)
            new = [*audit.without_accepted(journal, found), *self._anchors.missing(journal)]
        self._halt_on(new)
        return found

    @contextmanager
    def moment(self) -> Generator[None]:
        """Everything that this thread reads inside is of one moment, and of one transaction. Nothing may be written."""
        with self._read():
            yield

    def signed_policy(self) -> SignedPolicy | None:
        """The policy that was signed last."""
        with self._read() as journal:
            return switch.signed_policy(journal)

    def store_policy(self, signed: SignedPolicy) -> None:
        """Store a policy that a human signed; its version has to be higher than any before."""
        with self._write() as journal:
            switch.store_policy(journal, signed)
        self._keep_anchor()

    def approver(self) -> str | None:
        """The public key that approves, hexadecimal."""
        with self._read() as journal:
            return switch.approver(journal)

    def pin_approver(self, public_key: str, *, signature: str = "") -> None:
        """Pin the key that approves. The first is taken as it is; a later one needs the earlier one's signature.

        Args:
            public_key: Ed25519, 32 bytes as hexadecimal.
            signature: Of the pinned key over `succession_text(public_key)`, hexadecimal.
        """
        with self._write() as journal:
            switch.pin_approver(journal, public_key, signature)

    def note_labels(self, service: str, echoed: bool) -> None:  # noqa: FBT001 - a fact, not a switch
        """Remember whether a service returns the labels of orders."""
        if self.labels_echoed(service) is not echoed:
            with self._write() as journal:
                journal.append("labels", service, {"echoed": echoed})

    def labels_echoed(self, service: str) -> bool | None:
        """Whether a service returns the labels of orders; `None` before it was seen."""
        with self._read() as journal:
            event = journal.latest("labels", service)
            known = event is not None and journal.is_sound(event)
        return bool(event.body["echoed"]) if event is not None and known else None

    def _look(self, *, recent: bool) -> None:
        with self._read() as journal:
            known = audit.read_checkpoint(journal, self._home) if recent else None
            found = audit.breaks(journal) if known is None else audit.recent_breaks(journal, known)
            if not found and known is None:
                audit.write_checkpoint(journal, self._home, journal.head())
            new = [*audit.without_accepted(journal, found), *self._anchors.missing(journal)]
        self._halt_on(new)

    def _keep_anchor(self, *, accepted: bool = False) -> None:
        with self._read() as journal:
            self._anchors.keep(journal, _named_approver(journal), accepted=accepted)

    def _halt_on(self, breaks: list[str]) -> None:
        if breaks:
            self.halt(f"the journal does not hold together: {breaks[0]}", switch.BY_CHECK)

    @contextmanager
    def _write(self) -> Generator[Journal]:
        with self._database.write() as db:
            yield Journal(db, self._key, self._now())

    @contextmanager
    def _read(self) -> Generator[Journal]:
        with self._database.read() as db:
            yield Journal(db, self._key, self._now())


def _named_approver(journal: Journal) -> str | None:
    """The key that the journal names as the approver's, sound or not: it is only compared with the one kept outside."""
    event = journal.latest("approver")
    return None if event is None else str(event.body.get("public_key"))
