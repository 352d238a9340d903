"""Selects symbols: the filters of the tickers endpoint, and the entries of a universe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from api.errors import HeyTradersError, InvalidInput, fold, show
from api.exchanges import EXCHANGES, ExchangeId, MarketType
from api.market import MAX_UNIVERSE, TickersRequest
from api.symbols import Instrument, resolve
from engine.feeds.feed import Feed, InstrumentListing

MAX_THEMED: Final = 30

KEYWORDS: Final[dict[str, Callable[[Sequence[InstrumentListing]], list[InstrumentListing]]]] = {
    "top30": lambda listed: list(listed[:30]),
    "top50": lambda listed: list(listed[:50]),
    "top100": lambda listed: list(listed[:100]),
    "trending": lambda listed: [one for one in listed if "trending" in one.categories][:MAX_THEMED],
    "defi": lambda listed: [one for one in listed if fold(one.sector or "") == "defi"][:MAX_THEMED],
}
"""Words that stand for several symbols of an exchange, largest first."""


def filtered(feed: Feed, request: TickersRequest) -> list[InstrumentListing]:
    """The listings that match a tickers request, largest first, before the limit.

    Raises:
        InvalidInput: The exchange trades another kind of market, or nothing there has the category or sector.
    """
    listed = feed.listings(request.exchange)
    _check_market_type(request.exchange, request.market_type)
    if request.category is not None:
        listed = _with_word("category", request.category, request.exchange, listed, lambda one: one.categories)
    if request.sector is not None:
        listed = _with_word("sector", request.sector, request.exchange, listed, _sectors)
    if request.search is not None:
        listed = _searched(listed, request.search)
    return list(listed)


_SHORTEST_WORD: Final = 3
"""Letters. Words up to this length, such as `the` and `by`, tell no question from another."""


def _searched(listed: Sequence[InstrumentListing], search: str) -> list[InstrumentListing]:
    """The listings that contain every word of `search`, in any order; exact matches of the phrase come first.

    If no question of a prediction market has all of them, those with the most, and at least half, are found.
    """
    phrase = " ".join(search.casefold().split())
    words = re.findall(r"\w+", phrase) or [phrase]
    found: list[tuple[bool, InstrumentListing]] = []
    for one in listed:
        text = f"{one.instrument.symbol} {one.title or ''}".casefold()
        if phrase in text:
            found.append((True, one))
        elif all(word in text for word in words):
            found.append((False, one))
    if found:
        return [one for _, one in sorted(found, key=lambda pair: not pair[0])]
    telling = [word for word in words if len(word) > _SHORTEST_WORD]
    counts = [(sum(word in (one.title or "").casefold() for word in telling), one) for one in listed]
    most = max((count for count, _ in counts), default=0)
    return [one for count, one in counts if count == most] if most and 2 * most >= len(telling) else []


def expand(
    feed: Feed, universe: Sequence[str], exchange: ExchangeId
) -> tuple[list[Instrument], dict[str, HeyTradersError]]:
    """The distinct instruments of a universe, in the given order, and the errors for entries that match none.

    Raises:
        InvalidInput: More than `MAX_UNIVERSE` symbols in all.
    """
    found: dict[Instrument, None] = {}
    failed: dict[str, HeyTradersError] = {}
    listed = feed.listings(exchange)
    by_symbol = {one.instrument.symbol: one.instrument for one in listed}
    for word in universe:
        if word in KEYWORDS:
            found.update((one.instrument, None) for one in KEYWORDS[word](listed))
            continue
        try:
            found[by_symbol.get(word) or instrument_of(feed, word, exchange)] = None
        except HeyTradersError as error:
            failed[word] = error
    if len(found) > MAX_UNIVERSE:
        raise InvalidInput(
            f"universe has {len(found)} symbols, more than the {MAX_UNIVERSE} of one call",
            suggestion="Split it into several calls",
        )
    return list(found), failed


def instrument_of(feed: Feed, symbol: str, exchange: ExchangeId | None) -> Instrument:
    """The listed instrument that `symbol` names on `exchange`; with `None`, the symbol determines the exchange.

    Raises:
        InvalidInput: It looks like the name of a list but is not one, such as `top20`.
        NotFound: `DATA_UNAVAILABLE`, with the closest listed symbols.
    """
    if re.fullmatch(r"top\d+", symbol):
        raise InvalidInput(f"{show(symbol)} is not one of the lists", suggestion=f"Use {', '.join(KEYWORDS)}")
    return feed.listing(resolve(symbol, exchange)).instrument


def _check_market_type(exchange: ExchangeId, market_type: MarketType | None) -> None:
    own = EXCHANGES[exchange].market_type
    if market_type in {None, own}:
        return
    fitting = [e.id for e in EXCHANGES.values() if e.market_type == market_type]
    raise InvalidInput(
        f"{exchange} trades {own}, not {market_type}",
        suggestion=f"Leave market_type out, or ask {', '.join(fitting)}",
    )


def _sectors(listing: InstrumentListing) -> tuple[str, ...]:
    return () if listing.sector is None else (listing.sector,)


def _with_word(
    field: str,
    word: str,
    exchange: ExchangeId,
    listed: Sequence[InstrumentListing],
    words: Callable[[InstrumentListing], Iterable[str]],
) -> list[InstrumentListing]:
    """The listings that match `word`, ignoring case."""
    wanted = fold(word)
    carrying = [one for one in listed if any(fold(each) == wanted for each in words(one))]
    if carrying:
        return carrying
    known = sorted({each for one in listed for each in words(one)})
    raise InvalidInput(f"{exchange} has no {field} {show(word)}", suggestion=f"Choose one of {', '.join(known)}")
