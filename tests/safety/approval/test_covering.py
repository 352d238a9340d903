"""A human's approval covers one intent with exactly these terms, and nothing that the policy denies."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.human.in_force import BY_ELICITATION, covers, elicitation_limit, order_words, policy_words, release_words
from safety.human.signing import SigningKey
from safety.policy.evaluation import LIVE
from safety.policy.limits import Limits
from safety.terms.facts import Outcome
from safety.terms.intent import Intent
from safety.terms.proposal import Action, DeploymentTerms, OrderTerms, Proposal, PublicationTerms
from tests.safety.approval.conftest import ORDER, decided, intended, proposed

REQUIRE = decided(Outcome.REQUIRE)
GRANTED = LIVE.model_copy(update={"elicitation_up_to": Decimal(20)})


def signed(key: SigningKey, proposal: Proposal | None = None) -> Intent:
    """An intent with the human's signature."""
    intent = intended(proposal or proposed())
    return replace(intent, signature=key.sign(order_words(intent)), key_id=key.key_id)


def elicited(notional: Decimal | None = Decimal(20), action: Action = ORDER) -> Intent:
    """An intent confirmed in the client's dialog."""
    return intended(proposed(action, notional_usd=notional), key_id=BY_ELICITATION, signature="")


def test_a_signature_covers_its_intent(key: SigningKey) -> None:
    assert covers(signed(key), REQUIRE, key.approver, LIVE)


def test_nothing_covers_what_the_policy_denies(key: SigningKey) -> None:
    denied = decided(Outcome.DENY, Decimal(1))

    assert not covers(signed(key), denied, key.approver, LIVE)
    assert not covers(elicited(Decimal(1)), denied, key.approver, GRANTED)
    assert not covers(intended(proposed()), denied, key.approver, Limits())


def test_without_a_word_only_what_passes_is_covered(key: SigningKey) -> None:
    assert covers(intended(proposed()), decided(Outcome.PASS), key.approver, LIVE)
    assert covers(intended(proposed()), decided(Outcome.PASS), None, LIVE)
    assert not covers(intended(proposed()), REQUIRE, key.approver, LIVE)


ANOTHER: dict[str, Any] = {
    "account_id": "a2",
    "exchange": "gate",
    "market_type": "perpetual",
    "symbol": "BTC/USDC",
    "side": "sell",
    "order_type": "GTC",
    "amount": Decimal("0.00050001"),
    "price": Decimal("60000.1"),
    "leverage": 2,
    "label": "x",
    "stop_loss": Decimal("50000.1"),
    "take_profit": Decimal("70000.1"),
    "reduce_only": True,
}


@pytest.mark.parametrize("field", [name for name in OrderTerms.model_fields if name != "kind"])
def test_a_signature_covers_no_order_with_another_term(key: SigningKey, field: str) -> None:
    intent = signed(key)
    other = proposed(ORDER.model_copy(update={field: ANOTHER[field]}))

    assert not covers(replace(intent, proposal=other), REQUIRE, key.approver, LIVE)
    assert not covers(replace(intent, proposal=other, digest=other.digest), REQUIRE, key.approver, LIVE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("money", "paper"),
        ("service", "https://elsewhere.example"),
        ("policy_hash", "cd" * 32),
        ("quote", Decimal(60_013)),
        ("notional_usd", Decimal(30)),
        ("created", 1_001.0),
        ("expires", 1_300.5),
        ("nonce", "11" * 16),
    ],
)
def test_nor_one_in_other_circumstances(key: SigningKey, field: str, value: Any) -> None:
    other = proposed(ORDER, **{field: value})

    assert not covers(replace(signed(key), proposal=other, digest=other.digest), REQUIRE, key.approver, LIVE)


def test_a_signature_is_no_good_for_another_intent_with_the_same_terms(key: SigningKey) -> None:
    other = replace(signed(key), intent_id="01ARZ3NDEKTSV4RRFFQ69G5FAW")

    assert not covers(other, REQUIRE, key.approver, LIVE)


