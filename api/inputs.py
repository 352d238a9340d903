"""Requests, and input types that accept values with one clear meaning and refuse others: value, rule and what to do.

They cost nothing in a tool's schema: it shows the plain type, and the tolerance is in the validators. Symbols are read
by their form alone, in any dialect, and a prefix may name the exchange. Only the service knows what is really listed.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Annotated, Any, ClassVar, Final, Literal, cast, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from api.errors import InvalidInput, fold, is_hidden, respelling
from api.exchanges import EXCHANGE_ALIASES, EXCHANGES, MARKET_TYPE_ALIASES, ExchangeId, MarketType
from api.symbols import Instrument, exchange_id, resolve
from api.times import Timeframe

_UNSET: Final = object()


def reject(
    rule: str, suggestion: str = "", *, fixed: object = _UNSET, field: str = "", complete: bool = False
) -> PydanticCustomError:
    """A validator's refusal: `raise reject("must be ...", "Write ...", fixed="BTC/USDT")`.

    Args:
        rule: What the value must be, continuing the sentence "<field> <value> ...".
        suggestion: What to do instead, as a sentence.
        fixed: The value that was certainly meant, for the corrected call. Left out if unknown.
        field: For validators of whole models: the field the refusal is about.
        complete: `rule` is a whole sentence that names field and value itself.
    """
    context: dict[str, Any] = {"rule": rule, "suggestion": suggestion, "field": field, "complete": complete}
    if fixed is not _UNSET:
        context["fixed"] = fixed
    return PydanticCustomError("refused", "{rule}", context)


_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?")
_EXACT_BELOW: Final = 2**53
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


def one_of(
    choices: Iterable[str], aliases: Mapping[str, str] | None = None, *, absent: Mapping[str, str] | None = None
) -> BeforeValidator:
    """A closed set of words in any capitals: `Annotated[Side, one_of(get_args(Side))]`.

    Args:
        choices: The words, as they go over the wire.
        aliases: Other folded spellings with one clear meaning, and the word they stand for.
        absent: Folded words that mean something that is not offered, and what to do instead.
    """
    words = tuple(choices)
    by_folded = {**{fold(w): w for w in words}, **(aliases or {})}

    def choose(value: object) -> object:
        if isinstance(value, str) and value in words:
            return value
        rule = f"must be one of {', '.join(words)}"
        if not isinstance(value, str):
            raise reject(rule)
        chosen = by_folded.get(fold(value[:100]))
        if chosen is not None:
            return chosen
        instead = (absent or {}).get(fold(value[:100]))
        meant = respelling(value, words) if instead is None else None
        if meant is not None:
            raise reject(rule, f"Did you mean {meant}?", fixed=meant)
        raise reject(rule, instead or "")

    return BeforeValidator(choose)


def _timeframe(value: object) -> object:
    """Bar lengths: `1H` and `60m` mean 1h, but `1M` means a month elsewhere, so it is not a minute here."""
    rule = f"must be one of {', '.join(get_args(Timeframe))}"
    if not isinstance(value, str):
        raise reject(rule, "Write it as a string such as 1h.")
    text = value.strip()
    if text in get_args(Timeframe):
        return text
    if text.endswith("M") and text[:-1].isdigit():
        raise reject(f"{rule}; M is not a unit here", "A lower-case m counts minutes.")
    chosen = _TIMEFRAME_ALIASES.get(fold(text[:20]))
    if chosen is None:
        raise reject(rule)
    return chosen


_TIMEFRAME_SPELLINGS: Final[dict[Timeframe, str]] = {
    "1m": "1m m1 1min 1minute",
    "5m": "5m m5 5min 5minutes",
    "15m": "15m m15 15min 15minutes",
    "30m": "30m m30 30min 30minutes",
    "1h": "1h h1 60m 1hour hourly",
    "2h": "2h h2 120m 2hours",
    "4h": "4h h4 240m 4hours",
    "6h": "6h h6 360m 6hours",
    "8h": "8h h8 480m 8hours",
    "12h": "12h h12 720m 12hours",
    "1d": "1d d1 24h 1440m 1day daily",
    "1w": "1w w1 7d 10080m 1week weekly",
}
_TIMEFRAME_ALIASES: Final = {word: t for t, words in _TIMEFRAME_SPELLINGS.items() for word in words.split()}


def whole_number(value: object) -> object:
    """An int, also as digits in a string or as 5.0; never a boolean."""
    rule = "must be a whole number"
    if isinstance(value, bool):
        raise reject(rule, "Write digits, not true or false.")
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip(" ")):
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < _EXACT_BELOW:
        return int(value)
    if not isinstance(value, int) or value.bit_length() > 64:
        raise reject(rule)
    return value


def finite_number(value: object) -> object:
    """A float other than NaN and infinity, also as decimal text; never a boolean."""
    rule = "must be a finite number"
    if isinstance(value, bool):
        raise reject(rule, "Write digits, not true or false.")
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip(" ")):
        value = float(value)
    if isinstance(value, int) and value.bit_length() <= 1000:
        value = float(value)
    if not isinstance(value, float) or not math.isfinite(value):
        raise reject(rule, "Write plain digits such as 0.05.")
    return value


def _identifier(value: object) -> object:
    """An id in the form that other calls return. Whole numbers pass as long as JSON carries them exactly."""
    rule = "must be an id of 1-128 characters out of A-Z a-z 0-9 _ . : -"
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < _EXACT_BELOW:
            raise reject("is a number that is too long to be exact in JSON", "Write the id as a string, in quotes.")
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    if _ID.fullmatch(text) is None or text in {".", ".."}:
        raise reject(rule, "Copy the id from the result that named it.")
    return text


def listed(value: object) -> object:
    """A list, also as JSON text, as comma-separated words, or as a single word."""
    if isinstance(value, list | tuple):
        return cast("object", value)
    if not isinstance(value, str) or not value.strip():
        raise reject("must be a list of strings", 'Write it as ["A", "B"].')
    text = value.strip()
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return _from_json(text, list, 'must be a list such as ["A", "B"]')


def json_object(value: object) -> object:
    """An object, also as JSON text."""
    if isinstance(value, str) and value.strip().startswith("{"):
        return _from_json(value.strip(), dict, "must be an object")
    return value


def _from_json(text: str, kind: type[list[object]] | type[dict[str, object]], rule: str) -> object:
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        raise reject(f"{rule}; this text is not valid JSON", "Send it as JSON, not as a string.") from None
    if not isinstance(parsed, kind):
        raise reject(rule)
    return cast("object", parsed)


def _visible(value: str) -> str:
    """Text without hidden characters."""
    for character in dict.fromkeys(value):
        if is_hidden(character):
            name = unicodedata.name(character, f"U+{ord(character):04X}")
            raise reject(f"must be plain text, but contains {name}", "Leave invisible characters out.")
    return value


def _day(value: object) -> object:
    """A calendar day. An ISO time at midnight is that day; slashes pass where the year comes first."""
    rule = "must be a date, YYYY-MM-DD"
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    text = value.strip().replace("/", "-") if isinstance(value, str) else ""
    matched = re.fullmatch(r"(\d{4}-\d{2}-\d{2})([T ]00:00(:00(\.0+)?)?(Z|\+00:00)?)?", text, re.ASCII)
    if matched is None:
        raise reject(rule, "Write it as 2024-01-31.")
    try:
        return date.fromisoformat(matched[1])
    except ValueError:
        raise reject("must be a day that exists", "Write it as 2024-01-31.") from None


def _moment(value: object) -> object:
    """A point in time as ISO 8601 UTC: from ISO text (UTC where it names no zone), or unix seconds or milliseconds."""
    rule = "must be an ISO 8601 date or time, or unix seconds"
    suggestion = "Write it as 2024-01-31 or 2024-01-31T12:00:00Z."
    moment: datetime | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        moment = _from_unix(value)
    elif isinstance(value, str):
        text = value.strip()
        moment = _from_unix(int(text)) if re.fullmatch(r"[0-9]{9,13}", text) else _from_iso(text)
    if moment is None:
        raise reject(rule, suggestion)
    if not _EARLIEST <= moment < _LATEST:
        raise reject("must lie between the years 2000 and 2100", suggestion)
    return iso(moment)


def _from_unix(value: float) -> datetime | None:
    if not 0 <= value < 1e14:
        return None
    seconds = value / 1000 if value >= 1e11 else value
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _from_iso(text: str) -> datetime | None:
    if len(text) > 40 or re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def iso(moment: datetime) -> str:
    """ISO 8601 UTC with a Z, and a fraction only if it is not zero."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def unix(moment: str) -> float:
    """Unix seconds of a `Moment`."""
    return datetime.fromisoformat(moment).timestamp()


