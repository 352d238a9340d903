"""Symbols within requests: any dialect becomes what the endpoint takes, and a prefix may name the exchange.

These run before a model's own validation (`model_validator(mode="before")`) and read symbols by their form alone:
what is really listed, only the service knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pydantic_core import PydanticCustomError

from .errors import InvalidInput
from .exchanges import EXCHANGES, MARKET_TYPE_ALIASES, ExchangeId, MarketType
from .inputs import listed
from .refusals import reject
from .symbols import Instrument, exchange_id, resolve
from .text import fold

UNIVERSE_KEYWORDS: Final = ("top30", "top50", "top100", "trending", "defi")
"""Words that stand for a list of symbols, which the service fills in; an addition to API 1.0.4."""


def address_symbol(data: Any) -> Any:
    """Rewrite `symbol` as the API writes it, and set `exchange` where only the symbol names it."""
    if not isinstance(data, Mapping):
        return data
    given = dict(cast("Mapping[str, Any]", data))
    exchange, readable = _exchange_of(given)
    symbol = given.get("symbol")
    if not readable or symbol is None or not isinstance(symbol, str | int) or isinstance(symbol, bool):
        return given
    if isinstance(symbol, int):
        raise _long_number(symbol)
    instrument = _resolved(symbol, exchange, "symbol")
    return {**given, "symbol": instrument.symbol, "exchange": instrument.exchange}


def address_universe(data: Any) -> Any:
    """The same for a `universe` on one exchange. Repeated symbols are kept once; keywords stay as they are."""
    if not isinstance(data, Mapping):
        return data
    given = dict(cast("Mapping[str, Any]", data))
    exchange, readable = _exchange_of(given)
    members = _members(given.get("universe"))
    if not readable or members is None:
        return given
    instruments = [m if m in UNIVERSE_KEYWORDS else _resolved(m, exchange, "universe") for m in members]
    venues = {i.exchange for i in instruments if isinstance(i, Instrument)}
    if len(venues) > 1:
        raise reject(
            f"must lie on one exchange, but names {', '.join(sorted(venues))}",
            "Make one call for each exchange.",
            field="universe",
        )
    symbols = dict.fromkeys(i.symbol if isinstance(i, Instrument) else i for i in instruments)
    venue = {"exchange": venues.pop()} if venues else {}
    return {**given, "universe": tuple(symbols), **venue}


def fill_market_type(data: Any) -> Any:
    """Set `market_type` to the exchange's only one; alone, `market_type` chooses the exchange."""
    if not isinstance(data, Mapping):
        return data
    given = dict(cast("Mapping[str, Any]", data))
    exchange, readable = _exchange_of(given)
    wanted = given.get("market_type")
    if not readable:
        return given
    if wanted is None:
        return {**given, "market_type": EXCHANGES[exchange or "binance"].market_type}
    if exchange is None and isinstance(wanted, str):
        exchange = _FIRST_OF_TYPE.get(MARKET_TYPE_ALIASES.get(fold(wanted[:100]), fold(wanted[:100])))
        return {**given, "exchange": exchange} if exchange else given
    return given


def check_market_type(exchange: ExchangeId, market_type: MarketType | None) -> None:
    """Refuse a market type that `exchange` does not trade.

    Raises:
        PydanticCustomError: About the field `market_type`. Which of the two was meant is not guessed.
    """
    own = EXCHANGES[exchange].market_type
    if market_type not in {None, own}:
        others = [e.id for e in EXCHANGES.values() if e.market_type == market_type]
        raise reject(
            f"does not fit exchange {exchange}, which trades {own} only",
            f"Use market_type={own}, or exchange={' or '.join(others)}.",
            field="market_type",
        )


_FIRST_OF_TYPE: Final[dict[str, ExchangeId]] = {
    "spot": "binance",
    "perpetual": "binancefuturesusd",
    "prediction": "polymarket",
}


def _exchange_of(given: Mapping[str, Any]) -> tuple[ExchangeId | None, bool]:
    """The exchange given, and whether it can be read; a wrong one is left for the field to refuse."""
    written = given.get("exchange")
    if written is None:
        return None, True
    exchange = exchange_id(written) if isinstance(written, str) and len(written) <= 100 else None
    return exchange, exchange is not None


def _members(universe: object) -> list[str] | None:
    """The words of a universe, or `None` where the field has to refuse it."""
    try:
        words = listed(universe)
    except PydanticCustomError:
        return None
    if not isinstance(words, Sequence) or len(cast("Sequence[object]", words)) > 1000:
        return None
    members = [w.strip() for w in cast("Sequence[object]", words) if isinstance(w, str)]
    if len(members) != len(cast("Sequence[object]", words)):
        return None
    return [m.lower() if m.lower() in UNIVERSE_KEYWORDS else m for m in members]


def _resolved(symbol: str, exchange: ExchangeId | None, field: str) -> Instrument:
    try:
        return resolve(symbol, exchange)
    except InvalidInput as wrong:
        raise reject(wrong.message, wrong.suggestion, field=field, complete=True) from None


def _long_number(symbol: int) -> PydanticCustomError:
    if symbol < 2**53:
        return reject("must be a string", "Write it as BTC/USDT.", field="symbol")
    return reject(
        "must be a string: JSON carries numbers of that length inexactly", "Write it in quotes.", field="symbol"
    )