def test_a_row_whose_digest_was_changed_is_not_covered(key: SigningKey) -> None:
    tampered = replace(signed(key), digest="00" * 32)

    assert not covers(tampered, REQUIRE, key.approver, LIVE)
    assert not covers(tampered, decided(Outcome.PASS), key.approver, LIVE)


def test_what_is_signed_are_the_terms_that_are_shown_not_a_digest_beside_them(key: SigningKey) -> None:
    other = proposed(ORDER.model_copy(update={"amount": Decimal(5)}))
    shown = intended(proposed(), digest=other.digest)
    signature = key.sign(order_words(shown))
    swapped = replace(shown, proposal=other, signature=signature, key_id=key.key_id)

    assert not covers(swapped, REQUIRE, key.approver, LIVE)


def test_only_the_trusted_key_counts(key: SigningKey) -> None:
    intent = signed(key)

    assert not covers(intent, REQUIRE, None, LIVE)
    assert not covers(replace(intent, key_id="0" * 16), REQUIRE, key.approver, LIVE)
    assert not covers(replace(intent, key_id=BY_ELICITATION), REQUIRE, key.approver, GRANTED)


def test_a_wrong_signature_covers_nothing_even_where_none_is_needed(key: SigningKey) -> None:
    forged = replace(signed(key), signature="00" * 64)

    assert not covers(forged, decided(Outcome.PASS), key.approver, LIVE)


@given(st.text(max_size=200))
def test_no_text_is_a_signature(text: str) -> None:
    from safety.human.in_force import Approver

    someone = Approver("ab" * 32)
    intent = intended(proposed(), signature=text or "0", key_id=someone.key_id)

    assert not covers(intent, REQUIRE, someone, GRANTED)


def test_an_approval_after_the_expiry_covers_nothing(key: SigningKey) -> None:
    assert covers(replace(signed(key), approved_at=1_300.0), REQUIRE, key.approver, LIVE)
    assert not covers(replace(signed(key), approved_at=1_300.1), REQUIRE, key.approver, LIVE)


def test_signatures_for_one_purpose_are_worth_nothing_for_another(key: SigningKey) -> None:
    intent = intended(proposed())
    texts = [
        order_words(intent),
        release_words("HALTED", 1_000.0, intent.digest),
        policy_words(1, order_words(intent)),
    ]

    for words in texts[1:]:
        forged = replace(intent, signature=key.sign(words), key_id=key.key_id)
        assert not covers(forged, REQUIRE, key.approver, LIVE)
    assert len(set(texts)) == 3


@pytest.mark.parametrize(
    ("granted", "asked", "now", "covered"),
    [
        (0, 0, 0, True),
        (0, "0.01", "0.01", False),
        (20, 20, 20, True),
        (20, "20.00000001", 20, False),
        (20, 20, "20.00000001", False),
        (25, 25, 25, True),
        (1000, 25, 25, True),
        (1000, "25.01", 25, False),
        (20, None, 20, False),
        (20, 20, None, False),
    ],
)
def test_a_dialogs_yes_covers_orders_up_to_what_was_granted(
    granted: int, asked: object, now: object, covered: bool
) -> None:
    limits = LIVE.model_copy(update={"elicitation_up_to": Decimal(granted)})
    intent = elicited(None if asked is None else Decimal(str(asked)))
    decision = decided(Outcome.REQUIRE, None if now is None else Decimal(str(now)))

    assert covers(intent, decision, None, limits) is covered


def test_unsigned_defaults_grant_a_dialog_nothing() -> None:
    assert elicitation_limit(LIVE) == 0


@pytest.mark.parametrize(
    "action",
    [
        DeploymentTerms(action="subscribe", strategy_id="s1", account_id="a1"),
        PublicationTerms(action="post", body="{}"),
    ],
)
def test_a_dialogs_yes_never_covers_what_is_no_order(action: Action) -> None:
    assert not covers(elicited(Decimal(0), action), decided(Outcome.REQUIRE, Decimal(0)), None, GRANTED)
