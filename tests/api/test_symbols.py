"""One instrument, many spellings: each spelling resolves to it, and an ambiguous one resolves to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import InvalidInput, NotFound
from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument, resolve

COINS = ("BTC", "ETH", "SOL", "DOGE", "1INCH", "1000PEPE", "USDE", "T", "WBTC", "PERP", "FDUSD")
TOKEN = "99244664687123456789012345678901234567890"

bases = st.sampled_from(COINS) | st.from_regex(r"[A-Z][A-Z0-9]{1,7}", fullmatch=True).filter(
    lambda base: not base.endswith(("USD", "USDT", "USDC", "KRW", "EUR"))
)
paired = st.tuples(st.sampled_from([e for e in EXCHANGES.values() if e.market_type != "prediction"]), bases).map(
    lambda pair: Instrument(pair[0].id, pair[1], pair[0].quote)
)
tokens = st.from_regex(r"[1-9][0-9]{9,76}", fullmatch=True).map(lambda t: Instrument("polymarket", t, "USDC"))
instruments = paired | tokens


@given(instruments)
def test_the_ticker_of_an_instrument_resolves_to_it(instrument: Instrument) -> None:
    assert resolve(instrument.ticker) == instrument
    assert resolve(instrument.ticker, instrument.exchange) == instrument
    assert resolve(instrument.symbol, instrument.exchange) == instrument


@given(paired)
def test_every_dialect_of_a_pair_resolves_to_the_same_instrument(instrument: Instrument) -> None:
    exchange, base, quote = instrument.exchange, instrument.base, instrument.quote
    prefix = exchange.upper()
    spellings = [f"{base}{sep}{quote}" for sep in ("/", "-", "_", "")]
    spellings += [f"{prefix}:{s}" for s in spellings] + [f"{exchange}:{base}/{quote}", f" {base}/{quote} "]
    if instrument.market_type == "perpetual":
        spellings += [f"{base}/{quote}:{quote}", f"{base}{quote}.P", f"{base}-PERP", f"{base}-{quote}-SWAP"]
    if exchange == "upbit":
        spellings.append(f"{quote}-{base}")
    if base not in {"FDUSD", "PERP"}:
        spellings.append(base)

    for spelling in spellings:
        assert resolve(spelling, exchange) == instrument, spelling
        assert resolve(spelling.lower(), exchange) == instrument, spelling


@given(st.text(max_size=40), st.none() | st.sampled_from(get_args(ExchangeId)))
def test_any_text_resolves_to_a_sound_instrument_or_is_refused(text: str, exchange: ExchangeId | None) -> None:
    instrument, refusal = _resolve_or_refuse(text, exchange)

    if instrument is not None:
        assert exchange in {None, instrument.exchange}
        assert resolve(instrument.ticker) == instrument
    if refusal is not None:
        assert refusal.suggestion
        assert len(refusal.message) < 300


def _resolve_or_refuse(text: str, exchange: ExchangeId | None) -> tuple[Instrument | None, InvalidInput | None]:
    try:
        return resolve(text, exchange), None
    except InvalidInput as refusal:
        return None, refusal


@pytest.mark.parametrize(
    ("text", "ticker"),
    [
        ("btc-usdt", "BINANCE:BTC/USDT"),
        ("BTCUSDT", "BINANCE:BTC/USDT"),
        ("BTC", "BINANCE:BTC/USDT"),
        ("FDUSD", "BINANCE:FDUSD/USDT"),
        ("BTC/USDT:USDT", "BINANCEFUTURESUSD:BTC/USDT:USDT"),
        ("BTCUSDT:USDT", "BINANCEFUTURESUSD:BTC/USDT:USDT"),
        ("BINANCE:BTCUSDT.P", "BINANCEFUTURESUSD:BTC/USDT:USDT"),
        ("BTCUSDTPERP", "BINANCEFUTURESUSD:BTC/USDT:USDT"),
        ("Gate.io:BTC_USDT", "GATE:BTC/USDT"),
        ("gate:BTC-USDT-SWAP", "GATEFUTURES:BTC/USDT:USDT"),
        ("KRW-BTC", "UPBIT:BTC/KRW"),
        ("BTC/KRW", "UPBIT:BTC/KRW"),
        ("upbit:BTC-ETH", "UPBIT:ETH/BTC"),
        ("hyperliquid:BTC-USD", "HYPERLIQUID:BTC/USDT"),
        ("币安人生/USDT", "BINANCE:币安人生/USDT"),
        ("BINANCE:我踏马来了/USDT", "BINANCE:我踏马来了/USDT"),
        ("gate:t-rex/usdt", "GATE:T-REX/USDT"),
        ("GATE:T-REX_USDT", "GATE:T-REX/USDT"),
        ("BTC.B/USDT", "BINANCE:BTC.B/USDT"),
        ("btc.b-usdt", "BINANCE:BTC.B/USDT"),
        ("USD₮0/USDC", "BINANCE:USD₮0/USDC"),
        ("upbit:KRW-T-REX", "UPBIT:T-REX/KRW"),
        (TOKEN, f"POLYMARKET:{TOKEN}"),
        (f"{TOKEN}/USDC", f"POLYMARKET:{TOKEN}"),
    ],
)
def test_a_bare_symbol_is_enough(text: str, ticker: str) -> None:
    assert resolve(text).ticker == ticker


@pytest.mark.parametrize("exchange", ["hyperliquid", "lighter"])
@pytest.mark.parametrize(
    "text", ["BTC/USDT", "BTC/USDC", "BTC-USD", "BTC/USDC:USDC", "BTC/USDT:USDT", "BTC", "BTC-PERP"]
)
def test_dexes_have_one_dollar_contract_written_with_usdt_and_settled_in_usdc(exchange: ExchangeId, text: str) -> None:
    instrument = resolve(text, exchange)

    assert (instrument.symbol, instrument.quote) == ("BTC/USDT", "USDC")


@pytest.mark.parametrize(
    ("text", "exchange", "said", "suggestion"),
    [
        ("UPBIT:BTC/KRW", "binance", "upbit", "drop the prefix"),
        ("BINANCE:BTCUSDT.P", "binance", "binancefuturesusd", "drop the prefix"),
        ("BTC/USDT:USDT", "binance", "spot only", "binancefuturesusd"),
        ("BTC-PERP", "upbit", "spot only", "BTC/KRW"),
        ("BTC/USDT:USDC", "binancefuturesusd", "settles in", "BTC/USDT:USDT"),
        ("BTC/KRW", "lighter", "dollars", "BTC/USDT"),
        ("NASDAQ:AAPL", None, "not an exchange", "binance"),
        ("BTC/USDT", "polymarket", "token id", "market_tickers"),
        ("99244.../USDC", "polymarket", "token id", "market_tickers"),
        ("https://polymarket.com/event/us-election/will-btc-win?tid=1", None, "token id", "will btc win"),
        ("https://polymarket.com/event/x", "binance", "polymarket", "exchange=polymarket"),
        ("a/b/c", None, "pair", "BTC/USDT"),
        ("BTC/BTC", None, "pair", "BTC/USDT"),
        ("\uff22TC/USDT", None, "pair", "BTC/USDT"),
        ("\u0412TC/USDT", None, "pair", "BTC/USDT"),
        ("BT\u200bC/USDT", None, "pair", "BTC/USDT"),
        ("-BTC/USDT", None, "pair", "BTC/USDT"),
        ("", None, "1 to 200", "BTC/USDT"),
        ("x" * 100_000, None, "1 to 200", "BTC/USDT"),
        ("BTC/USDT'; DROP TABLE x", None, "pair", "BTC/USDT"),
    ],
)
def test_a_contradiction_or_riddle_is_refused_with_what_to_do(
    text: str, exchange: ExchangeId | None, said: str, suggestion: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        resolve(text, exchange)

    assert suggestion in caught.value.suggestion
    assert len(caught.value.message) < 250


@dataclass(frozen=True)
class Entry:
    """A listing."""

    instrument: Instrument
    title: str | None = None


def listings(exchange: ExchangeId) -> Iterable[Entry]:
    if exchange == "polymarket":
        return [
            Entry(Instrument("polymarket", TOKEN, "USDC"), "Will Bitcoin reach $200k in 2026?"),
            Entry(Instrument("polymarket", "5" * 40, "USDC"), "Will it rain?"),
        ]
    return [Entry(Instrument(exchange, base, q)) for base, q in (("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC"))]


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        "will-bitcoin-reach-200k-in-2026",
        "Will Bitcoin reach $200k in 2026?",
        "https://polymarket.com/event/bitcoin/will-bitcoin-reach-200k-in-2026",
    ],
)
def test_listings_make_a_question_slug_or_url_resolve_to_its_token(text: str) -> None:
    assert resolve(text, "polymarket", known=listings).base == TOKEN


def test_a_slug_near_a_listed_question_is_refused_with_its_token() -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve("will-bitcoin-reach-300k-in-2026", "polymarket", known=listings)

    assert TOKEN in caught.value.suggestion


@pytest.mark.parametrize(("text", "near"), [("BTC/USD", "BTC/USDT"), ("BTCC/USDT", "BTC/USDT"), ("EHT", "ETH/USDT")])
def test_an_unlisted_symbol_is_refused_with_the_closest_listed(text: str, near: str) -> None:
    with pytest.raises(NotFound, match="not listed on binance") as caught:
        resolve(text, "binance", known=listings)

    assert near in caught.value.suggestion


@pytest.mark.parametrize("text", ["币安人生/USDT", "QQQQQQ/USDT"])
def test_a_shared_quote_currency_does_not_make_a_symbol_a_candidate(text: str) -> None:
    with pytest.raises(NotFound) as caught:
        resolve(text, "binance", known=listings)

    assert "Did you mean" not in caught.value.suggestion
    assert "market_tickers" in caught.value.suggestion


def test_listings_split_a_pair_of_two_coins() -> None:
    assert resolve("ETHBTC", "binance", known=listings).symbol == "ETH/BTC"
