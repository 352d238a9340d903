"""Any order of events: two servers on one home, a human, time, the kill switch, crashes. A model beside them, a
dictionary with the documented rules, is compared with the ledger after each step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.errors import InvalidInput
from safety.ledger import Ledger
from safety.terms.facts import Outcome, SwitchState, Usage
from safety.terms.intent import GO, Intent, IntentState, Verdict, stop

from .books import CALLER, NOON, Clock, order, proposal, within

LIMIT: Final = Decimal(60)
STEP: Final = Decimal(10)
DAY: Final = 86_400.0
REPEAT: Final = 120
COUNTED: Final = {"PENDING", "APPROVED", "NOT_SENT", "SENT", "UNKNOWN", "ABSENT", "ACKED"}
OPEN: Final = {"PENDING", "APPROVED", "NOT_SENT"}
OUTCOMES: Final[tuple[IntentState, ...]] = ("ACKED", "REJECTED", "UNKNOWN", "NOT_SENT", "ABSENT")
SETTLES: Final[dict[IntentState, set[IntentState]]] = {
    "SENT": {"ACKED", "REJECTED", "UNKNOWN", "NOT_SENT"}, "UNKNOWN": {"ACKED", "ABSENT"}, "ABSENT": {"ACKED"},
}  # fmt: skip


@dataclass
class Known:
    """The model's record of an intent."""

    state: IntentState
    amount: int
    usd: Decimal
    created: float
    deadline: float | None
    automatic: bool
    booked: float
    approved_at: float | None = None
    by_human: bool = False
    sends: int = 0
    returns: int = 0


class Crash(Exception):
    """The process dies in the middle of a transaction."""


