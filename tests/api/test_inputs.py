"""Arguments as models write them: a value with one clear meaning passes, anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.inputs import (
    Day,
    ExchangeInput,
    Identifier,
    Moment,
    Number,
    Text,
    TimeframeInput,
    WebAddress,
    Whole,
    Words,
    unix,
)

ACCEPTED: list[tuple[Any, object, object]] = [
    (ExchangeInput, "Binance", "binance"),
    (ExchangeInput, "GATE.IO", "gate"),
    (ExchangeInput, "binance_futures", "binancefuturesusd"),
    (TimeframeInput, "1H", "1h"),
    (TimeframeInput, "60m", "1h"),
    (TimeframeInput, " 1D ", "1d"),
    (TimeframeInput, "15min", "15m"),
    (Whole, "5", 5),
    (Whole, 5.0, 5),
    (Whole, -3, -3),
    (Number, "0.5", 0.5),
    (Number, "-1e3", -1000.0),
    (Number, 2, 2.0),
    (Identifier, " api-01J ", "api-01J"),
    (Identifier, 1770730748798, "1770730748798"),
    (Identifier, "BINANCE:x.y_z-1", "BINANCE:x.y_z-1"),
    (Words, '["A", "B"]', ("A", "B")),
    (Words, "A, B ,", ("A", "B")),
    (Words, "A", ("A",)),
    (Words, ("A", "B"), ("A", "B")),
    (Day, "2024-02-29", date(2024, 2, 29)),
    (Day, "2024/02/29", date(2024, 2, 29)),
    (Day, "2024-02-29T00:00:00Z", date(2024, 2, 29)),
    (Moment, "2024-01-01", "2024-01-01T00:00:00Z"),
    (Moment, "2024-01-01T12:00:00+09:00", "2024-01-01T03:00:00Z"),
    (Moment, "2024-01-01 12:00", "2024-01-01T12:00:00Z"),
    (Moment, 1704067200, "2024-01-01T00:00:00Z"),
    (Moment, 1704067200000, "2024-01-01T00:00:00Z"),
    (Moment, "1704067200", "2024-01-01T00:00:00Z"),
    (Text, "two\nlines \U0001f469\u200d\U0001f4bb", "two\nlines \U0001f469\u200d\U0001f4bb"),
    (Text, "\u2764\ufe0f caf\u00e9 \uc5c5\ube44\ud2b8", "\u2764\ufe0f caf\u00e9 \uc5c5\ube44\ud2b8"),
    (WebAddress, "https://example.com:8443/hook?a=1", "https://example.com:8443/hook?a=1"),
]

REFUSED: list[tuple[Any, object]] = [
    *[(ExchangeInput, v) for v in ("nasdaq", "", 5, None, ["binance"], "binance upbit")],
    *[(TimeframeInput, v) for v in ("1M", "2w", "45m", 60, "", None, "h" * 10_000)],
    *[(Whole, v) for v in (True, "5.5", 5.5, "", None, "\uff15", "5_0", float("nan"), float("inf"), 10**400, "1e3")],
    *[(Number, v) for v in (True, "nan", "inf", float("nan"), 10**400, "0x1", "1_0", None, "")],
    *[(Identifier, v) for v in ("", ".", "..", "a/b", "a b", "a%2Fb", "\u00e9", "x" * 129, 2**53, -1, 1.5, True, None)],
    *[(Words, v) for v in ("", "[1, 2", 5, None, {"a": 1}, [1], "[" * 100_000)],
    *[(Day, v) for v in ("2024-02-30", "29.02.2024", "2024-2-9", "today", 20240229, None, "2024-02-29T12:00:00Z")],
    *[(Moment, v) for v in ("yesterday", "1999-01-01", "2100-01-01", True, None, "", 1e300, -1, "9" * 40)],
    (Moment, "\u0661" * 10),
    *[(Text, v) for v in ("bell\x07", "over\u202eride", "zero\u200bwidth", 5, None)],
    *[(Text, v) for v in ("line\u2028end", "\u3164", "a\ufe01\ufe02", "a\U000e0141", "tag\U000e0041", "\u2800")],
    *[(WebAddress, v) for v in ("example.com", "javascript:alert(1)", "https://", "https://u:p@x.io", 5)],
    (WebAddress, "https://x.io/#f"),
    *[(WebAddress, v) for v in ("https://x .io", "https://x.io:99999", "https://[::1", "file:///etc")],
]  # fmt: skip


def _ids(cases: Sequence[tuple[Any, ...]]) -> list[str]:
    return [f"{number}-{case[1]!r}"[:40] for number, case in enumerate(cases)]


@pytest.mark.parametrize(("kind", "written", "meant"), ACCEPTED, ids=_ids(ACCEPTED))
def test_one_clear_meaning_is_accepted(kind: Any, written: object, meant: object) -> None:
    assert TypeAdapter(kind).validate_python(written) == meant


@pytest.mark.parametrize(("kind", "written"), REFUSED, ids=_ids(REFUSED))
def test_anything_else_is_refused(kind: Any, written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(written)


@given(st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2099, 12, 31)))  # noqa: DTZ001 - zone is added
def test_a_moment_is_its_own_normal_form(when: datetime) -> None:
    moments: TypeAdapter[str] = TypeAdapter(Moment)

    moment = moments.validate_python(when.isoformat())
    assert moments.validate_python(moment) == moment
    assert unix(moment) == pytest.approx(when.replace(tzinfo=UTC).timestamp())
