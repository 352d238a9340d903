"""The ledger of everything proposed, approved and sent, shared by all server processes of one home.

Every method is one transaction, blocks, and may be called from any thread. Nothing is sent before its row is on the
disk. Limits are sums over those rows. Every change of a row is an event in a tamper-evident journal.
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
from safety.human.in_force import question_words, settle_words
from safety.ledger import audit, booking, rows, switch
from safety.ledger.booking import DAY, equity_marks, usage_of
from safety.ledger.database import FILE_NAME, Database
from safety.ledger.journal import Anchors, Event, Journal, audit_key, unanchored
from safety.ledger.switch import SignedPolicy, Switch
from safety.terms.facts import PolicyDecision, SwitchState, Usage
from safety.terms.intent import Admission, Caller, Claim, Intent, IntentState, Verdict
from safety.terms.proposal import Action, Money, Proposal, canonical_json

_CHECK_PAUSE: Final = 0.005
"""Seconds between two parts of a check, so that calls and other processes can run."""
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
        self._anchors = Anchors(home.resolve(), key)

    @classmethod
    def open(cls, home: Path, *, now: Callable[[], float] = time.time, recent: bool = False) -> Ledger:
        """Open the ledger, create it if needed, and check the journal: a new break halts.

        Args:
            home: Its folder.
            now: Unix seconds.
            recent: Check only the events since the last complete check. The caller must run `check` soon.

        Raises:
            UserMustAct: Its files cannot be used, or other users can read them.
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
        """Whether there is a ledger."""
        return (home / FILE_NAME).exists()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def admit(
        self,
        proposal: Proposal,
        caller: Caller,
        decide: Callable[[Usage, SwitchState], PolicyDecision],
        *,
        repeat_seconds: int,
        ask_first: bool = False,
        last_word: Callable[[Intent, Usage, SwitchState], Verdict] | None = None,
    ) -> Admission:
        """Decide on a proposal and book it, so that no other process can use the same share of the limits.

        Args:
            proposal: The exact terms.
            caller: The caller's tool and client.
            decide: The policy; called at most once, with usage and switch that cannot change before the booking.
            repeat_seconds: For this long after sending, the same call means the same intent.
            ask_first: Ask a human even if the policy does not require it.
            last_word: The final check of an intent with simulated money. If given, and no human has to approve it, the
                claim to send it is part of the same transaction, on the disk when this returns.
        """
        with self._write() as journal:
            state = switch.current(journal, self._home).state
            rows.expire(journal)
            word = None if last_word is None or self._anchors.missing(journal) else last_word
            return booking.admit(
                journal,
                proposal,
                caller,
                lambda usage: decide(usage, state),
                repeat_seconds=repeat_seconds,
                ask_first=ask_first,
                last_word=word and (lambda intent, usage: word(intent, usage, state)),
            )

    def approve(self, intent_id: str, *, signature: str, key_id: str) -> Intent:
        """Book a human's approval. The caller verifies that the signature covers the digest, and so does the claim.

        Raises:
            InvalidInput: It does not wait for an approval (any more).
        """
        with self._write() as journal:
            row, approved = rows.approve(journal, intent_id, signature, key_id)
        if approved:
            return rows.intent_of(row)
        raise InvalidInput(
            f"intent {row['intent_id']} is {row['state']} and does not wait for an approval",
            suggestion="Look at it with order_intent",
            code="INTENT_STATE",
        )

    def claim(self, intent_id: str, decide: Callable[[Intent, Usage, SwitchState], Verdict]) -> Claim:
        """Claim the right to send an intent. A won claim is on the disk when this returns.

        Args:
            intent_id: An approved intent, or one that was definitely not sent.
            decide: The final check, with the usage excluding this intent.
        """
        with self._write() as journal:
            lost = self._anchors.missing(journal)
            claim = None if lost else booking.claim(journal, self._home, intent_id, decide)
        if claim is None:
            self._halt_on(lost)
            with self._write() as journal:
                claim = booking.claim(journal, self._home, intent_id, decide)
        if claim.won and claim.intent.proposal.money == "real":
            self._keep_anchor()
        return claim

    def settle(
        self,
        intent_id: str,
        to: IntentState,
        *,
        result: Mapping[str, Any] | None = None,
        order_id: str | None = None,
        reason: str = "",
        only_from: IntentState | None = None,
    ) -> Intent:
        """Book the outcome. Its current state again is a no-op. If an intent that was given up turns up, trading halts.

        With `only_from`, an intent in any other state is left unchanged.

        Raises:
            InvalidInput: The state table does not allow it.
        """
        with self._write() as journal:
            return booking.settle(
                journal, intent_id, to, result=result, order_id=order_id, reason=reason, only_from=only_from
            )

    def settle_by_human(self, intent_id: str, order_id: str | None, *, signature: str) -> Intent:
        """Book a human's decision on an order of unknown outcome.

        Args:
            intent_id: UNKNOWN or ABSENT.
            order_id: The order; `None` if it was never placed.
            signature: The approver's signature of `settle_words`, hexadecimal.

        Raises:
            NotAuthorised: It is not the approver's signature of exactly this.
            InvalidInput: Its outcome is known, or the order belongs to another intent.
        """
        with self._write() as journal:
            words = settle_words(rows.intent_of(rows.get_whole(journal, intent_id)), order_id)
            return rows.settle_by_human(journal, intent_id, order_id, switch.signed(journal, words, signature))

    def observe(self, intent_id: str, result: Mapping[str, Any]) -> Intent:
        """Store the service's current view of it; the state does not change."""
        with self._write() as journal:
            row = rows.get_whole(journal, intent_id)
            shown = canonical_json(dict(result))
            if shown == row["result"]:
                return rows.intent_of(row)
            changed = rows.rewrite(journal, row, {"result": shown}, {"shown": dict(result)})
            return rows.intent_of(changed)

    def swept(self, intent_id: str) -> int:
        """Count another complete listing that did not contain it."""
        with self._write() as journal:
            row = rows.get(journal, intent_id)
            journal.db.execute("UPDATE intents SET sweeps = sweeps + 1 WHERE intent_id = ?", (row["intent_id"],))
            count: int = row["sweeps"] + 1
            return count

    def decline(self, intent_id: str, reason: str, *, by_human: bool) -> Intent:
        """Give up an intent before it is sent.

        Raises:
            InvalidInput: It was sent, or is over.
        """
        with self._write() as journal:
            row = rows.get_whole(journal, intent_id)
            told = {"by_human": by_human}
            moved = rows.move(journal, row, "DECLINED", told, reason=reason, by_human=int(by_human))
            return rows.intent_of(moved)

    def expire_due(self) -> list[Intent]:
        """Expire intents that were not approved or not sent in time. Writes only if there are any."""
        with self._read() as journal:
            due = rows.any_due(journal)
        if not due:
            return []
        with self._write() as journal:
            return [rows.intent_of(row) for row in rows.expire(journal)]

    def intent(self, intent_id: str) -> Intent | None:
        """An intent by its id, in upper or lower case."""
        with self._read() as journal:
            row = rows.find(journal, intent_id)
        return None if row is None else rows.intent_of(row)

    def by_origin(self, origin: str) -> Intent | None:
        """The intent of one strategy decision."""
        with self._read() as journal:
            found = rows.select(journal, "origin = ? AND origin <> ''", (origin,))
        return rows.intent_of(found[0]) if found else None

    def intents(
        self, *, states: Collection[IntentState] | None = None, service: Collection[str] | None = None, limit: int = 200
    ) -> list[Intent]:
        """Intents, newest first."""
        with self._read() as journal:
            found = rows.newest(journal, states, service, limit)
        return [rows.intent_of(row) for row in found]

    def by_label(self, labels: Collection[str]) -> dict[str, Intent]:
        """The intents with these labels, by label."""
        with self._read() as journal:
            found = rows.by_label(journal, labels)
        return {label: rows.intent_of(row) for label, row in found.items()}

    def contradicted_by(self, labels: Collection[str]) -> dict[str, str]:
        """Why the labels of placed orders contradict this ledger, by intent id; empty if they do not."""
        with self._read() as journal:
            return rows.contradicted_by(journal, labels)

    def usage(self, money: Money, action: Action) -> Usage:
        """The current usage of the limits. Only inside `admit` and `claim` is it still true when acted upon."""
        with self._read() as journal:
            return usage_of(journal, money, action)

    def saw_equity(self, money: Money, account_id: str, equity_usd: Decimal) -> None:
        """Store an account's equity if it is the first of the UTC day or the highest."""
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
        """Engage the switch. A halt creates the file first, so that it counts even while the ledger is busy."""
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
        """Book a human's release, which the caller has verified, and remove the file. Accepts all breaks known so far.

        Args:
            signature: Signature of `over`, hexadecimal.
            key_id: Id of the approver's key.
            over: The text that was signed.

        Raises:
            Denied: This home had another approver before.
        """
        with self._write() as journal:
            switch.current(journal, self._home)
            other = self._anchors.other_approver(_named_approver(journal))
        if other is not None:
            raise Denied(
                "another passphrase was in use for this folder, and its ledger is missing",
                suggestion=f"Restore safety.db and audit.key. If you removed them on purpose, remove {other} as well",
            )
        with self._write() as journal:
            told = {"state": "ACTIVE", "reason": "", "by": key_id, "signature": signature, "over": over}
            event = journal.append("switch", "release", {**told, "accepted": audit.breaks(journal)})
            switch.remove_file(self._home)
        if self._anchors.exist():
            self._keep_anchor(accepted=True)
        return Switch("ACTIVE", "", key_id, event.at)

    def allow_questions(self, *, signature: str) -> None:
        """Book that a human wants to be asked again, regardless of earlier questions and refusals.

        Args:
            signature: The approver's signature of `question_words`, hexadecimal.

        Raises:
            NotAuthorised: It is not the approver's, or the journal has grown since it was made.
        """
        with self._write() as journal:
            told = switch.signed(journal, question_words(journal.head()[1]), signature)
            journal.append("questions", "", told)

    def record(self, kind: str, **fields: object) -> None:
        """Append an event of a kind that the caller chooses. The field `subject` says what it is about.

        Raises:
            ValueError: The kind is reserved for the ledger.
        """
        if kind in _OWN_KINDS:
            raise ValueError(f"only the ledger writes events of kind {kind}")
        with self._write() as journal:
            journal.append(kind, str(fields.pop("subject", "")), fields)

    def events(self, *, after: int = 0, limit: int = 100, newest: bool = False) -> list[Event]:
        """Events after number `after`, oldest first: the first `limit` of them, or the last with `newest`."""
        with self._read() as journal:
            return journal.events(after=after, limit=limit, newest=newest)

    def latest(self, kind: str, subject: str, *, until: float = math.inf) -> Event | None:
        """The last event of a kind about a subject, up to a moment in Unix seconds."""
        with self._read() as journal:
            return journal.latest(kind, subject, until=until)

    def head(self) -> tuple[int, str]:
        """Number and MAC of the last event. Stored elsewhere, it is an anchor."""
        with self._read() as journal:
            return journal.head()

    def verify(self, *, anchor: tuple[int, str] | None = None) -> list[str]:
        """Inconsistencies between journal and rows; empty if there are none.

        Args:
            anchor: A head that was stored elsewhere; without one, a missing end of the journal cannot be detected. At
                least the first 12 characters of the MAC, as in the label of an order (then with number 0).
        """
        with self._read() as journal:
            return [*audit.breaks(journal), *(unanchored(journal, anchor) if anchor else ())]

    def check(self) -> list[str]:
        """Check the whole ledger while others keep working, and halt on a new break. A long journal takes seconds.

        Returns:
            The result of `verify`, at most 20 sentences.
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
        """All reads of this thread inside the block see one moment, in one transaction. Writing is not allowed."""
        with self._read():
            yield

    def signed_policy(self) -> SignedPolicy | None:
        """The last signed policy."""
        with self._read() as journal:
            return switch.signed_policy(journal)

    def store_policy(self, signed: SignedPolicy) -> None:
        """Store a signed policy; its version must be higher than any before."""
        with self._write() as journal:
            switch.store_policy(journal, signed)
        self._keep_anchor()

    def approver(self) -> str | None:
        """The approver's public key, hexadecimal."""
        with self._read() as journal:
            return switch.approver(journal)

    def pin_approver(self, public_key: str) -> None:
        """Pin the approver's key. There is one for the life of the ledger.

        Args:
            public_key: Ed25519, 32 bytes as hexadecimal.
        """
        with self._write() as journal:
            switch.pin_approver(journal, public_key)

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
            self.halt(f"the journal is inconsistent: {breaks[0]}", switch.BY_CHECK)

    @contextmanager
    def _write(self) -> Generator[Journal]:
        with self._database.write() as db:
            yield Journal(db, self._key, self._now())

    @contextmanager
    def _read(self) -> Generator[Journal]:
        with self._database.read() as db:
            yield Journal(db, self._key, self._now())


def _named_approver(journal: Journal) -> str | None:
    """The approver's key in the journal, sound or not: it is only compared with the one stored outside."""
    event = journal.latest("approver")
    return None if event is None else str(event.body.get("public_key"))