RiskProfile = Literal["conservative", "moderate", "aggressive"]
SortOrder = Literal["asc", "desc"]

ExchangeInput = Annotated[ExchangeId, one_of(get_args(ExchangeId), EXCHANGE_ALIASES)]
VenueInput = Annotated[ExchangeInput, WithJsonSchema({"type": "string"})]
"""The same without the list of all of them, where it only narrows an answer."""
MarketTypeInput = Annotated[MarketType, one_of(get_args(MarketType), MARKET_TYPE_ALIASES)]
TimeframeInput = Annotated[Timeframe, BeforeValidator(_timeframe), WithJsonSchema({"type": "string"})]
"""Shown as plain text, which saves tokens; a wrong value gets the list of choices."""
RiskProfileInput = Annotated[RiskProfile, one_of(get_args(RiskProfile))]
OrderInput = Annotated[SortOrder, one_of(get_args(SortOrder), {"ascending": "asc", "descending": "desc"})]

Whole = Annotated[int, BeforeValidator(whole_number)]
"""A whole number; bounds come with `Field(ge=..., le=...)`."""

Number = Annotated[float, BeforeValidator(finite_number)]
"""A finite float that is not money (a percentage, a z-score); bounds come with `Field`."""

Identifier = Annotated[str, BeforeValidator(_identifier)]
"""An id in a path."""

Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""A list of strings. With lengths, write `Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(listed)]`:
after the validator pydantic would describe the lengths as a string's."""

