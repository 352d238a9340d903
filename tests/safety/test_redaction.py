"""Secrets are found in any spelling, and nothing else is changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.exits import REDACTED, SHORTEST, Redactor, know
from server.calls import failure, success
from server.logs import Redacting
from tests.traces import WAYS, traces

CANARY: Final = "k9.Zq_7-Lw+X/4~b2T=dQ!0a"

PLACES: Final = ("{}", "before {} after", "{}{}", "[{}]", '{{"a": "{}"}}', "line\n{}\nline", "x{}x")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_known_secret_is_found_however_it_is_written(way: Callable[[str], str], place: str) -> None:
    redactor = Redactor()
    redactor.know(CANARY)

    shown = redactor.text(place.replace("{}", way(CANARY)))

    assert REDACTED in shown
    assert traces(shown, CANARY) == []


def test_the_search_for_traces_finds_what_is_not_redacted() -> None:
    missed = [name for name, way in WAYS.items() if not traces(way(CANARY), CANARY)]

    assert missed == []


@given(
    st.text(alphabet=[chr(c) for c in range(0x21, 0x7F)], min_size=16, max_size=64),
    st.sampled_from(sorted(WAYS)),
    st.text(max_size=20),
)
def test_any_secret_in_any_spelling_is_gone(secret: str, way: str, around: str) -> None:
    redactor = Redactor()
    redactor.know(secret)

    shown = redactor.text(f"{around}{WAYS[way](secret)}{around}")

    assert secret not in shown
    assert REDACTED in shown


@given(st.text(max_size=200))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    redactor = Redactor()
    redactor.know(CANARY)

    assert redactor.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "ht_trendline(close) and ht_trendmode(close) > ht_sine(close)",
        "the bearer of this letter",
        "htm1:01JD0000000000000000000000:0123456789abcdef:0123456789ab",
        "api-01jd000000",
        "0x5f3759df 3.14159 2026-11-22T18:00:00Z",
        "eyJhIjoxfQ==",
    ],
)
def test_ordinary_words_of_this_trade_are_no_keys(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "ht_prov_dGhpcyBpcyBub3QgYSByZWFs1",
        "ht_live_0123456789abcdef",
        "Authorization: Bearer abcdefghijklmnop1234",
        "X-API-Key: abcdefgh",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
    ],
)
def test_what_has_the_shape_of_a_key_is_found_without_being_known(text: str) -> None:
    assert REDACTED in Redactor().text(f"it said {text} and more")


def test_a_secret_that_is_too_short_is_not_looked_for() -> None:
    redactor = Redactor()
    redactor.know("a" * (SHORTEST - 1))

    assert redactor.text("a" * 20) == "a" * 20


def test_json_keeps_its_form() -> None:
    redactor = Redactor()
    redactor.know("12345678")
    value: dict[str, Any] = {"12345678": [1, 12345678, None, True, "x12345678x", ("a",)], "b": 1.5}

    assert redactor.value(value) == {REDACTED: [1, 12345678, None, True, f"x{REDACTED}x", ["a"]], "b": 1.5}


def test_results_errors_and_log_lines_all_pass_the_redactor() -> None:
    secret = "98765432101234567"
    know(secret)
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "key %s", (secret,), None)

    result = success(json.dumps({"key": secret, "number": int(secret)}))
    refused = failure(f"VALIDATION_ERROR: {secret}")

    assert result.structured_content == {"key": REDACTED, "number": int(secret)}
    assert f'"{secret}"' not in str(result.content)
    assert secret not in str(refused.content)
    assert Redacting().format(record).endswith(f"key {REDACTED}")
