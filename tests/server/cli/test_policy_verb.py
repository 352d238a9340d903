"""`heytraders-mcp policy`, `release` and `halt` from a shell: only signed limits count, and only a human signs."""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from safety.human.in_force import POLICY_FILE, load
from safety.human.signing import enrol, unlock
from safety.ledger import Ledger
from tests.server.cli.shell import Done, run_here
from tests.server.cli.terminal import Terminal, cold_terminal, terminal

PASSPHRASE = "correct horse battery"
TRADING = '[live]\ntrading = true\nmax_notional = 100\nsymbols = ["BTC/USDT"]\ndaily_count = 3\n'
ORDER = ("account_id=a1", "exchange=binance", "symbol=btc-usdt", "side=buy", "order_type=limit", "amount=0.0005")

Run = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def run(home: Path) -> Run:
    """Run a verb without a terminal."""

    def verb(*arguments: str, **settings: str) -> Done:
        return run_here(*arguments, env={"HEYTRADERS_HOME": str(home), **settings})

    return verb


def signing(human: Terminal) -> str:
    """Accept the changes and choose a passphrase; returns the output before that."""
    shown = human.until("Sign them")
    human.type("y")
    human.until("New passphrase, 12 characters or more: ")
    human.type(PASSPHRASE)
    human.until("epeat for confirmation: ")
    human.type(PASSPHRASE)
    return shown


def test_a_first_signature_says_what_changes_and_chooses_a_passphrase(home: Path, run: Run) -> None:
    (home / POLICY_FILE).write_text(TRADING)
    with cold_terminal(home, "policy", "sign") as human:
        shown = signing(human)
        code, told = human.end()
    with closing(Ledger.open(home)) as ledger:
        loaded = load(home, ledger)

    assert code == 0, human.seen
    assert "ALLOWS MORE  live.trading: no -> yes" in shown
    assert "ALLOWS MORE  live.max_notional: 50 -> 100  (R08: USD of one order.)" in shown
    assert "tightens     live.daily_count: 20 -> 3" in shown
    assert "3 of 4 changes allow more" in shown
    assert "Signed. In force now: version 1" in told
    assert "assurance passphrase" in told
    assert PASSPHRASE not in human.seen
    assert loaded.signed
    assert loaded.policy.limits("real").max_notional == 100
    assert loaded.warnings == ()
    assert stat.S_IMODE((home / "approver.json").stat().st_mode) == 0o600
    assert run("policy", "show").stdout.startswith("version 1, signed with key ")


def test_passphrases_that_are_short_or_differ_are_asked_for_again(home: Path) -> None:
    (home / POLICY_FILE).write_text(TRADING)
    with terminal(home, "policy", "sign") as human:
        human.until("Sign them")
        human.type("y")
        for first, second, said in (("short", "short", "12 characters"), (PASSPHRASE, "another", "do not match")):
            human.until("12 characters or more: ")
            human.type(first)
            human.until("epeat for confirmation: ")
            human.type(second)
            human.until(said)
        human.until("12 characters or more: ")
        human.type(PASSPHRASE)
        human.until("epeat for confirmation: ")
        human.type(PASSPHRASE)
        code, _ = human.end()

    assert code == 0
    assert unlock(home, PASSPHRASE)


def test_a_second_signature_asks_for_the_same_passphrase_and_says_what_is_too_much(home: Path, run: Run) -> None:
    with closing(Ledger.open(home)) as ledger:
        ledger.pin_approver(enrol(home, PASSPHRASE, cost=2**4).approver.public_key)
    (home / POLICY_FILE).write_text(TRADING)
    for text in (TRADING, TRADING.replace("100", "90000")):
        (home / POLICY_FILE).write_text(text)
        with terminal(home, "policy", "sign") as human:
            shown = human.until("Sign them")
            human.type("y")
            human.until("Passphrase: ")
            human.type(PASSPHRASE)
            code, told = human.end()
        assert code == 0
    again = run("policy", "sign")

    assert "1 of 1 changes allow more" in shown
    assert "CEILING      live.max_notional: 90000 is too much; 1000 will count" in shown
    assert "version 2" in told
    assert again.stdout == "policy.toml equals the signed version 2. There is nothing to sign.\n"


def test_writing_the_policy_over_its_own_file_keeps_what_was_signed(home: Path, run: Run) -> None:
    (home / POLICY_FILE).write_text(TRADING)
    with terminal(home, "policy", "sign") as human:
        signing(human)
        assert human.end()[0] == 0
    (home / POLICY_FILE).write_text("")  # as a shell does for `>`, before it starts the command
    (home / POLICY_FILE).write_text(run("policy", "show", "--toml").stdout)
    with closing(Ledger.open(home)) as ledger:
        loaded = load(home, ledger)

    assert loaded.policy.live.trading
    assert loaded.policy.live.max_notional == 100
    assert loaded.origin.startswith("version 1, signed with key ")
    assert loaded.warnings == ()


def test_refusing_to_sign_changes_nothing(home: Path) -> None:
    (home / POLICY_FILE).write_text(TRADING)
    with terminal(home, "policy", "sign") as human:
        human.until("Sign them")
        human.type("n")
        code, _ = human.end()

    assert code == 130
    assert not (home / "approver.json").exists()


def test_nobody_signs_without_a_terminal_or_a_policy(home: Path, run: Run) -> None:
    without_policy = run("policy", "sign")
    (home / POLICY_FILE).write_text("[live]\nmax_notional = -1")
    broken = run("policy", "sign")

    assert "heytraders-mcp policy init --account" in without_policy.stderr
    assert "live.max_notional = -1" in broken.stderr
    for done in (without_policy, broken):
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


