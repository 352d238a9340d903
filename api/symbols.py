"""One resolver for every spelling of a symbol by people and models.

| written                                              | read as                                                      |
|------------------------------------------------------|--------------------------------------------------------------|
| `BTC/USDT` `btc-usdt` `BTC_USDT` `BTCUSDT`           | the pair, on the exchange given (default Binance)            |
| `BTC`                                                | the pair with the exchange's own quote currency              |
| `BINANCE:BTC/USDT` `binance:btcusdt`                 | the prefix is the exchange                                   |
| `BTC/USDT:USDT` `BTCUSDT.P` `BTC-PERP` `BTC-USDT-SWAP` | the perpetual; without an exchange Binance USD-M           |
| `T-REX/USDT` `BTC.B-USDT` `USD₮0/USDC` `币安人生/USDT` | names as venues list them; the slash ends the base |
| `KRW-BTC`                                            | Upbit's own notation, quote first                            |
| `BTC/USDT` `BTC/USDC` `BTC-USD` on hyperliquid, lighter | the one BTC contract there, which settles in USDC         |
| a long number (with or without `/USDC`)              | a Polymarket token id                                        |
| a Polymarket question, slug or URL                   | its token id, if listings are available                      |

A prefix that contradicts the exchange argument, a perpetual's name on a spot exchange, and anything of two meanings
is refused, with the candidates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, get_args

from .errors import InvalidInput, NotFound, closest, fold, show
from .exchanges import (
    DEFAULT_EXCHANGE,
    EXCHANGE_ALIASES,
    EXCHANGES,
    OWN_QUOTES,
    USUAL_EXCHANGE,
    Exchange,
    ExchangeId,
    MarketType,
)

MAX_SYMBOL: Final = 200

_QUOTES: Final = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "KRW", "EUR", "USD")
"""Quotes that are recognised without a separator. Coins such as BTC are not: WBTC would become W/BTC."""

_TOKEN: Final = re.compile(r"([1-9][0-9]{9,99})(?:[/:]USDC)?")
_MARKS: Final = "-."
"""Characters allowed within an asset's name, as in T-REX and BTC.B."""
_CONTRACT: Final = re.compile(r"(.+?)(?:\.P|[-_/](?:PERP|SWAP)|(?<=USDT)PERP|(?<=USDC)PERP)")
_URL: Final = re.compile(r"https?://(?:www\.)?([^/?#]+)/([^?#]*)", re.IGNORECASE)
_WEBSITES: Final[dict[str, ExchangeId]] = {e.website: e.id for e in EXCHANGES.values() if e.website is not None}


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded, and where. For prediction markets `base` is the token id.

    `symbol` is what orders and market endpoints take, `ticker` what scripts and universes take. `quote` is the
    currency that it costs and settles in.
    """

    exchange: ExchangeId
    base: str
    quote: str

    @property
    def market_type(self) -> MarketType:
        """Fixed by the exchange: none of the eight trades more than one kind."""
        return EXCHANGES[self.exchange].market_type

    @property
    def symbol(self) -> str:
        """`BTC/USDT` for spot, `BTC/USDT:USDT` for perpetuals, the bare token id for prediction markets.

        Hyperliquid and Lighter keep the plain pair, which the API document writes `BTC/USDT` for them.
        """
        exchange = EXCHANGES[self.exchange]
        if exchange.market_type == "prediction":
            return self.base
        if exchange.written_quote is not None:
            return f"{self.base}/{exchange.written_quote}"
        pair = f"{self.base}/{self.quote}"
        return f"{pair}:{self.quote}" if exchange.market_type == "perpetual" else pair

    @property
    def ticker(self) -> str:
        """`EXCHANGE:SYMBOL`, as in `BINANCE:BTC/USDT`."""
        return f"{EXCHANGES[self.exchange].prefix}:{self.symbol}"


BITCOIN_IN_DOLLARS: Final = Instrument(DEFAULT_EXCHANGE, "BTC", EXCHANGES[DEFAULT_EXCHANGE].quote)
BITCOIN_IN_WON: Final = Instrument(OWN_QUOTES["KRW"], "BTC", "KRW")
"""The two prices that convert won to dollars."""


class Listed(Protocol):
    """What the resolver needs to know of a listing."""

    @property
    def instrument(self) -> Instrument:
        """What is listed."""
        ...

    @property
    def title(self) -> str | None:
        """The question of a prediction market."""
        ...


Known = Callable[[ExchangeId], Iterable[Listed]]
"""Everything listed on an exchange, largest first."""


def is_asset(name: str) -> bool:
    """Whether `name` can be an asset's, as venues list them: `BTC`, `T-REX`, `BTC.B`, `USD₮0`, `币安人生`.

    Letters are Latin capitals, or of a script without capitals. Cyrillic or full-width letters, which look like Latin
    ones, are refused.
    """
    if not 1 <= len(name) <= 20 or name[0] in _MARKS or name[-1] in _MARKS:
        return False
    return all(_is_in_assets(char) for char in name)


def _is_in_assets(char: str) -> bool:
    if char.isascii():
        return char.isupper() or char.isdigit() or char in _MARKS
    return unicodedata.category(char) in {"Lo", "Sc"} and unicodedata.is_normalized("NFKC", char)


def exchange_id(text: str) -> ExchangeId | None:
    """The exchange that `text` names, in any capitals and with its usual other spellings."""
    word = fold(text)
    return _EXCHANGE_WORDS.get(word)


_EXCHANGE_WORDS: Final[dict[str, ExchangeId]] = {**{e: e for e in get_args(ExchangeId)}, **EXCHANGE_ALIASES}


def resolve(text: str, exchange: ExchangeId | None = None, *, known: Known | None = None) -> Instrument:
    """The instrument that `text` names.

    Args:
        text: A symbol in any of the dialects above.
        exchange: Where it is traded; `None` leaves that to the text, and to Binance where the text does not say.
        known: Listings. With them an unlisted symbol is refused and a Polymarket question or slug is understood.

    Raises:
        InvalidInput: Not a symbol, of two meanings, or against `exchange`; says what would do.
        NotFound: `known` does not list it; names the closest that are listed.
    """
    written = text.strip()
    if not written or len(written) > MAX_SYMBOL:
        raise InvalidInput(f"symbol {show(text)} must have 1 to {MAX_SYMBOL} characters", suggestion=_EXAMPLES)
    url = _URL.match(written)
    site = None if url is None else _WEBSITES.get(url[1].lower())
    if url is not None and site is not None:
        return _prediction(url[2].rstrip("/").rpartition("/")[2], _agree(written, site, exchange), known)
    prefix, body = _split_prefix(written)
    venue = exchange if prefix is None else _venue(written, prefix, body, exchange)
    if venue is None:
        venue = _implied_exchange(body)
    if EXCHANGES[venue].market_type == "prediction":
        return _prediction(body, venue, known)
    instrument = _pair(written, body, EXCHANGES[venue], known)
    return instrument if known is None else _checked(instrument, known)


_EXAMPLES: Final = "Write it as BTC/USDT, or BINANCE:BTC/USDT with its exchange."


def _split_prefix(written: str) -> tuple[ExchangeId | None, str]:
    """The exchange before the first colon, if there is one, and the rest."""
    head, colon, rest = written.partition(":")
    if not colon or "/" in head:
        return None, written
    named = exchange_id(head)
    if named is not None:
        return named, rest
    if _split_glued(head.upper(), _QUOTES) is not None or _TOKEN.fullmatch(head) is not None:
        return None, written
    raise InvalidInput(
        f"symbol {show(written)} starts with {show(head)}, which is not an exchange here",
        suggestion=f"The exchanges are {', '.join(EXCHANGES)}.",
    )


def _venue(written: str, prefix: ExchangeId, body: str, exchange: ExchangeId | None) -> ExchangeId:
    """Where a prefixed symbol trades: charts write a perpetual of Binance USD-M as `BINANCE:BTCUSDT.P`."""
    twin = EXCHANGES[prefix].perpetuals
    if twin is not None and _contract(body.upper()) is not None:
        prefix = twin
    return _agree(written, prefix, exchange)


def _agree(written: str, named: ExchangeId, exchange: ExchangeId | None) -> ExchangeId:
    if exchange not in {None, named}:
        raise InvalidInput(
            f"symbol {show(written)} is on {named}, but exchange is {exchange}",
            suggestion=f"Use exchange={named}, or drop the prefix.",
        )
    return named


def _implied_exchange(body: str) -> ExchangeId:
    """The exchange that a bare symbol implies: that of its quote currency, else the usual one for what it names."""
    upper = body.upper()
    if _TOKEN.fullmatch(upper):
        return USUAL_EXCHANGE["prediction"]
    if _contract(upper) is not None or ":" in upper:
        return USUAL_EXCHANGE["perpetual"]
    for quote, exchange in OWN_QUOTES.items():
        if upper.startswith(f"{quote}-") or upper.endswith((f"/{quote}", f"-{quote}", f"_{quote}")):
            return exchange
    return DEFAULT_EXCHANGE


def _contract(upper: str) -> str | None:
    """The text before a mark of a perpetual. `KRW-PERP` is the coin PERP in won."""
    marked = _CONTRACT.fullmatch(upper)
    return None if marked is None or marked[1] in OWN_QUOTES else marked[1]


def _pair(written: str, body: str, exchange: Exchange, known: Known | None) -> Instrument:
    """A spot pair or a perpetual."""
    upper = body.strip().upper()
    contract = _contract(upper)
    upper, _, settle = (contract or upper).partition(":")
    if (contract or settle) and exchange.market_type != "perpetual":
        raise _not_spot(written, exchange)
    base, quote = _split_pair(upper, exchange, known)
    if not is_asset(base) or not is_asset(quote) or base == quote:
        raise InvalidInput(f"symbol {show(written)} is not a pair of two assets", suggestion=_EXAMPLES)
    if exchange.written_quote is not None:
        quote = _settled(written, quote, settle, exchange)
    elif settle and settle != quote:
        raise InvalidInput(
            f"symbol {show(written)} settles in {show(settle)}, but {exchange.name} settles in the quote currency",
            suggestion=f"Write it as {base}/{quote}:{quote}.",
        )
    return Instrument(exchange.id, base, quote)


def _not_spot(written: str, exchange: Exchange) -> InvalidInput:
    twin = exchange.perpetuals
    way = f"Use exchange={twin} for it, or" if twin else f"Perpetuals trade on {USUAL_EXCHANGE['perpetual']}; here,"
    return InvalidInput(
        f"symbol {show(written)} is a perpetual, and {exchange.id} trades spot only",
        suggestion=f"{way} write a spot pair such as BTC/{exchange.quote}.",
    )


def _settled(written: str, quote: str, settle: str, exchange: Exchange) -> str:
    """Any dollar means the one contract of an exchange that settles everything in one currency."""
    dollars = {exchange.quote, exchange.written_quote, "USD"}
    if quote not in dollars or (settle and settle not in dollars):
        raise InvalidInput(
            f"symbol {show(written)} is not quoted in dollars, and {exchange.name} has dollar contracts only",
            suggestion=f"Write it as BTC/{exchange.written_quote}.",
        )
    return exchange.quote


def _split_pair(upper: str, exchange: Exchange, known: Known | None) -> tuple[str, str]:
    """Base and quote of a pair with a separator, of one without, or of a base alone."""
    parts = upper.split("/") if "/" in upper else _split_marks(upper, exchange)
    if len(parts) == 2:
        quote_first = "/" not in upper and _is_quote_first(parts[0], parts[1], exchange.quotes_first)
        return (parts[1], parts[0]) if quote_first else (parts[0], parts[1])
    if len(parts) > 2:
        return "", ""
    glued = _split_glued(upper, (exchange.quote, *_QUOTES)) or _split_listed(upper, exchange.id, known)
    return glued or (upper, exchange.quote)


def _split_marks(upper: str, exchange: Exchange) -> list[str]:
    """The parts of a pair with - or _; a mark within the base, as in T-REX-USDT, does not end it."""
    parts = re.split(r"[\-_]", upper)
    if len(parts) <= 2:
        return parts
    if parts[0] in exchange.quotes_first:
        return [parts[0], upper[len(parts[0]) + 1 :]]
    if parts[-1] in {exchange.quote, *_QUOTES}:
        return [upper[: -len(parts[-1]) - 1], parts[-1]]
    return parts


def _is_quote_first(first: str, second: str, quotes: tuple[str, ...]) -> bool:
    """Whether `first` is the quote: if both could be, the one that `quotes` names earlier is."""
    ranks = [quotes.index(p) if p in quotes else len(quotes) for p in (first, second)]
    return ranks[0] < ranks[1]


def _split_glued(upper: str, quotes: Iterable[str]) -> tuple[str, str] | None:
    """A pair without separator. Stable coins are not pairs: FDUSD is one coin, and so is any XXUSD."""
    if upper in _QUOTES:
        return None
    for quote in quotes:
        if upper.endswith(quote) and len(upper) > len(quote) + (2 if quote == "USD" else 0):
            return upper.removesuffix(quote), quote
    return None


def _split_listed(upper: str, exchange: ExchangeId, known: Known | None) -> tuple[str, str] | None:
    """A pair without separator whose quote is a coin, such as ETHBTC, if it is listed and its base name is not."""
    if known is None:
        return None
    pairs = [(i.base, i.quote) for i in (listed.instrument for listed in known(exchange))]
    if any(base == upper for base, _ in pairs):
        return None
    return next((pair for pair in pairs if "".join(pair) == upper), None)


def _checked(instrument: Instrument, known: Known) -> Instrument:
    listed = [entry.instrument for entry in known(instrument.exchange)]
    if instrument in listed:
        return instrument
    raise NotFound(
        f"symbol {show(instrument.symbol)} is not listed on {instrument.exchange}",
        suggestion=_did_you_mean(similar_symbols(instrument, listed), instrument.exchange),
    )


def similar_symbols(instrument: Instrument, listed: Iterable[Instrument]) -> list[str]:
    """Up to five listed symbols with the same base, else with a similar one; a shared quote currency is not enough."""
    on_exchange = [i for i in listed if i.exchange == instrument.exchange]
    same = [i.symbol for i in on_exchange if i.base == instrument.base.upper()]
    by_base = {i.base: i.symbol for i in on_exchange if i.quote == instrument.quote} or {
        i.base: i.symbol for i in on_exchange
    }
    return (same or [by_base[base] for base in closest(instrument.base, by_base, count=5)])[:5]


def _did_you_mean(near: list[str], exchange: ExchangeId) -> str:
    if near:
        return f"Did you mean {' or '.join(near[:3])}?"
    return f"market_tickers(exchange={show(exchange)}) lists the symbols."


def _prediction(body: str, exchange: ExchangeId, known: Known | None) -> Instrument:
    """A prediction market's token: by id, or by its question or slug if listings are available."""
    quote = EXCHANGES[exchange].quote
    token = _TOKEN.fullmatch(body.strip().upper())
    if token is not None:
        instrument = Instrument(exchange, token[1], quote)
        return instrument if known is None else _checked(instrument, known)
    titled = [] if known is None else [(e.instrument, e.title) for e in known(exchange) if e.title]
    wanted = _slug(body)
    found = [instrument for instrument, title in titled if _slug(title) == wanted]
    if len(found) == 1:
        return found[0]
    raise InvalidInput(
        f"symbol {show(body)} is not a {EXCHANGES[exchange].name} token id, a number of 10 to 100 digits",
        suggestion=_token_candidates(wanted, [(i.base, title) for i, title in titled], exchange),
    )


def _token_candidates(wanted: str, titled: list[tuple[str, str]], exchange: ExchangeId) -> str:
    """The tokens with the questions closest to `wanted`."""
    near = closest(wanted, [_slug(title) for _, title in titled])
    hits = [f"{token} ({show(title)})" for token, title in titled if _slug(title) in near]
    if hits:
        return f"Did you mean {' or '.join(hits[:4])}?"
    words = wanted.replace("-", " ")[:60]
    return f'market_tickers(exchange="{exchange}", search={show(words)}) finds the token id of a question.'


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")
