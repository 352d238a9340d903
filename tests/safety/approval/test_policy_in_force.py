"""The policy in force: the human's signature sets the maximum, and the file can only tighten it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.human.in_force import POLICY_FILE, UNSIGNED_CHANGE, Loaded, draft, load, objection, sign
from safety.human.signing import APPROVER_FILE, SigningKey, enrol
from safety.ledger import Ledger
from safety.ledger.switch import SignedPolicy
from safety.policy.evaluation import CEILINGS, LIVE, Policy
from safety.policy.limits import Limits
from safety.policy.text import parse_policy, write_policy
from tests.safety.approval.conftest import CHEAP, PASSPHRASE
from tests.safety.policy.scenarios import at_least_as_tight

TRADING = """
[live]
trading = true
accounts = ["a1"]
symbols = ["BTC/USDT"]
max_notional = 100
[live.max_amount]
"BTC/USDT" = 0.01
"""


@pytest.fixture
def signed(home: Path, ledger: Ledger, key: SigningKey) -> Policy:
    """A signed policy that allows orders of 100 USD, and its file."""
    ledger.pin_approver(key.approver.public_key)
    (home / POLICY_FILE).write_text(TRADING)
    policy = parse_policy(TRADING)
    ledger.store_policy(sign(policy, 0, key, 1_000.0))
    return policy


def edited(home: Path, ledger: Ledger, text: str) -> Loaded:
    """The policy in force after an edit."""
    (home / POLICY_FILE).write_text(text)
    return load(home, ledger)


def test_before_anything_is_signed_nothing_real_trades(home: Path, ledger: Ledger) -> None:
    loaded = load(home, ledger)

    assert loaded.policy == Policy()
    assert (loaded.signed, loaded.version, loaded.warnings) == (False, 0, ())
    assert loaded.policy.live.trading is False


def test_a_file_alone_allows_nothing_more(home: Path, ledger: Ledger) -> None:
    loaded = edited(home, ledger, TRADING)

    assert loaded.policy.live.trading is False
    assert loaded.policy.live.max_notional == 50
    assert loaded.warnings == (UNSIGNED_CHANGE,)


def test_a_file_alone_can_limit_paper(home: Path, ledger: Ledger) -> None:
    loaded = edited(home, ledger, "[paper]\nmax_notional = 10")

    assert loaded.policy.limits("paper").max_notional == 10
    assert loaded.warnings == ()
    assert "tightened by policy.toml" in loaded.origin


def test_what_was_signed_is_in_force(home: Path, ledger: Ledger, signed: Policy) -> None:
    loaded = load(home, ledger)

    assert loaded.policy == signed
    assert (loaded.signed, loaded.version, loaded.warnings) == (True, 1, ())
    assert loaded.origin.startswith("version 1, signed with key ")


@pytest.mark.usefixtures("signed")
def test_an_unsigned_edit_takes_away_at_once_and_gives_nothing(home: Path, ledger: Ledger) -> None:
    tighter = edited(home, ledger, TRADING.replace("100", "60"))
    looser = edited(home, ledger, TRADING.replace("100", "600"))
    both = edited(home, ledger, TRADING.replace("100", "600") + "[paper]\ndaily_count = 7")

    assert tighter.policy.limits("real").max_notional == 60
    assert tighter.warnings == ()
    assert looser.policy.limits("real").max_notional == 100
    assert looser.warnings == (UNSIGNED_CHANGE,)
    assert both.policy.limits("real").max_notional == 100
    assert both.policy.limits("paper").daily_count == 7
    assert both.signed


@pytest.mark.parametrize("text", ["[live", "x = 1", "[live]\nmax_notional = -3", "\x00"])
@pytest.mark.usefixtures("signed")
def test_a_broken_file_switches_live_off_and_says_why(home: Path, ledger: Ledger, text: str) -> None:
    loaded = edited(home, ledger, text)

    assert loaded.policy.live.trading is False
    assert "policy.toml is not valid" in loaded.warnings[0]


@pytest.mark.usefixtures("signed")
def test_a_file_that_is_gone_or_no_text_switches_live_off(home: Path, ledger: Ledger) -> None:
    (home / POLICY_FILE).write_bytes(b"\xff\xfe")
    no_text = load(home, ledger)
    (home / POLICY_FILE).unlink()
    gone = load(home, ledger)
    (home / POLICY_FILE).mkdir()
    folder = load(home, ledger)

    assert not no_text.policy.live.trading
    assert not gone.policy.live.trading
    assert not folder.policy.live.trading
    assert "is missing" in gone.warnings[0]


@pytest.mark.usefixtures("signed")
def test_another_approvers_file_switches_live_off(home: Path, ledger: Ledger) -> None:
    (home / APPROVER_FILE).unlink()
    still = load(home, ledger)
    enrol(home, "an agent's own passphrase", cost=CHEAP)
    swapped = load(home, ledger)

    assert still.policy.live.trading
    assert not swapped.policy.live.trading
    assert not swapped.signed
    assert "approver" in swapped.warnings[0]


def test_a_policy_with_a_forged_signature_does_not_count(
    home: Path, ledger: Ledger, signed: Policy, tmp_path: Path
) -> None:
    stranger = enrol(tmp_path / "stranger", PASSPHRASE, cost=CHEAP)
    ledger.store_policy(sign(signed, 1, stranger, 2_000.0))
    loaded = load(home, ledger)

    assert not loaded.policy.live.trading
    assert "does not verify" in loaded.warnings[0]


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"toml": TRADING.replace("100", "101")}, {"signature": "00" * 64}, {"key_id": "0" * 16}],
)
def test_a_signed_policy_counts_only_as_it_was_signed(key: SigningKey, change: dict[str, str]) -> None:
    whole: SignedPolicy = sign(parse_policy(TRADING), 0, key, 1.0)

    assert objection(whole, key.approver) == ""
    assert "does not verify" in objection(replace(whole, **change), key.approver)  # pyright: ignore[reportArgumentType]


def test_a_signed_text_that_this_version_cannot_read_does_not_count(key: SigningKey) -> None:
    from safety.human.in_force import policy_words

    toml = "[live]\nlimit_of_a_later_version = 3"
    later = SignedPolicy(1, toml, "", key.sign(policy_words(1, toml)), key.key_id, 1.0)

    assert "cannot be read" in objection(later, key.approver)


def test_a_signature_does_not_reach_above_the_ceilings(home: Path, ledger: Ledger, key: SigningKey) -> None:
    ledger.pin_approver(key.approver.public_key)
    greedy = Policy(live=Limits(max_notional=Decimal(10**6)))
    (home / POLICY_FILE).write_text(write_policy(greedy))
    ledger.store_policy(sign(greedy, 0, key, 1.0))
    loaded = load(home, ledger)

    assert loaded.policy.limits("real").max_notional == CEILINGS.max_notional == 1_000
    assert loaded.policy.limits("real").ask_a_human
    assert at_least_as_tight(loaded.policy.limits("real"), CEILINGS)


def test_what_is_signed_is_the_whole_policy_with_todays_defaults(key: SigningKey) -> None:
    stored = sign(parse_policy(TRADING), 4, key, 1.0)

    assert stored.version == 5
    assert "daily_notional = 200" in stored.toml
    assert parse_policy(stored.toml).hash == stored.hash


def test_without_a_file_there_is_no_draft(home: Path) -> None:
    assert draft(home) is None


@given(
    first=st.integers(0, 300),
    second=st.integers(0, 300),
    symbols=st.frozensets(st.sampled_from(["BTC/USDT", "ETH/USDT", "SOL/USDT"])),
)
def test_combining_never_allows_more_than_the_signature(first: int, second: int, symbols: frozenset[str]) -> None:
    from safety.policy.limits import meet

    base = Policy(live=LIVE.model_copy(update={"max_notional": Decimal(first), "symbols": frozenset({"BTC/USDT"})}))
    asked = Policy(live=LIVE.model_copy(update={"max_notional": Decimal(second), "symbols": symbols}))
    assert base.hash
    assert base.limits("real")
    found = meet(base, asked)

    assert at_least_as_tight(found, base)
    assert found.limits("real").max_notional == min(first, second)
    assert found.hash == Policy.model_validate(found.model_dump()).hash


LOOSEST: Final[dict[str, Any]] = {
    **dict(Limits()),
    "automatic_up_to": Decimal(1_000),
    "elicitation_up_to": Decimal(1_000),
    "cooldown_seconds": 0,
}
"""The loosest value of each limit."""


@pytest.fixture
def strict(ledger: Ledger, key: SigningKey) -> Policy:
    """A signed policy in which every limit applies."""
    some = {"exchanges": {"binance"}, "symbols": {"BTC/USDT"}, "forbidden_symbols": {"ETH/USDT"}}
    limits = Limits.model_validate({**dict(LIVE), **some, "max_amount": {"BTC/USDT": Decimal(1)}})
    policy = Policy(live=limits, paper=limits)
    ledger.pin_approver(key.approver.public_key)
    ledger.store_policy(sign(policy, 0, key, 1_000.0))
    return policy


@pytest.mark.parametrize("table", ["live", "paper"])
@pytest.mark.parametrize("name", Limits.model_fields)
def test_no_limit_is_loosened_by_an_unsigned_edit(
    home: Path, ledger: Ledger, strict: Policy, table: str, name: str
) -> None:
    looser = getattr(strict, table).model_copy(update={name: LOOSEST[name]})
    loaded = edited(home, ledger, write_policy(strict.model_copy(update={table: looser})))

    assert looser != getattr(strict, table)
    assert loaded.policy == strict
    assert loaded.warnings == (UNSIGNED_CHANGE,)


def test_no_ceiling_is_passed_by_a_signature_for_everything() -> None:
    assert Policy(live=Limits.model_validate(LOOSEST)).limits("real") == CEILINGS