def test_another_passphrase_is_chosen_with_the_old_one(home: Path) -> None:
    enrol(home, PASSPHRASE, cost=2**4)
    with terminal(home, "policy", "passphrase") as human:
        human.until("Current passphrase: ")
        human.type(PASSPHRASE)
        human.until("New passphrase: ")
        human.type("quite another passphrase")
        human.until("epeat for confirmation: ")
        human.type("quite another passphrase")
        code, _ = human.end()

    assert code == 0
    assert unlock(home, "quite another passphrase")


def test_the_policy_is_shown_explained_and_written_out(home: Path, run: Run) -> None:
    (home / POLICY_FILE).write_text(TRADING)
    shown, explained, written = run("policy", "show"), run("policy", "explain"), run("policy", "show", "--toml")

    assert "WARNING policy.toml allows more than the signed policy" in shown.stdout
    assert "assurance none" in shown.stdout
    assert "max_notional         50" in shown.stdout
    assert "R13_DAILY_COUNT      at most 3 orders" in explained.stdout
    assert "\ndaily_count = 3\n" in written.stdout
    assert "\ntrading = false\n" in written.stdout


def test_an_order_is_tried_before_its_policy_is_signed(home: Path, run: Run) -> None:
    (home / POLICY_FILE).write_text(TRADING + 'accounts = ["a1"]\n[live.max_amount]\n"BTC/USDT" = 0.01\n')
    now = run("policy", "simulate", *ORDER, "price=60000")
    later = run("policy", "simulate", *ORDER, "price=60000", "--draft")
    large = run("policy", "simulate", *ORDER[:-1], "amount=0.005", "price=60000", "--draft")
    paper = run("policy", "simulate", *ORDER[:-2], "order_type=market", "amount=1", "--paper")

    assert now.stdout.startswith("DENY, worth 30 USD at worst\n  DENY    R01_MODE")
    assert later.stdout.startswith("REQUIRE: a human has to approve it, worth 30 USD at worst\n")
    assert "R08_MAX_NOTIONAL" in large.stdout
    assert "This would not be denied: orders_place(" in large.stdout
    assert paper.stdout.startswith("PASS: it is sent at once\n")
    assert all("Assumed: market price" in done.stdout for done in (now, later, large, paper))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("price",), "KEY=VALUE"),
        ((*ORDER, "price=60000", "--quote", "-3"), "--quote"),
        ((*ORDER, "price=NaN", "confirm=true"), "confirm"),
        ((*ORDER, "price=60000", "--draft"), "policy.toml"),
    ],
)
def test_a_wrong_simulation_is_one_line_with_what_to_do(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run("policy", "simulate", *arguments)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_anybody_halts_and_only_the_passphrase_releases(home: Path, run: Run) -> None:
    with closing(Ledger.open(home)) as ledger:
        ledger.pin_approver(enrol(home, PASSPHRASE, cost=2**4).approver.public_key)
        halted = run("halt", "the", "market", "is", "mad")
        ledger.record("alarm", subject="an intent", reason="two orders under one label")
        refused = run("release")
        still = ledger.switch().state
        with cold_terminal(home, "release") as human:
            shown = human.until("Passphrase: ")
            human.type(PASSPHRASE)
            code, told = human.end()
        released = ledger.switch().state

    assert halted.returncode == 0, halted.stderr
    assert "Halted" in halted.stdout
    assert (refused.returncode, still) == (1, "HALTED")
    assert "the market is mad" in shown
    assert "and also: two orders under one label" in shown
    assert (code, released) == (0, "ACTIVE")
    assert "Released" in told
    assert not (home / "HALT").exists()
    assert run("release").stdout == "Nothing is halted.\n"


def test_a_touched_file_halts_and_a_first_release_chooses_a_passphrase(home: Path) -> None:
    (home / "HALT").touch()
    with terminal(home, "release") as human:
        human.until("12 characters or more: ")
        human.type(PASSPHRASE)
        human.until("epeat for confirmation: ")
        human.type(PASSPHRASE)
        code, _ = human.end()

    assert code == 0
    assert not (home / "HALT").exists()


def test_a_halt_says_what_it_could_not_stop(home: Path, run: Run) -> None:
    done = run("halt", HEYTRADERS_BASE_URL="http://127.0.0.1:9/api/v1")

    assert done.returncode == 1
    assert "FAILED     open orders could not be listed" in done.stdout
    assert (home / "HALT").exists()


@pytest.mark.parametrize("settings", [{"HEYTRADERS_SEED": "odd"}, {}])
def test_a_setting_or_a_key_file_that_is_refused_does_not_keep_anybody_from_halting(
    home: Path, run: Run, settings: dict[str, str]
) -> None:
    (home / "login.json").write_text("{}")
    (home / "login.json").chmod(0o644)
    done = run("halt", **settings)
    with closing(Ledger.open(home)) as ledger:
        switch = ledger.switch()

    assert switch.state == "HALTED"
    assert done.returncode == 1
    assert "Halted: nothing more is sent" in done.stdout
    unread = f"BAD_FILE: {home / 'login.json'} can be read by others. Run: chmod 600 {home / 'login.json'}."
    assert f"nothing could be cancelled or paused: {unread}" in done.stderr
    assert "by hand, at the service itself" in done.stderr


def test_a_broken_ledger_does_not_keep_anybody_from_halting(home: Path, run: Run) -> None:
    (home / "safety.db").write_bytes(b"this is no database" * 100)
    (home / "safety.db").chmod(0o600)
    done = run("halt")

    assert done.returncode == 1
    assert "halted with the file HALT only" in done.stderr
    assert "Traceback" not in done.stderr
    assert (home / "HALT").exists()
