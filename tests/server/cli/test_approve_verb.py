"""`heytraders-mcp approve` as a human at a terminal meets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest

from safety.human.in_force import covers, trusted
from safety.human.signing import enrol
from safety.ledger import Ledger
from safety.policy.evaluation import LIVE
from safety.terms.facts import Outcome, PolicyDecision, RuleResult, SwitchState, Usage
from safety.terms.intent import GO, Caller, Intent, Verdict
from safety.terms.proposal import DeploymentTerms, OrderTerms, Proposal
from server.cli.approve import WAIT_SECONDS
from tests.server.cli.shell import Done, run_here
from tests.server.cli.terminal import PATIENCE, Terminal, cold_terminal, terminal

PASSPHRASE = "correct horse battery"
REQUIRED = PolicyDecision(
    Outcome.REQUIRE, (RuleResult("R28_APPROVAL", Outcome.REQUIRE, "asks"),), "ab" * 32, Decimal(30)
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def ledger(home: Path) -> Generator[Ledger]:
    """The ledger of the home folder."""
    with closing(Ledger.open(home)) as opened:
        yield opened


@pytest.fixture
def enrolled(home: Path, ledger: Ledger) -> None:
    """The user has already chosen a passphrase."""
    ledger.pin_approver(enrol(home, PASSPHRASE, cost=2**4).approver.public_key)


Asked = Callable[..., Intent]


@pytest.fixture
def asked(ledger: Ledger) -> Asked:
    """Let an order wait for a human."""

    def propose(symbol: str = "BTC/USDT", worth: Decimal | None = Decimal(30)) -> Intent:
        order = OrderTerms(
            account_id="a1",
            exchange="binance",
            market_type="spot",
            symbol=symbol,
            side="buy",
            order_type="limit",
            amount=Decimal("0.0005"),
            price=Decimal(60_000),
        )
        now = time.time()
        proposal = Proposal(
            action=order,
            money="real",
            service="https://hey-traders.com/api/v1",
            policy_hash="ab" * 32,
            quote=Decimal(60_010),
            notional_usd=worth,
            created=now,
            expires=now + 300,
        )
        intent = ledger.admit(proposal, Caller("orders_place"), required, repeat_seconds=0).intent
        assert intent is not None
        return intent

    return propose


def required(_used: Usage, _switch: SwitchState) -> PolicyDecision:
    """A policy that always asks."""
    return REQUIRED


def go(_intent: Intent, _usage: Usage, _switch: SwitchState) -> Verdict:
    """Raises no objection."""
    return GO


def executed(ledger: Ledger, intent_id: str) -> Thread:
    """A server that sends approved orders and gets the order id `o-1`."""

    def serve() -> None:
        while not ledger.claim(intent_id, go).won:
            time.sleep(0.05)
        ledger.settle(intent_id, "ACKED", order_id="o-1")

    thread = Thread(target=serve, daemon=True)
    thread.start()
    return thread


def say_yes(human: Terminal) -> None:
    """Approve and type the passphrase."""
    human.until("Approve it")
    human.type("yes")
    human.until("Passphrase: ")
    human.type(PASSPHRASE)


@pytest.mark.usefixtures("enrolled")
def test_a_human_reads_the_order_types_the_passphrase_and_reads_the_outcome(
    home: Path, ledger: Ledger, asked: Asked
) -> None:
    intent = asked()
    server = executed(ledger, intent.intent_id)
    with cold_terminal(home, "approve") as human:
        shown = human.until("fingerprint") + human.until("hours")
        say_yes(human)
        code, told = human.end()
    server.join()
    found = ledger.intent(intent.intent_id)

    assert code == 0, human.seen
    assert "BUY             0.0005 BTC/USDT" in shown
    assert "left after it   170 of 200 USD for 24 hours" in shown
    assert shown.count("\n") <= 9
    assert "ACKED: it was carried out. Order o-1." in told
    assert PASSPHRASE not in human.seen
    assert found is not None
    assert covers(found, REQUIRED, trusted(home, ledger), LIVE)


@pytest.mark.usefixtures("enrolled")
def test_a_deployed_strategy_is_shown_as_a_subscription(home: Path, ledger: Ledger) -> None:
    now = time.time()
    deployed = Proposal(
        action=DeploymentTerms(action="subscribe", strategy_id="s1", account_id="a1"),
        money="real",
        service="https://hey-traders.com/api/v1",
        policy_hash="ab" * 32,
        quote=None,
        notional_usd=None,
        created=now,
        expires=now + 300,
    )
    intent = ledger.admit(deployed, Caller("live_subscribe"), required, repeat_seconds=0).intent
    assert intent is not None
    server = executed(ledger, intent.intent_id)
    with terminal(home, "approve") as human:
        say_yes(human)
        code, told = human.end()
    server.join()

    assert code == 0, human.seen
    assert "ACKED: it was carried out. Subscription o-1." in told


@pytest.mark.usefixtures("enrolled")
def test_a_wrong_passphrase_approves_nothing_and_may_be_typed_again(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked()
    server = executed(ledger, intent.intent_id)
    with terminal(home, "approve", intent.intent_id) as human:
        human.until("Approve it")
        human.type("yes")
        human.until("Passphrase: ")
        human.type("not this one")
        human.until("WRONG_PASSPHRASE")
        still = ledger.intent(intent.intent_id)
        human.until("Passphrase: ")
        human.type(PASSPHRASE)
        code, _ = human.end()
    server.join()

    assert still is not None
    assert still.state == "PENDING"
    assert code == 0
    assert [event.kind for event in ledger.events()].count("wrong_passphrase") == 1


def test_what_is_refused_is_declined_without_a_passphrase(home: Path, ledger: Ledger, asked: Asked) -> None:
    first, second = asked(), asked("ETH/USDT")
    with terminal(home, "approve", first.intent_id.lower()) as human:
        human.until("Approve it")
        human.type("no")
        code, told = human.end()
    outside = run(home, "approve", second.intent_id, "--decline")

    assert (code, outside.returncode) == (0, 0)
    assert "Declined: buy 0.0005 BTC/USDT" in told
    assert "Declined: buy 0.0005 ETH/USDT" in outside.stdout
    assert [each.state for each in ledger.intents()] == ["DECLINED", "DECLINED"]
    assert len(ledger.usage("real", first.proposal.action).declined_ages) == 2


def test_later_leaves_it_waiting(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked()
    with terminal(home, "approve") as human:
        human.until("Approve it")
        human.type("later")
        code, _ = human.end()
    found = ledger.intent(intent.intent_id)

    assert code == 130
    assert found is not None
    assert found.state == "PENDING"


@pytest.mark.usefixtures("enrolled")
def test_of_several_the_human_picks_one(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked("SOL/USDT")
    asked("ETH/USDT")
    server = executed(ledger, intent.intent_id)
    with terminal(home, "approve") as human:
        listed = human.until("Which one")
        number = next(line for line in listed.splitlines() if intent.intent_id in line).split()[0]
        human.type(number)
        assert "SOL/USDT" in human.until("expires")
        say_yes(human)
        code, _ = human.end()
    server.join()

    assert code == 0
    assert sorted(each.state for each in ledger.intents()) == ["ACKED", "PENDING"]


@pytest.mark.parametrize(
    ("worth", "typed", "state"),
    [(Decimal("100.01"), "0.005", "PENDING"), (Decimal("100.01"), "0.0005", "ACKED"), (None, "five", "PENDING")],
)
@pytest.mark.usefixtures("enrolled")
def test_a_large_order_is_approved_by_typing_its_amount(
    home: Path, ledger: Ledger, asked: Asked, worth: Decimal | None, typed: str, state: str
) -> None:
    intent = asked(worth=worth)
    server = executed(ledger, intent.intent_id) if state == "ACKED" else None
    with terminal(home, "approve") as human:
        human.until("Approve it")
        human.type("yes")
        human.until("Type the amount, in units: ")
        human.type(typed)
        if server:
            human.until("Passphrase: ")
            human.type(PASSPHRASE)
        code, told = human.end()
    if server:
        server.join()
    found = ledger.intent(intent.intent_id)

    assert found is not None
    assert found.state == state
    assert code == (0 if state == "ACKED" else 1)
    assert ("nothing was approved" in told) is (server is None)


def test_up_to_the_threshold_no_amount_is_typed(home: Path, enrolled: None, asked: Asked) -> None:
    asked(worth=Decimal(100))
    with terminal(home, "approve") as human:
        human.until("Approve it")
        human.type("yes")
        shown = human.until("Passphrase: ")

    assert "Type the amount" not in shown
    assert enrolled is None


def run(home: Path, *arguments: str, typed: str = "") -> Done:
    """Run a verb without a terminal."""
    return run_here(*arguments, env={"HEYTRADERS_HOME": str(home)}, typed=typed)


@pytest.mark.usefixtures("enrolled")
def test_without_a_terminal_nothing_is_approved(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked()
    done = run(home, "approve", intent.intent_id, typed=f"yes\n{PASSPHRASE}\n")
    found = ledger.intent(intent.intent_id)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "terminal" in done.stderr
    assert found is not None
    assert found.state == "PENDING"


def test_what_does_not_wait_is_said_with_its_state(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked()
    ledger.decline(intent.intent_id, "no", by_human=True)

    assert "is DECLINED and does not wait for approval" in run(home, "approve", intent.intent_id).stderr
    assert "'nonsense' is not known" in run(home, "approve", "nonsense").stderr
    assert run(home, "approve", "--list").stdout == "Nothing waits for approval.\n"


def test_where_nothing_ever_happened_nothing_is_made(tmp_path: Path) -> None:
    done = run(tmp_path / "new", "approve")

    assert (done.returncode, done.stdout) == (0, "Nothing waits for approval.\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("enrolled")
def test_an_approvers_file_that_was_put_in_place_of_the_humans_approves_nothing(
    home: Path, ledger: Ledger, asked: Asked
) -> None:
    intent = asked()
    (home / "approver.json").unlink()
    enrol(home, "an agent's own passphrase", cost=2**4)
    with terminal(home, "approve") as human:
        human.until("Approve it")
        human.type("yes")
        human.until("Passphrase: ")
        human.type("an agent's own passphrase")
        code, told = human.end()
    found = ledger.intent(intent.intent_id)

    assert code == 1
    assert "not the one that this ledger knows" in told
    assert found is not None
    assert found.state == "PENDING"


@pytest.mark.usefixtures("enrolled")
def test_a_lost_approvers_file_is_not_created_again(home: Path, asked: Asked) -> None:
    asked()
    (home / "approver.json").unlink()
    with terminal(home, "approve") as human:
        human.until("Approve it")
        human.type("yes")
        code, told = human.end()

    assert code == 1
    assert "backup" in told
    assert not (home / "approver.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("enrolled")
def test_where_no_server_runs_the_human_is_told_that_nothing_was_sent(home: Path, ledger: Ledger, asked: Asked) -> None:
    intent = asked()
    with terminal(home, "approve") as human:
        say_yes(human)
        human.until("Waiting for the server")
        time.sleep(WAIT_SECONDS - PATIENCE + 20)
        code, told = human.end()
    found = ledger.intent(intent.intent_id)

    assert code == 1
    assert "EXPIRED: no running server picked it up in time, and nothing was sent" in told
    assert found is not None
    assert found.state == "EXPIRED"
