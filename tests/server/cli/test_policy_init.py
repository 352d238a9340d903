"""`policy init` writes the few lines that a first order needs; `--ask-again` ends the pause after questions."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from api.errors import InvalidInput
from safety.human.in_force import parse_policy, question_words
from safety.human.signing import enrol
from safety.ledger import Ledger
from safety.terms.facts import Outcome
from server.cli.policy import first_policy
from tests.safety.ledger.books import CALLER, Clock, order, proposal, says


def test_a_first_policy_lets_the_named_accounts_trade_the_named_symbols_and_nothing_else() -> None:
    live = parse_policy(first_policy(("acc-1",), ("BTC/USDT=0.001", "ETH/USDT:USDT=0.1"))).live

    assert live.trading
    assert live.accounts == {"acc-1"}
    assert live.symbols == {"BTC/USDT", "ETH/USDT:USDT"}
    assert live.market_types == {"spot", "perpetual"}
    assert live.max_amount == {"BTC/USDT": Decimal("0.001"), "ETH/USDT:USDT": Decimal("0.1")}
    assert live.max_notional == 50


def test_a_symbol_without_a_largest_amount_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(InvalidInput, match="does not say the most") as refused:
        first_policy(("acc-1",), ("BTC/USDT",))

    assert "BTC/USDT=0.001" in refused.value.suggestion


def test_a_human_who_allows_questions_again_ends_the_pause(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        ledger.pin_approver(key.approver.public_key)
        for number in (1, 2):
            offered = proposal(clock.now, order(str(number)))
            waiting = ledger.admit(offered, CALLER, says(Outcome.REQUIRE), repeat_seconds=0).intent
            assert waiting is not None
            ledger.decline(waiting.intent_id, "no", by_human=True)
        before = ledger.usage("real", order())
        words = question_words(ledger.head()[1])
        clock.forward(1)
        ledger.allow_questions(signature=key.sign(words))
        after = ledger.usage("real", order())

    assert (len(before.declined_ages), before.prompts_last_hour) == (2, 2)
    assert (after.declined_ages, after.prompts_last_hour) == ((), 0)
