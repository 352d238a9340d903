"""A policy as text: a round trip loses nothing, and a doubtful text is refused with its line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.policy.evaluation import LIVE, PAPER, Policy
from safety.policy.limits import Limits
from safety.policy.text import MAX_CHARACTERS, BadPolicy, parse_policy, write_policy

USD = st.decimals(0, 10**9, places=8, allow_nan=False, allow_infinity=False)
SHARE = st.decimals(0, 10, places=10, allow_nan=False, allow_infinity=False)
NAMES = st.frozensets(st.text(max_size=20), max_size=4)
SYMBOLS = st.from_regex(r"[A-Z0-9]{2,10}/(USDT|USDC|KRW)(?!.)", fullmatch=True)
SOME: dict[str, st.SearchStrategy[Any]] = {
    "trading": st.booleans(),
    "accounts": st.none() | NAMES,
    "forbidden_symbols": st.frozensets(SYMBOLS, max_size=4),
    "market_types": st.none() | st.frozensets(st.sampled_from(["spot", "perpetual", "prediction"])),
    "max_amount": st.none() | st.dictionaries(SYMBOLS, USD, max_size=4),
    "max_notional": st.none() | USD,
    "collar": st.none() | SHARE,
    "daily_count": st.none() | st.integers(0, 1_000_000),
    "cooldown_seconds": st.integers(0, 31_536_000),
}
LIMITS = st.fixed_dictionaries(SOME).map(Limits.model_validate)
POLICIES = st.builds(Policy, paper=LIMITS, live=LIMITS, typed_amount_above=USD, separate_user=st.booleans())


@given(POLICIES)
def test_what_is_written_is_read_back_exactly(policy: Policy) -> None:
    read = parse_policy(write_policy(policy))

    assert read == policy
    assert read.hash == policy.hash


def test_what_is_left_out_keeps_its_built_in_value() -> None:
    assert parse_policy("") == Policy(paper=PAPER, live=LIVE)
    assert parse_policy("[live]\nmax_notional = 20.5") == Policy(
        live=LIVE.model_copy(update={"max_notional": Decimal("20.5")})
    )
    assert parse_policy("[paper]\ndaily_count = 3") == Policy(paper=Limits(daily_count=3))


def test_numbers_are_exact_and_no_limit_has_a_word() -> None:
    read = parse_policy(
        '[live]\nmax_notional = 0.1\nsymbols = "unlimited"\n[live.max_amount]\n"BTC/USDT" = 0.000000001'
    )

    assert read.live.max_notional == Decimal("0.1")
    assert read.live.symbols is None
    assert read.live.max_amount == {"BTC/USDT": Decimal("0.000000001")}


def test_every_limit_is_written_under_what_it_means() -> None:
    text = write_policy(Policy())

    for name, field in Limits.model_fields.items():
        assert f"\n# {field.description}\n" in text
        assert text.count(f"\n{name} = ") + text.count(f".{name}]\n") == 2
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[live", "not TOML"),
        ("live = 3", "live is not a table"),
        ("[[live]]", "live is not a table"),
        ("[lvie]\ntrading = true", "lvie"),
        ("[live]\nmax_notionl = 5", "live.max_notionl = 5"),
        ("[live]\nmax_notional = -1", "live.max_notional = -1"),
        ("[live]\nmax_notional = nan", "live.max_notional"),
        ("[live]\nmax_notional = inf", "live.max_notional"),
        ("[live]\nmax_notional = 1e999999999", "live.max_notional"),
        ("[live]\nmax_notional = true", "not true or false"),
        ("[live]\ndaily_count = true", "not true or false"),
        ("[live]\ntrading = 1", "true or false"),
        ('[live]\ntrading = "yes"', "true or false"),
        ('[live]\nseconds_between = "unlimited"', "live.seconds_between"),
        ('[live]\nsymbols = "BTC/USDT"', "live.symbols"),
        ('[live]\nmarket_types = ["spots"]', "live.market_types"),
        ("[live.max_amount]\nX = nan", "live.max_amount"),
        ("[live]\nmax_notional = 1\nmax_notional = 2", "not TOML"),
        ("a = " + "[" * 5_000, "not TOML"),
        ("a = " + "9" * 6_000, "not TOML"),
        ("#" * 70_000, "70000 characters"),
        ("[live]\nmax_notional = 0.123456789", "live.max_notional"),
    ],
)
def test_what_is_doubtful_is_refused_with_its_name(text: str, said: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        parse_policy(text)
    assert said in refused.value.message
    assert refused.value.suggestion
    assert "\n" not in refused.value.message


def test_the_longest_policy_is_read() -> None:
    assert parse_policy("#" * MAX_CHARACTERS) == Policy()


def test_many_mistakes_are_counted() -> None:
    with pytest.raises(BadPolicy, match="and 4 more"):
        parse_policy("[live]\n" + "\n".join(f"x{number} = 1" for number in range(9)))


@pytest.mark.parametrize("field", ["symbols", "forbidden_symbols"])
@pytest.mark.parametrize(
    ("symbol", "what_to_do"),
    [
        ("BTCUSDT", "Write BTC/USDT"),
        ("btc/usdt", "Write BTC/USDT"),
        ("KRW-BTC", "BTC/KRW"),
        ("BINANCE:BTC/USDT", "Write BTC/USDT"),
        ("b t c", "Write it as BTC/USDT"),
    ],
)
def test_a_symbol_that_no_order_has_is_refused_for_it_would_forbid_nothing(
    field: str, symbol: str, what_to_do: str
) -> None:
    with pytest.raises(BadPolicy) as refused:
        parse_policy(f'[live]\n{field} = ["{symbol}"]')

    assert f"live.{field}" in refused.value.message
    assert what_to_do in refused.value.suggestion


def test_an_amount_for_a_symbol_that_no_order_has_is_refused() -> None:
    with pytest.raises(BadPolicy, match=r"paper\.max_amount"):
        parse_policy("[paper.max_amount]\nBTCUSDT = 1")


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT", "BTC/KRW", "ETH/BTC", "1234567890123"])
def test_symbols_of_each_kind_of_market_are_taken(symbol: str) -> None:
    assert parse_policy(f'[live]\nforbidden_symbols = ["{symbol}"]').live.forbidden_symbols == {symbol}