Text = Annotated[str, AfterValidator(_visible)]
"""Free text; lengths come with `Field`."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A calendar day, UTC."""

Moment = Annotated[str, BeforeValidator(_moment)]
"""A point in time, normalised to ISO 8601 UTC text."""


def _web_address(value: object) -> object:
    """An absolute http(s) URL with a host and without user names, spaces or fragments. Its target is judged later."""
    rule = "must be a web address such as https://example.com/hook"
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > 2048 or re.fullmatch(r"[\x21-\x7e]+", text) is None:
        raise reject(rule)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
        parts = None
    if not usable or parts is None or parts.username is not None or parts.fragment:
        raise reject(rule, "Leave user names, passwords and #fragments out.")
    return text


WebAddress = Annotated[str, BeforeValidator(_web_address)]
"""An absolute http(s) URL."""


UNIVERSE_KEYWORDS: Final = ("top30", "top50", "top100", "trending", "defi")
"""Words for a list of symbols that the service fills in; an addition to API 1.0.4."""


def address_symbol(data: Any) -> Any:
    """Rewrite `symbol` as the API writes it, and set `exchange` where only the symbol names it."""
    if not isinstance(data, Mapping):
        return data
    given = dict(cast("Mapping[str, Any]", data))
    exchange, readable = exchange_of(given)
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
    exchange, readable = exchange_of(given)
    members = _members(given.get("universe"))
    if not readable or members is None:
        return given
    instruments = [m if m in UNIVERSE_KEYWORDS else _resolved(m, exchange, "universe") for m in members]
    venues = {i.exchange for i in instruments if isinstance(i, Instrument)}
    if len(venues) > 1:
        raise reject(
            f"must be on one exchange, but names {', '.join(sorted(venues))}",
            "Make one call for each exchange.",
            field="universe",
        )
    symbols = dict.fromkeys(i.symbol if isinstance(i, Instrument) else i for i in instruments)
    venue = {"exchange": venues.pop()} if venues else {}
    return {**given, "universe": tuple(symbols), **venue}


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


def exchange_of(given: Mapping[str, Any]) -> tuple[ExchangeId | None, bool]:
    """The exchange given, and whether it can be read; the field refuses a wrong one."""
    written = given.get("exchange")
    if written is None:
        return None, True
    exchange = exchange_id(written) if isinstance(written, str) and len(written) <= 100 else None
    return exchange, exchange is not None


def _members(universe: object) -> list[str] | None:
    """The words of a universe, or `None` if the field must refuse it."""
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
    return reject("must be a string: JSON numbers of that length are not exact", "Write it in quotes.", field="symbol")


class Request(BaseModel):
    """What an endpoint accepts. Exact: an unknown field is an error, never dropped.

    A null for an argument that has a default and cannot be null means that it was not given.

    Attributes:
        synonyms: Other usual names of arguments, with exactly the argument's meaning and unit.
        absent: Usual names of what this request does not have, and what to do instead.
        additions: Fields that only the embedded engine reads; the hosted service would ignore them.
    """

    synonyms: ClassVar[Mapping[str, str]] = {}
    absent: ClassVar[Mapping[str, str]] = {}
    additions: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, Any]", data)
        return {name: value for name, value in given.items() if value is not None or not cls._drops_null(name)}

    @classmethod
    def _drops_null(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and not field.is_required() and NoneType not in get_args(field.annotation)
