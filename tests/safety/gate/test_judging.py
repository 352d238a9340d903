"""The final check before sending: an admitted, perhaps signed, intent is judged again by the current facts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from safety.gate.judging import Assessment
from safety.human.in_force import BY_ELICITATION, AssuranceLevel, Loaded
from safety.policy.evaluation import PAPER, Policy
from safety.policy.limits import Limits
from safety.terms.facts import AccountFacts, Facts, Outcome, PolicyDecision, Quote, RuleResult, Usage
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import PAPER as PAPER_CHANNEL
from safety.terms.proposal import OrderTerms, Proposal

MARKET: Final = OrderTerms(
    account_id="a1", exchange="binance", market_type="spot", symbol="BTC/USDT", side="buy", order_type="market",
    amount=Decimal("0.001"),
)  # fmt: skip
LIMIT: Final = MARKET.model_copy(update={"order_type": "limit", "price": Decimal(50_000)})
ASKING: Final = Limits(ask_a_human=True, elicitation_up_to=Decimal(25))


def looked(
    action: OrderTerms = MARKET, *, limits: Limits = PAPER, price: str | None = "50000", **facts: Any
) -> Assessment:
    """Current facts, under these limits for simulated money."""
    quote = None if price is None else Quote(Decimal(price), 0.0)
    seen = Facts(now=1_000.0, money="paper", quote=quote, usd_rate=Decimal(1), **facts)
    loaded = Loaded(Policy(paper=limits), "a test", signed=False, version=0)
    return Assessment(action, PAPER_CHANNEL, loaded, seen, None, AssuranceLevel("none", ""))


def admitted(action: OrderTerms = MARKET, *, automatic: bool = True, **fields: Any) -> Intent:
    """An intent that was judged at 50,000."""
    proposal = Proposal(
        action=action, money="paper", service="embedded", policy_hash="", quote=Decimal(50_000),
        notional_usd=Decimal(50), created=900.0, expires=1_200.0,
    )  # fmt: skip
    plain = Intent(
        "01ARZ3NDEKTSV4RRFFQ69G5FAV", "APPROVED", proposal, proposal.digest, Caller("test"), automatic, "", 900.0, 900.0
    )
    return replace(plain, **fields)


def test_what_still_passes_goes() -> None:
    assert looked().verdict(admitted(), Usage(), "ACTIVE").to == "SENT"


@pytest.mark.parametrize("state", ["HALTED", "REDUCING"])
def test_a_switch_that_was_pulled_in_between_stops_it(state: Any) -> None:
    verdict = looked(account=AccountFacts(0.0)).verdict(admitted(), Usage(), state)

    assert verdict.to == "HALTED"
    assert verdict.reason.startswith("R20_SWITCH: ")


def test_a_limit_that_others_used_up_in_between_stops_it() -> None:
    verdict = looked(limits=Limits(daily_notional=Decimal(100))).verdict(
        admitted(), Usage(notional_24h=Decimal(80)), "ACTIVE"
    )

    assert verdict.to == "DECLINED"
    assert verdict.reason.startswith("R12_DAILY_NOTIONAL: ")


@pytest.mark.parametrize(("waited", "to"), [(10.0, "SENT"), (10.1, "DECLINED")])
def test_what_was_seen_grows_old_until_it_is_sent(waited: float, to: str) -> None:
    for limits in (Limits(quote_age=10), Limits(snapshot_age=10)):
        ground = looked(limits=limits, account=AccountFacts(0.0))

        assert ground.verdict(admitted(), Usage(at=1_000.0 + waited), "ACTIVE").to == to


@pytest.mark.parametrize(
    ("price", "to"),
    [
        ("50000", "SENT"),
        ("50250", "SENT"),
        ("49750", "SENT"),
        ("50250.01", "EXPIRED_DRIFT"),
        ("49749.99", "EXPIRED_DRIFT"),
    ],
)
def test_a_market_order_goes_only_near_the_price_that_the_human_saw(price: str, to: str) -> None:
    signed = admitted(automatic=False)

    assert looked(price=price).verdict(signed, Usage(), "ACTIVE").to == to


def test_a_market_order_without_a_price_now_is_not_sent_on_a_humans_word() -> None:
    assert looked(price=None).verdict(admitted(automatic=False), Usage(), "ACTIVE").to == "EXPIRED_DRIFT"


def test_a_limit_order_has_its_own_price() -> None:
    assert looked(LIMIT, price="60000").verdict(admitted(LIMIT, automatic=False), Usage(), "ACTIVE").to == "SENT"


def test_what_needs_a_human_now_is_not_sent_without_one_however_it_was_admitted() -> None:
    verdict = looked(limits=ASKING).verdict(admitted(), Usage(), "ACTIVE")

    assert verdict.to == "DECLINED"
    assert "R28_APPROVAL" in verdict.reason


@pytest.mark.parametrize(("amount", "to"), [("0.0005", "SENT"), ("0.000501", "DECLINED")])
def test_a_dialogs_yes_is_worth_as_much_as_the_policy_grants_at_the_price_of_now(amount: str, to: str) -> None:
    small = LIMIT.model_copy(update={"amount": Decimal(amount)})
    intent = admitted(small, automatic=False, key_id=BY_ELICITATION, signature="")
    proposal = intent.proposal.model_copy(update={"notional_usd": Decimal(25)})
    intent = replace(intent, proposal=proposal, digest=proposal.digest)

    assert looked(small, limits=ASKING).verdict(intent, Usage(), "ACTIVE").to == to


def test_an_intent_whose_terms_do_not_fit_its_digest_is_not_sent() -> None:
    verdict = looked().verdict(admitted(digest="0" * 64), Usage(), "ACTIVE")

    assert verdict.to == "DECLINED"


def test_a_denial_that_no_fact_can_change_stays_one() -> None:
    settled = PolicyDecision(Outcome.DENY, (RuleResult("R01_MODE", Outcome.DENY, "off"),), "")

    assert replace(looked(), settled=settled).verdict(admitted(), Usage(), "ACTIVE").to == "DECLINED"


def test_the_first_equity_of_a_day_is_its_start_and_a_higher_one_the_highest() -> None:
    seen = looked(account=AccountFacts(0.0, equity_usd=Decimal(900)))
    first, later = Usage(), Usage(day_start_equity=Decimal(1_000), high_water_equity=Decimal(800))

    assert (seen.marked(first).day_start_equity, seen.marked(first).high_water_equity) == (Decimal(900), Decimal(900))
    assert (seen.marked(later).day_start_equity, seen.marked(later).high_water_equity) == (Decimal(1_000), Decimal(900))
