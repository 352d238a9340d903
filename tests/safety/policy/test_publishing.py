"""A publication waits for a human, and never carries account data or a key."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from safety.exits import know
from safety.policy.evaluation import needs
from safety.policy.limits import Limits
from safety.terms.proposal import PublicationTerms
from tests.safety.policy.scenarios import KNOWN, against, facts, policy

KNOWN_TEXTS: Final = ("ab-1234", "acc-7731-main", "10482.55", "api-99", "77", "Zoë Berg")


def post(**fields: Any) -> PublicationTerms:
    """A post with these fields."""
    return PublicationTerms(action="post", body=json.dumps({"category": "market_talk", "title": "Hello", **fields}))


def objecting(action: PublicationTerms) -> dict[str, str]:
    """Which rules object when those texts are known."""
    return against(action, policy(), replace(KNOWN, known_texts=KNOWN_TEXTS))


@pytest.mark.parametrize(
    "text",
    [
        "I like BTC at 60,000.",
        "RSI below 30 on 4h closes made 12.5 % over 2025-01-01 to 2025-06-30.",
        "Read https://example.com/a-long-article-about-nothing-much-2025",
        "token 1048256 is not a balance",
        "https://news.example.com/Markets/2026/11/01/Bitcoin-Rises-2-Percent-As-Traders-Wait",
        "contract 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "token 21742633143463906290569050155826241533067272736897614950488156847949938836455",
        "770 and 177 are not 77s",
        "strategy_ideas for everybody, moving_average_crossover_with_volume",
        "",
    ],
)
def test_ordinary_text_waits_for_a_human(text: str) -> None:
    assert objecting(post(content=text)) == {"R32": "REQUIRE"}


@pytest.mark.parametrize(
    "text",
    [
        "my account is acc-7731-main",
        "MY ACCOUNT IS ACC-7731-MAIN",
        "acc 7731 main",
        "a.c.c.7.7.3.1.m.a.i.n",
        "acc-7731\u200b-main",
        "ａｃｃ-7731-main",  # noqa: RUF001 - full-width letters are the attack
        "I hold 10482.55 USD",
        "I hold 10 482.55 USD",
        "order api-99 filled",
        "I hold 77 of them",
        "I hold\n77\nof them",
        "a b 1 2 3 4",
        "this is zoë berg",
    ],
)
def test_ids_and_balances_are_refused(text: str) -> None:
    assert objecting(post(content=text)) == {"R32": "DENY"}


@pytest.mark.parametrize(
    "text",
    [
        "key ht_live_abcdef0123456789abcd",
        "key ht_0123456789abcdef",
        "sk-proj-abcdefghijklmnop1234",
        "ghp_" + "a1B2" * 9,
        "AKIAIOSFODNN7EXAMPLE",
        "0x" + "4f" * 32,
        "4f" * 16,
        "-----BEGIN EC PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MEFCQ0RFRg==",
        "ht_live_\u200babcdef0123456789abcd",
    ],
)
def test_what_looks_like_a_key_is_refused(text: str) -> None:
    assert objecting(post(content=text)) == {"R32": "DENY"}


def test_a_key_of_this_process_is_refused_whatever_it_looks_like() -> None:
    key = "plain words of four"
    before = objecting(post(content=f"my trick: {key}"))
    know(key)

    assert before == {"R32": "REQUIRE"}
    for spelt in (key, key.upper(), "plain%20words%20of%20four", "tags plain words of four."):
        assert objecting(post(content=f"my trick: {spelt}")) == {"R32": "DENY"}


def test_every_text_of_a_body_is_read() -> None:
    assert objecting(post(tags=["ok", "acc-7731-main"])) == {"R32": "DENY"}
    assert objecting(post(title="acc-7731-main")) == {"R32": "DENY"}
    assert objecting(post(extra={"deep": [{"acc-7731-main": 1}]})) == {"R32": "DENY"}
    assert objecting(post(number=10482.55)) == {"R32": "DENY"}
    assert objecting(post(tags=["acc\u200b-7731-main"])) == {"R32": "DENY"}
    assert objecting(post(nothing=None, yes=True)) == {"R32": "REQUIRE"}


@pytest.mark.parametrize("url", ["http://a.example/x.png", "https://127.0.0.1/x.png", "https://localhost/x.png", 5])
def test_an_avatar_is_a_public_https_address(url: Any) -> None:
    profile = PublicationTerms(action="profile", body=json.dumps({"avatar_url": url}))

    assert objecting(profile) == {"R32": "DENY"}


@pytest.mark.parametrize("url", ["https://a.example.com/x.png", None])
def test_a_public_avatar_waits_for_a_human(url: str | None) -> None:
    profile = PublicationTerms(action="profile", body=json.dumps({"avatar_url": url, "display_name": "Ada"}))

    assert objecting(profile) == {"R32": "REQUIRE"}


@pytest.mark.parametrize("body", ["", "{", "not json", "[]", '"text"', "null", '{"a":NaN'])
def test_a_body_that_cannot_be_read_is_refused(body: str) -> None:
    assert objecting(PublicationTerms(action="post", body=body)) == {"R32": "DENY"}


def test_known_texts_are_asked_for_where_they_are_compared() -> None:
    assert needs(post(), Limits(ask_to_publish=True)) == {"texts"}
    assert needs(post(), Limits()) == frozenset()
    assert against(post(content="acc-7731-main"), policy(), facts()) == {"R32": "REQUIRE"}
