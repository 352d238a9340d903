"""The approval screen shows facts: a few lines rendered from the terms, and no text of an agent can imitate them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import is_hidden
from safety.human.screen import MAX_LINES, fact, question, screen, summary, whole_text
from safety.terms.proposal import Action, DeploymentTerms, PublicationTerms
from tests.safety.approval.conftest import ORDER, proposed

ANYTHING = st.text(max_size=300)


def test_an_order_reads_as_what_it_is() -> None:
    assert screen(proposed(ORDER.model_copy(update={"label": "breakout"}))) == [
        "REAL MONEY      at https://hey-traders.com/api/v1",
        "BUY             0.0005 BTC/USDT",
        "price           60000 or better (limit); the market was at 60012.5",
        "worth           30 USDT, at worst 30.1 USD",
        "account         a1 on binance, spot",
        'the agent says  "breakout"',
        "expires         00:21:40 UTC",
        "fingerprint     " + proposed(ORDER.model_copy(update={"label": "breakout"})).digest[:16],
    ]
    assert summary(proposed()) == "buy 0.0005 BTC/USDT at 60000 (limit) on binance, account a1 (real)"


def test_a_market_order_with_leverage_says_so() -> None:
    order = ORDER.model_copy(update={"order_type": "market", "price": None, "leverage": 3, "side": "sell"})
    shown = question(proposed(order, quote=None))

    assert "SELL            0.0005 BTC/USDT" in shown
    assert "price           any price (market order)\n" in shown
    assert "worth           at worst 30.1 USD, with leverage 3" in shown
    assert "at market, leverage 3 on binance" in summary(proposed(order))


def test_simulated_money_says_so() -> None:
    shown = screen(proposed(money="paper", service="embedded"))

    assert shown[0].startswith("SIMULATED")
    assert "REAL MONEY" not in "\n".join(shown)
    assert summary(proposed(money="paper")).endswith("(simulated)")


def test_a_value_that_is_not_known_is_not_called_nothing() -> None:
    market = ORDER.model_copy(update={"order_type": "market", "price": None})

    assert "worth           not known" in screen(proposed(market, notional_usd=None, quote=None))


@pytest.mark.parametrize(
    ("exchange", "symbol", "amount", "price", "quote", "shown"),
    [
        ("upbit", "BTC/KRW", "0.0005", "90000000", "91000000", "45000 KRW, at worst 30.1 USD"),
        ("binance", "BTC/USDT", "0.0005", None, "60012.5", "30.00625 USDT, at worst 30.1 USD"),
        ("hyperliquid", "BTC/USDC:USDC", "0.003", "60000", "60012.5", "180 USDC, at worst 30.1 USD"),
        # 0.00123 x 60012.57 is 73.8154611: rounded up to eight digits.
        ("binance", "BTC/USDT", "0.00123", None, "60012.57", "73.815462 USDT, at worst 30.1 USD"),
    ],
)
def test_the_question_says_the_worth_in_the_currency_of_the_account(
    exchange: str, symbol: str, amount: str, price: str | None, quote: str, shown: str
) -> None:
    terms = {"exchange": exchange, "symbol": symbol, "amount": Decimal(amount)}
    limit = {"price": None, "order_type": "market"} if price is None else {"price": Decimal(price)}
    order = ORDER.model_copy(update={**terms, **limit})

    assert f"worth           {shown}" in question(proposed(order, quote=Decimal(quote)))


def test_standing_authority_says_that_it_trades_by_itself() -> None:
    new = DeploymentTerms(action="subscribe", strategy_id="12", account_id="a1", webhook_url="https://x.example/h")
    old = DeploymentTerms(action="resume", strategy_id="12", subscription_id="s9")

    assert "without asking for each" in question(proposed(new, notional_usd=None))
    assert "https://x.example/h (all)" in question(proposed(new, notional_usd=None))
    assert "subscription s9" in question(proposed(old, notional_usd=None))
    assert summary(proposed(new)) == "subscribe strategy 12 in mode trade on account a1 (real)"


def test_what_would_be_published_can_be_read_whole() -> None:
    body = {"category": "strategy", "title": "Hello", "content": "line one\n" + "x" * 1_000, "tags": ["BTC", "ETH"]}
    post = proposed(PublicationTerms(action="post", body=json.dumps(body)), notional_usd=None)

    assert screen(post)[0] == "PUBLIC          post under your name at https://hey-traders.com/api/v1"
    assert any("(1009 characters in all)" in line for line in screen(post))
    assert 'content: "line one"' in whole_text(post)
    assert f'content: "{"x" * 1_000}"' in whole_text(post)
    assert 'tags: "BTC, ETH"' in whole_text(post)
    assert summary(post) == 'publish the post "Hello" (real)'
    assert whole_text(proposed()) == []


def test_every_field_of_a_full_post_and_a_full_profile_is_on_the_screen() -> None:
    for action, names in (
        ("post", ("category", "title", "content", "strategy_settings_id", "tags")),
        ("profile", ("display_name", "description", "strategy_type", "risk_profile", "avatar_url")),
    ):
        body = json.dumps(dict.fromkeys(names, "word"))
        shown = screen(proposed(PublicationTerms.model_validate({"action": action, "body": body})))
        assert sum('"word"' in line for line in shown) == len(names)


@given(label=ANYTHING, symbol=ANYTHING, account=ANYTHING)
def test_no_text_adds_a_line_or_hides_one(label: str, symbol: str, account: str) -> None:
    order = ORDER.model_copy(update={"label": label or None, "symbol": symbol, "account_id": account})
    plain = screen(proposed(order.model_copy(update={"label": None, "symbol": "S", "account_id": "A"})))
    shown = screen(proposed(order))

    assert len(shown) <= MAX_LINES - 1
    assert all(line.isprintable() and not any(map(is_hidden, line)) for line in shown)
    assert [line.split()[0] for line in shown if not line.startswith("the agent says")] == [
        line.split()[0] for line in plain
    ]
    assert all(line.isascii() for line in shown if not line.startswith("the agent says"))


@given(body=st.dictionaries(ANYTHING, ANYTHING | st.lists(ANYTHING) | st.none() | st.integers(), max_size=8))
def test_no_publication_breaks_the_screen(body: dict[str, object]) -> None:
    post = proposed(PublicationTerms(action="post", body=json.dumps(body)), notional_usd=None)

    assert len(screen(post)) <= MAX_LINES - 1
    for line in [*screen(post), *whole_text(post), summary(post)]:
        assert line.isprintable()
        assert not any(map(is_hidden, line))


def test_what_looks_alike_is_spelt_out() -> None:
    shown = question(proposed(ORDER.model_copy(update={"account_id": "\u0430cc"})))

    assert "\\u0430cc" in shown
    assert fact("a\nb\x1b[2J") == "a\\x0ab\\x1b[2J"


@pytest.mark.parametrize(
    "label",
    [
        'fine"\nREAL MONEY      at nowhere',
        "\x1b[2J\x1b[HSIMULATED",
        "\u202etxet desrever",
        "a" + "\u0301" * 40,
        "\u200b" * 50 + "x",
    ],
)
def test_an_agents_words_stay_on_their_line(label: str) -> None:
    action: Action = ORDER.model_copy(update={"label": label})
    said = [line for line in screen(proposed(action)) if line.startswith("the agent says")]

    assert len(said) == 1
    assert "\x1b" not in said[0]
    assert "\u202e" not in said[0]
    assert said[0].count("\u0301") <= 2


def test_a_long_label_is_cut_and_says_so() -> None:
    action = ORDER.model_copy(update={"label": "word " * 100})

    assert max(map(len, screen(proposed(action)))) < 340
    assert "(499 characters in all)" in question(proposed(action))


def test_the_question_of_a_proposal_never_changes() -> None:
    assert question(proposed()) == question(proposed())
    assert question(proposed()) != question(proposed(nonce="11" * 16))
    assert Decimal("30.1") == proposed().notional_usd
