"""Importing: which files are read, which are refused and with which message, and that no import is left half done."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from api.errors import InvalidInput, NotFound
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.importing import ImportReport, list_imports, remove_import
from engine.store.candles import all_series, read_block
from engine.store.database import Store, default_url
from tests.candle_files import import_file

BTC = Instrument("binance", "BTC", "USDT")
START = 1_704_067_200  # 2024-01-01
HOUR = 3_600
HEADER = "time,open,high,low,close,volume\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(default_url(tmp_path / "home"))
    yield opened
    opened.close()


def _row(hour: int, values: str = "10,12,9,11,5") -> str:
    return f"{START + hour * HOUR},{values}\n"


def _file(folder: Path, text: str, name: str = "c.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _import(store: Store, path: Path, *, allow_gaps: bool = False, replace: bool = False) -> ImportReport:
    return import_file(store, path, BTC, "1h", allow_gaps=allow_gaps, replace=replace)


def _stored(store: Store) -> list[list[float]]:
    series = store.read_now(all_series)
    return store.read_now(lambda c: read_block(c, series[0].id)).T.tolist() if series else []


def _closes(store: Store) -> list[float]:
    return [row[4] for row in _stored(store)]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + _row(0) + _row(1),
        HEADER + _row(1) + _row(0),
        "# exported by hand\n" + HEADER + _row(0) + _row(1),
        "https://www.cryptodatadownload.com\n" + HEADER + _row(0) + _row(1),
        "\ufeff" + HEADER.upper() + _row(0) + _row(1),
        HEADER + _row(0) + "\n" + _row(1) + "\n",
        (HEADER + _row(0) + _row(1)).replace(",", ";"),
        (HEADER + _row(0) + _row(1)).replace(",", "\t"),
        (HEADER + _row(0) + _row(1)).replace("\n", "\r\n"),
        HEADER + _row(0, '"10","12","9","11","5"') + _row(1),
        HEADER + f"{START}000,10,12,9,11,5\n{START + HOUR}000,10,12,9,11,5\n",
        HEADER + f"{START}000000,10,12,9,11,5\n{START + HOUR}000000,10,12,9,11,5\n",
        HEADER + f"{START}000000000,10,12,9,11,5\n{START + HOUR}000000000,10,12,9,11,5\n",
        HEADER + f"{START},10,12,9,11,5\n{START + HOUR}000,10,12,9,11,5\n",
        HEADER + "2024-01-01 00:00:00,10,12,9,11,5\n2024-01-01 01:00:00,10,12,9,11,5\n",
        HEADER + "2024-01-01T00:00:00Z,10,12,9,11,5\n2024-01-01T01:00:00Z,10,12,9,11,5\n",
        HEADER + "2024-01-01T09:00:00+09:00,10,12,9,11,5\n2024-01-01T10:00:00+09:00,10,12,9,11,5\n",
        "unix,date,symbol,open,high,low,close,volume,Volume USD\n"
        f"{START},x,BTC/USD,10,12,9,11,5,55\n{START + HOUR},x,BTC/USD,10,12,9,11,5,55\n",
        "Volume USDT,Volume BTC,Close,Low,High,Open,Date\n"
        "55,5,11,9,12,10,2024-01-01\n55,5,11,9,12,10,2024-01-01 01:00\n",
        "Open Time,Open,High,Low,Close,Volume,Close Time\n"
        f"{START}000,10,12,9,11,5,0\n{START + HOUR}000,10,12,9,11,5,0\n",
    ],
)
def test_the_same_two_bars_are_read_from_many_ways_of_writing_them(store: Store, tmp_path: Path, text: str) -> None:
    report = _import(store, _file(tmp_path, text))

    assert (report.added, report.start, report.end, report.missing) == (2, START, START + HOUR, 0)
    assert _stored(store) == [[START + h * HOUR, 10, 12, 9, 11, 5] for h in (0, 1)]


def test_newest_first_is_turned_round_and_said(store: Store, tmp_path: Path) -> None:
    report = _import(
        store, _file(tmp_path, HEADER + _row(2, "3,3,3,3,1") + _row(1, "2,2,2,2,1") + _row(0, "1,1,1,1,1"))
    )

    assert _closes(store) == [1, 2, 3]
    assert "newest first" in report.notes[0]


@pytest.mark.parametrize(
    ("faulty", "line", "said"),
    [
        (_row(2, "10,12,9,nan,5"), 4, "finite number"),
        (_row(2, "10,inf,9,11,5"), 4, "finite number"),
        (_row(2, "10,12,9,,5"), 4, "close '' is not a number"),
        (_row(2, "10,12,9,eleven,5"), 4, "close 'eleven' is not a number"),
        (_row(2, "1_0,12,9,11,5"), 4, "open '1_0' is not a number"),
        (_row(2, "\uff11\uff10,12,9,11,5"), 4, "open '\uff11\uff10' is not a number"),
        (_row(2, "10,12,0,11,5"), 4, "prices are above 0"),
        (_row(2, "-10,12,-11,11,5"), 4, "prices are above 0"),
        (_row(2, "10,12,9,11,-5"), 4, "volume is not negative"),
        (_row(2, "10,9,12,11,5"), 4, "high is not below its low"),
        (_row(2, "10,10.5,9,11,5"), 4, "high is not below its open or close"),
        (_row(2, "10,12,10.5,11,5"), 4, "low is not above its open or close"),
        (_row(2, "10,12,9,11"), 4, "has 5 fields, the header has 6"),
        (_row(2, "10,12,9,11,5,6"), 4, "has 7 fields, the header has 6"),
        (_row(2, '10,"12,9,11,5'), 4, "is not CSV"),
        (_row(1), 4, "same time"),
        (_row(-5), 4, "sorted by time"),
        (f"{START + 2 * HOUR + 60},10,12,9,11,5\n", 4, "multiple of 1h"),
        (f"{START + 2 * HOUR}.5,10,12,9,11,5\n", 4, "multiple of 1h"),
        ("yesterday,10,12,9,11,5\n", 4, "time 'yesterday' is not a time"),
        ("20240101,10,12,9,11,5\n", 4, "between 1990 and now"),
        ("4102444800,10,12,9,11,5\n", 4, "between 1990 and now"),
        (_row(7), 4, "bars are missing between 2024-01-01T01:00:00Z and 2024-01-01T07:00:00Z"),
    ],
)
def test_a_faulty_row_is_named_and_nothing_is_imported(
    store: Store, tmp_path: Path, faulty: str, line: int, said: str
) -> None:
    path = _file(tmp_path, HEADER + _row(0) + _row(1) + faulty)

    with pytest.raises(InvalidInput) as refusal:
        _import(store, path)

    assert f"line {line} of c.csv" in refusal.value.message
    assert said in refusal.value.message
    assert refusal.value.suggestion
    assert list_imports(store) == ()


@pytest.mark.parametrize("count", [3, 25_000])
def test_the_line_is_right_after_comments_empty_lines_and_many_rows(store: Store, tmp_path: Path, count: int) -> None:
    rows = "".join(_row(h) for h in range(-count, 0))
    path = _file(tmp_path, "# one\n# two\n" + HEADER + rows + "\n" + _row(0, "10,12,9,x,5"))

    with pytest.raises(InvalidInput, match=f"line {count + 5} of c.csv: close 'x'"):
        _import(store, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no header line"),
        (HEADER, "no rows"),
        ("a,b,c,d,e,f\n1,2,3,4,5,6\n", "no column for time, open"),
        ("time,open,high,low,close,Volume USD\n1,2,3,4,5,6\n", "which of Volume USD is the volume"),
        ("time,open,Open,high,low,close,volume\n1,2,2,3,4,5,6\n", "both named 'open'"),
        (HEADER + "".join(f"{START + i * 900},10,12,9,11,5\n" for i in range(9)), "bars that are 15m apart, not 1h"),
        (HEADER + "".join(f"{START + i * 10800},10,12,9,11,5\n" for i in range(9)), "bars that are 10800 s apart"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(store: Store, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        _import(store, _file(tmp_path, text))

    assert said in refusal.value.message
    assert refusal.value.suggestion


def test_files_that_are_not_there_or_no_text_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"time;\xff\xfe\n")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")

    for path, said in (
        (tmp_path / "none.csv", "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "latin.csv", "not UTF-8"),
        (tmp_path / "x.parquet", "not a Parquet file"),
    ):
        with pytest.raises(InvalidInput, match=said):
            _import(store, path)


def test_gaps_are_accepted_when_allowed_and_stay_empty(store: Store, tmp_path: Path) -> None:
    report = _import(store, _file(tmp_path, HEADER + _row(0) + _row(1) + _row(2) + _row(9)), allow_gaps=True)

    assert report.missing == 6
    assert "6 bars are missing" in report.notes[0]
    assert [series.missing for series in list_imports(store)] == [6]


def test_the_open_bar_is_left_out_and_said(store: Store, tmp_path: Path) -> None:
    path = _file(tmp_path, HEADER + _row(0) + _row(1) + _row(2))
    report = import_file(store, path, BTC, "1h", clock=AcceleratedClock(START + 2 * HOUR + 600))

    assert (report.added, report.end) == (2, START + HOUR)
    assert "not closed" in report.notes[0]


def test_the_same_file_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = _file(tmp_path, HEADER + _row(0) + _row(1))
    _import(store, path)
    revision = store.read_now(all_series)[0].revision
    report = _import(store, path)

    assert (report.added, report.replaced, report.unchanged) == (0, 0, 2)
    assert store.read_now(all_series)[0].revision == revision


def test_an_overlapping_file_adds_what_is_new_before_and_after(store: Store, tmp_path: Path) -> None:
    _import(store, _file(tmp_path, HEADER + "".join(_row(h) for h in range(5, 8))))
    report = _import(store, _file(tmp_path, HEADER + "".join(_row(h) for h in range(10))))

    assert (report.added, report.unchanged) == (7, 3)
    assert [row[0] for row in _stored(store)] == [START + h * HOUR for h in range(10)]


def test_a_contradicting_row_is_refused_unless_it_may_replace(store: Store, tmp_path: Path) -> None:
    _import(store, _file(tmp_path, HEADER + _row(0) + _row(1)))
    changed = _file(tmp_path, HEADER + _row(1, "10,12,9,10.5,5") + _row(2))

    with pytest.raises(InvalidInput, match=r"2024-01-01T01:00:00Z .*close 11.0 stored, 10.5 in the file"):
        _import(store, changed)
    assert _closes(store) == [11, 11]

    report = _import(store, changed, replace=True)
    assert (report.added, report.replaced) == (1, 1)
    assert _closes(store) == [11, 10.5, 11]


def test_a_hole_between_two_files_is_a_gap(store: Store, tmp_path: Path) -> None:
    _import(store, _file(tmp_path, HEADER + _row(0) + _row(1)))

    with pytest.raises(InvalidInput, match="between the two would be missing"):
        _import(store, _file(tmp_path, HEADER + _row(5) + _row(6)))
    assert len(_stored(store)) == 2

    assert _import(store, _file(tmp_path, HEADER + _row(5) + _row(6)), allow_gaps=True).missing == 3
    assert _import(store, _file(tmp_path, HEADER + _row(2) + _row(3) + _row(4))).missing == 0


def test_a_prediction_token_costs_at_most_one(store: Store, tmp_path: Path) -> None:
    path = _file(tmp_path, HEADER + _row(0, "0.4,0.6,0.3,0.5,9") + _row(1, "0.5,1.2,0.5,0.6,9"))

    with pytest.raises(InvalidInput, match=r"line 3 .*probability"):
        import_file(store, path, Instrument("polymarket", "12345678901234567890", "USDC"), "1h")


def test_removing_takes_one_timeframe_or_all_and_names_what_is_there(store: Store, tmp_path: Path) -> None:
    _import(store, _file(tmp_path, HEADER + _row(0) + _row(1)))
    import_file(store, _file(tmp_path, HEADER + f"{START},10,12,9,11,5\n"), BTC, "1d")

    with pytest.raises(NotFound, match="no 5m candles of BINANCE:BTC/USDT") as refusal:
        remove_import(store, BTC, "5m")
    assert refusal.value.suggestion == "Imported: BINANCE:BTC/USDT 1h, BINANCE:BTC/USDT 1d"

    assert remove_import(store, BTC, "1d") == 1
    assert [series.timeframe for series in list_imports(store)] == ["1h"]
    assert remove_import(store, BTC) == 2
    assert list_imports(store) == ()


TIMES: dict[str, Any] = {
    "seconds": pa.array([START, START + HOUR], pa.int64()),
    "milliseconds": pa.array([START * 1_000, (START + HOUR) * 1_000], pa.int64()),
    "timestamps": pa.array([START * 10**9, (START + HOUR) * 10**9], pa.int64()).cast(pa.timestamp("ns")),
    "zoned": pa.array([START * 1_000, (START + HOUR) * 1_000], pa.int64()).cast(pa.timestamp("ms", "Asia/Seoul")),
    "text": pa.array(["2024-01-01", "2024-01-01T01:00:00"]),
}


@pytest.mark.parametrize("kind", TIMES)
def test_parquet_is_read_with_any_kind_of_time(store: Store, tmp_path: Path, kind: str) -> None:
    prices = {"Open": [10, 10], "High": [12.0, 12.0], "low": [9.0, 9.0], "close": [11.0, 11.0], "volume": [5, 5]}
    parquet.write_table(pa.table({"Date": TIMES[kind], **prices, "other": ["x", "y"]}), tmp_path / "c.parquet")
    _import(store, tmp_path / "c.parquet")

    assert _stored(store) == [[START + h * HOUR, 10, 12, 9, 11, 5] for h in (0, 1)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"close": [11.0, None]}, "row 2 of c.parquet"),
        ({"close": [11.0, 99.0]}, "row 2 of c.parquet"),
        ({"close": ["a", "b"]}, "column close is of type string"),
        ({"time": ["2024-01-01", "soon"]}, "row 2 of c.parquet: 'soon' is not a time"),
        ({"time": [True, False]}, "column time is of type bool"),
    ],
)
def test_parquet_is_held_to_the_same_rules(
    store: Store, tmp_path: Path, change: dict[str, list[object]], said: str
) -> None:
    good: dict[str, list[object]] = {"time": [START, START + HOUR]}
    for name, value in (("open", 10.0), ("high", 12.0), ("low", 9.0), ("close", 11.0), ("volume", 5.0)):
        good[name] = [value, value]
    parquet.write_table(pa.table(good | change), tmp_path / "c.parquet")

    with pytest.raises(InvalidInput) as refusal:
        _import(store, tmp_path / "c.parquet")
    assert said in refusal.value.message
    assert list_imports(store) == ()


def test_years_of_hours_are_imported_whole(store: Store, btc_hours: Path) -> None:
    report = _import(store, btc_hours)

    assert (report.added, report.missing, report.start, report.end) == (33_259, 0, 1_526_364_000, 1_646_092_800)
    with btc_hours.open(newline="") as file:
        newest = next(csv.DictReader(file))
    columns = ("unix", "open", "high", "low", "close", "volume")
    assert _stored(store)[-1] == [float(newest[name]) for name in columns]


@settings(max_examples=60, deadline=None)
@given(
    hours=st.lists(st.integers(0, 12), min_size=1, max_size=14),
    line=st.integers(0, 13),
    values=st.lists(
        st.sampled_from(["10", "9", "12", "11", "0", "-1", "nan", "", "x", "1e400"]), min_size=5, max_size=5
    ),
)
def test_a_file_is_stored_exactly_as_it_is_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, hours: list[int], line: int, values: tuple[str, ...]
) -> None:
    folder = tmp_path_factory.mktemp("import")
    rows = [_row(hour) for hour in hours]
    if line < len(rows):
        rows[line] = _row(hours[line], ",".join(values))
    store = Store.open(default_url(folder))
    with suppress(InvalidInput):
        _import(store, _file(folder, HEADER + "".join(rows)))
    stored = _stored(store)
    store.close()

    if stored:
        written = np.array([[float(field) for field in row.split(",")] for row in rows])
        assert stored == written[np.argsort(written[:, 0])].tolist()
        assert [row[0] for row in stored] == [stored[0][0] + i * HOUR for i in range(len(stored))]