class LedgerMachine(RuleBasedStateMachine):
    """Two ledgers of one home with a model."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.home = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None)) / "home"
        self.clock = Clock()
        self.ledgers = [Ledger.open(self.home, now=self.clock) for _ in range(2)]
        self.known: dict[str, Known] = {}
        self.switch: SwitchState = "ACTIVE"
        self.head = (0, "")

    @initialize(later=st.floats(0, 2 * DAY))
    def begin(self, later: float) -> None:
        self.clock.forward(later)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        shutil.rmtree(self.home.parent)

    def ledger(self, data: st.DataObject) -> Ledger:
        return self.ledgers[data.draw(st.integers(0, 1), "server")]

    def some_intent(self, data: st.DataObject) -> tuple[str, Known]:
        """An intent by its order of admission; ids are random and would make runs differ."""
        place = data.draw(st.integers(0, len(self.known) - 1), "intent")
        return list(self.known.items())[place]

    def expire(self) -> None:
        """The ledger's work at the start of most transactions."""
        for known in self.known.values():
            if known.state in OPEN and known.deadline is not None and known.deadline < self.clock.now:
                known.state, known.deadline = "EXPIRED", None

    def booked(self, without: str = "") -> Decimal:
        now = self.clock.now
        return sum(
            (
                known.usd
                for name, known in self.known.items()
                if name != without
                and known.state in COUNTED
                and known.booked > now - DAY
                and (known.deadline is None or known.deadline >= now)
            ),
            Decimal(0),
        )

    @contextmanager
    def refused(self, why: bool) -> Generator[None]:
        """Whether the ledger must refuse the next steps."""
        if not why:
            yield
            return
        with pytest.raises(InvalidInput):
            yield

    @rule(seconds=st.sampled_from([0.5, 5.0, 29.0, 31.0, 74.0, 119.0, 301.0, 3_600.0, 43_200.0, 86_400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(data=st.data(), amount=st.integers(1, 3), usd=st.integers(1, 4), asked=st.booleans(), first=st.booleans())
    def admit(self, data: st.DataObject, amount: int, usd: int, asked: bool, first: bool) -> None:
        value = STEP * usd
        decide = within(LIMIT, value, Outcome.REQUIRE if asked else Outcome.PASS)
        offered = proposal(self.clock.now, order(str(amount)), usd=value)
        admission = self.ledger(data).admit(offered, CALLER, decide, repeat_seconds=REPEAT, ask_first=first)
        self.expire()
        earlier = self.earlier(amount)
        if earlier is not None:
            assert admission.repeated
            assert admission.intent is not None
            assert admission.intent.intent_id == earlier
        elif self.booked() + value > LIMIT:
            assert admission.intent is None
        else:
            assert admission.intent is not None
            assert not admission.repeated
            self.book(admission.intent, amount, value, asked=asked, first=first)

    def earlier(self, amount: int) -> str | None:
        """The newest intent of the same call."""
        now = self.clock.now
        same = [
            (known.created, name)
            for name, known in self.known.items()
            if known.amount == amount
            and (
                known.state in {"PENDING", "NOT_SENT"}
                or (known.state == "APPROVED" and (known.by_human or not known.automatic))
                or (known.state in {"APPROVED", "SENT", "UNKNOWN", "ABSENT", "ACKED"} and known.booked > now - REPEAT)
            )
        ]
        return max(same)[1] if same else None

    def book(self, intent: Intent, amount: int, usd: Decimal, *, asked: bool, first: bool) -> None:
        now = self.clock.now
        state: IntentState = "PENDING" if asked or first else "APPROVED"
        waits = 300.0 if state == "PENDING" else 30.0
        assert intent.state == state
        self.known[intent.intent_id] = Known(
            state, amount, usd, now, now + waits, automatic=not asked, booked=now,
            approved_at=None if state == "PENDING" else now,
        )  # fmt: skip

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        name, known = self.some_intent(data)
        self.expire()
        with self.refused(known.state != "PENDING"):
            self.ledger(data).approve(name, signature="ab", key_id="k1")
            known.state, known.by_human, known.approved_at = "APPROVED", True, self.clock.now
            known.deadline = self.clock.now + 75

    @precondition(lambda self: self.known)
    @rule(data=st.data(), word=st.sampled_from(["go", "go", "go", "stop", "crash"]))
    def claim(self, data: st.DataObject, word: str) -> None:
        name, known = self.some_intent(data)
        last_word = LastWord(word)
        try:
            won = self.ledger(data).claim(name, last_word).won
        except Crash:
            return  # rolled back: not even what was due has expired
        self.expire()
        if known.state not in {"APPROVED", "NOT_SENT"}:
            assert not won
            assert last_word.asked == 0
        elif self.switch == "HALTED":
            assert not won
            known.state, known.deadline = "HALTED", None
        elif word == "stop":
            assert not won
            known.state, known.deadline = "EXPIRED_DRIFT", None
        else:
            assert won
            assert last_word.usage is not None
            assert last_word.usage.notional_24h == self.booked(without=name)
            known.state, known.deadline, known.booked = "SENT", None, self.clock.now
            known.sends += 1

    @precondition(lambda self: self.known)
    @rule(data=st.data(), to=st.sampled_from(OUTCOMES))
    def settle(self, data: st.DataObject, to: IntentState) -> None:
        name, known = self.some_intent(data)
        allowed = to in SETTLES.get(known.state, set()) or to == known.state
        with self.refused(not allowed):
            self.ledger(data).settle(name, to, order_id="o1" if to == "ACKED" else None)
        if not allowed or to == known.state:
            return
        if known.state == "ABSENT":
            self.halted()
        known.state = to
        if to == "NOT_SENT":
            assert known.approved_at is not None
            known.deadline = known.approved_at + (75 if known.by_human else 30)
            known.returns += 1

    @precondition(lambda self: self.known)
    @rule(data=st.data(), by_human=st.booleans())
    def decline(self, data: st.DataObject, by_human: bool) -> None:
        name, known = self.some_intent(data)
        with self.refused(known.state not in OPEN):
            self.ledger(data).decline(name, "no", by_human=by_human)
            known.state, known.deadline = "DECLINED", None

    @rule(data=st.data())
    def expire_due(self, data: st.DataObject) -> None:
        before = {name for name, known in self.known.items() if known.state in OPEN}
        self.expire()
        gone = {name for name in before if self.known[name].state == "EXPIRED"}
        assert {intent.intent_id for intent in self.ledger(data).expire_due()} == gone

    @rule(data=st.data(), state=st.sampled_from(["HALTED", "REDUCING"]))
    def halt(self, data: st.DataObject, state: Any) -> None:
        self.ledger(data).halt("a test", "the machine", state=state)
        if state == "HALTED":
            self.halted()
        elif self.switch == "ACTIVE":
            self.switch = "REDUCING"

    @rule(data=st.data())
    def touch_halt(self, data: st.DataObject) -> None:
        (self.home / "HALT").touch()
        assert self.ledger(data).switch().state == "HALTED"
        self.halted()

    def halted(self) -> None:
        """Every waiting intent is stopped, but only when a halt begins."""
        if self.switch != "HALTED":
            for known in self.known.values():
                if known.state in OPEN:
                    known.state, known.deadline = "HALTED", None
        self.switch = "HALTED"

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        assert self.ledger(data).release(signature="ab", key_id="k1", over="release").state == "ACTIVE"
        self.switch = "ACTIVE"

    @rule(data=st.data())
    def crash_and_start_again(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, 1), "server")
        self.ledgers[number].close()
        self.ledgers[number] = Ledger.open(self.home, now=self.clock)

    @invariant()
    def every_intent_stands_where_the_model_has_it(self) -> None:
        for ledger in self.ledgers:
            found: dict[str, IntentState] = {intent.intent_id: intent.state for intent in ledger.intents(limit=1_000)}
            assert found == {name: known.state for name, known in self.known.items()}

    @invariant()
    def the_switch_stands_where_the_model_has_it(self) -> None:
        assert [ledger.switch().state for ledger in self.ledgers] == [self.switch] * 2

    @invariant()
    def the_limit_holds(self) -> None:
        usage = self.ledgers[0].usage("real", order())
        assert usage.notional_24h == self.booked() <= LIMIT
        assert usage.notional_day <= usage.notional_24h

    @invariant()
    def nothing_was_sent_twice(self) -> None:
        """A second send is possible only if the first certainly did not leave."""
        assert all(known.sends <= 1 + known.returns for known in self.known.values())
        assert all(known.sends > known.returns for known in self.known.values() if known.state in {"SENT", "ACKED"})

    @invariant()
    def the_journal_only_grows_and_holds(self) -> None:
        seq, mac = self.ledgers[0].head()
        assert seq >= self.head[0]
        assert self.ledgers[0].verify(anchor=self.head if self.head[0] else None) == []
        self.head = (seq, mac)


class LastWord:
    """Lets through, stops, or dies; records what it saw."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.asked = 0
        self.usage: Usage | None = None

    def __call__(self, _intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        assert switch != "HALTED"
        self.asked += 1
        self.usage = usage
        if self.word == "crash":
            raise Crash
        return GO if self.word == "go" else stop("EXPIRED_DRIFT", "the market moved")


def walk(examples: int, steps: int) -> None:
    """Run the machine."""
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.long
def test_whatever_happens_the_ledger_is_where_the_model_is() -> None:
    assert NOON % DAY == DAY / 2
    walk(40, 40)


@pytest.mark.slow
def test_the_same_two_thousand_times() -> None:
    walk(2_000, 50)
