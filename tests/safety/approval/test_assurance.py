"""How certain it is that a human approved, and how answers say so."""

from __future__ import annotations

from decimal import Decimal

from safety.human.in_force import Approver, Loaded, assurance_of
from safety.policy.evaluation import Policy

APPROVER = Approver("ab" * 32)
BUILT_IN = Loaded(Policy(), "built in", signed=False, version=0)
SEPARATE = Loaded(Policy(separate_user=True), "signed", signed=True, version=1)


def test_without_a_passphrase_there_is_none() -> None:
    found = assurance_of(BUILT_IN, None, can_elicit=True)

    assert found.level == "none"
    assert "policy sign" in str(found)


def test_a_dialog_counts_only_where_the_policy_grants_it_something() -> None:
    granting = Policy(paper=Policy().paper.model_copy(update={"elicitation_up_to": Decimal(5)}))
    loaded = Loaded(granting, "built in", signed=False, version=0)

    assert assurance_of(loaded, None, can_elicit=True).level == "elicitation"
    assert assurance_of(loaded, None, can_elicit=False).level == "none"


def test_a_passphrase_says_what_it_does_not_stop() -> None:
    found = assurance_of(BUILT_IN, APPROVER)

    assert found.level == "passphrase"
    assert "shell" in found.reason
    assert "separate_user" in found.raised_by


def test_a_key_in_the_environment_lowers_it() -> None:
    found = assurance_of(BUILT_IN, APPROVER, key_in_environment=True)

    assert found.level == "elicitation"
    assert "login" in found.raised_by
    assert "an order of real money is at most 25 USD, and a day at most 50 USD" in found.reason


def test_only_a_signers_word_makes_it_separate() -> None:
    unsigned = Loaded(Policy(separate_user=True), "draft", signed=False, version=0)

    assert assurance_of(SEPARATE, APPROVER).level == "separate"
    assert assurance_of(SEPARATE, APPROVER, key_in_environment=True).level == "separate"
    assert assurance_of(unsigned, APPROVER).level == "passphrase"
    assert assurance_of(SEPARATE, None).level == "none"


def test_a_server_that_a_client_started_is_not_separate_whatever_was_signed() -> None:
    found = assurance_of(SEPARATE, APPROVER, started_by_client=True)

    assert found.level == "passphrase"
    assert "under its own user" in found.reason
    assert "--transport streamable-http" in found.raised_by
