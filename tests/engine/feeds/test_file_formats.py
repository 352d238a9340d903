"""The files that people have: each is read with exactly its bars, or refused with a remedy."""


# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.errors import HeyTradersError, InvalidInput
from engine.feeds.importing import ImportOptions, TableImport, import_all
from engine.store.candles import all_series, delete_series, read_block
from engine.store.database import Store, default_url
from tests.engine.feeds.file_formats import (
    ACCEPTED,
    BARS,
    BTC,
    HEADER,
    HOUR,
    HOURLY,
    LISTS,
    SECONDS,
    START,
    epoch,
    klines,
    plain,
    rows,
    zipped,
)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(default_url(tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


@pytest.fixture
def store(shared_store: Store) -> Iterator[Store]:
    yield shared_store
    shared_store.write_now(lambda c: delete_series(c, [series.id for series in all_series(c)]))


def _import(
    store: Store, folder: Path, content: str | bytes, name: str = "c.dat", **given: object
) -> tuple[TableImport, ...]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = ImportOptions(**({"instrument": BTC} | given))  # pyright: ignore[reportArgumentType] - the test's own words
    return import_all(store, [path], options)


def _stored(store: Store) -> list[list[float]]:
    series = store.read_now(all_series)
    return store.read_now(lambda c: read_block(c, series[0].id)).T.tolist() if series else []


def _refusal(outcomes: tuple[TableImport, ...]) -> HeyTradersError:
    (outcome,) = outcomes
    assert isinstance(outcome.result, HeyTradersError), outcome
    return outcome.result


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_format_that_people_have_is_read_with_its_bars(store: Store, tmp_path: Path, name: str) -> None:
    outcomes = _import(store, tmp_path, ACCEPTED[name])

    assert not [outcome for outcome in outcomes if isinstance(outcome.result, HeyTradersError)]
    expected = [[float(s), *bar] for s, bar in zip(SECONDS, BARS, strict=True)]
    if name == "float noise":
        assert "of the price at most): 1, moved" in str(outcomes[0].result)
        expected[4][2] = 98.5045
    assert _stored(store) == expected


def test_without_a_volume_it_is_zero_and_said(store: Store, tmp_path: Path) -> None:
    text = rows(lambda at, bar: f"{at:%Y-%m-%dT%H:%M:%SZ},{plain(bar[:4])}", "time,open,high,low,close")
    (outcome,) = _import(store, tmp_path, text)

    assert "There is no volume" in str(outcome.result)
    assert _stored(store) == [[s, *bar[:4], 0.0] for s, bar in zip(SECONDS, BARS, strict=True)]


def test_the_volume_of_yahoo_is_doubted_in_a_remark(store: Store, tmp_path: Path) -> None:
    (outcome,) = _import(store, tmp_path, ACCEPTED["yfinance"])

    assert "Yahoo counts the volume of coins in money" in str(outcome.result)


@pytest.mark.parametrize(("name", "kind"), [("ticks of .NET", ".NET ticks"), ("days of Excel", "days of Excel")])
def test_dates_as_numbers_are_said_and_carry_no_timezone(store: Store, tmp_path: Path, name: str, kind: str) -> None:
    (told,) = _import(store, tmp_path, ACCEPTED[name], dry_run=True)
    (moved,) = _import(store, tmp_path, ACCEPTED[name], timezone="Asia/Seoul", dry_run=True)

    assert kind in str(told.result)
    assert "have no timezone" in str(told.result)
    assert not isinstance(moved.result, HeyTradersError)
    assert moved.result.start == START - 9 * HOUR


def test_thousands_are_read_where_they_cannot_be_decimals(store: Store, tmp_path: Path) -> None:
    days = [f'2024-01-0{i + 1},"100,{i}00.0","100,900.0","98,800.0","99,100.5","1,000"' for i in range(5)]
    spaced = [line.replace(",100.5", "\u00a0100.5") for line in days]
    for text in ("\n".join((HEADER, *days)), "\n".join((HEADER, *spaced))):
        (outcome,) = _import(store, tmp_path, text, replace=True)
        assert not isinstance(outcome.result, HeyTradersError), outcome
        assert [row[1:] for row in _stored(store)] == [
            [100_000 + 100 * i, 100_900, 98_800, 99_100.5, 1_000] for i in range(5)
        ]


def test_volumes_in_thousands_and_millions_are_counted(store: Store, tmp_path: Path) -> None:
    text = (
        'Date,Price,Open,High,Low,Vol.,Change %\n"Jan 02, 2024","44,000.5","43,000.5","45,000.5","42,000.5",1.25K,2%\n'
    )
    text += '"Jan 01, 2024","43,000.5","42,500.5","43,500.5","42,000.5",2.5M,1%\n'
    _import(store, tmp_path, text)

    assert [row[1:] for row in _stored(store)] == [
        [42_500.5, 43_500.5, 42_000.5, 43_000.5, 2_500_000],
        [43_000.5, 45_000.5, 42_000.5, 44_000.5, 1_250],
    ]


AMBIGUOUS_DAYS = "".join(f"03/04/2024 0{i}:00,{plain(bar)}\n" for i, bar in enumerate(BARS))
DOTTED = "time;open;high;low;close;volume\n" + "".join(f"2024-01-0{d};42.000;43.000;41.000;42.500;10\n" for d in (1, 2))
COINBASE = "".join(f"{s},{b[2]},{b[1]},{b[0]},{b[3]},{b[4]}\n" for s, b in zip(SECONDS, BARS, strict=True))
BITFINEX = json.dumps([[s * 1_000, b[0], b[3], b[1], b[2], b[4]] for s, b in zip(SECONDS, BARS, strict=True)])

REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "42.000 behind a semicolon": (
        DOTTED,
        "line 2 of c.dat: a number is 42 with a decimal point and 42000",
        "--decimal",
    ),
    "day and month in doubt": (HEADER + "\n" + AMBIGUOUS_DAYS, "line 2 of c.dat: the date may be", "2024-01-31"),
    "thousands or decimals": (f'{HEADER}\n2024-01-01,"1,000","1,200","1,000","1,100","10"\n', "line 2", "--decimal"),
    "points and commas in one file": (
        HEADER.replace(",", ";") + "\n2024-01-01;1,5;1,5;1,5;1,5;1\n2024-01-02;1.5;1.5;1.5;1.5;1\n",
        "line 3 of c.dat: open '1.5' is not a number",
        "in one way",
    ),
    "the order of Coinbase": (COINBASE, "but they are as time,low,high,open,close,volume", "--columns time,low,high"),
    "the order of Bitfinex": (BITFINEX, "but they are as time,open,close,high,low,volume", "--columns time,open,close"),
    "prices only": (
        "snapped_at,price,market_cap,total_volume\n2024-01-01,1,2,3\n",
        "no header line",
        "names the columns",
    ),
    "a volume in money": (
        "timeOpen;open;high;low;close;volume;marketCap\n2024-01-01;1.5;1.5;1.5;1.5;9;9\n",
        "money",
        "volume=-",
    ),
    "a volume with dollar signs": (
        f'{HEADER}\n{START},$1,$1,$1,$1,"$1,234.5"\n',
        "line 2 of c.dat: volume '$1,234.5' counts money",
        "volume=-",
    ),
    "a volume named after the dollar": (
        f"time,open,high,low,close,Volume (USDT)\n{START},1,1,1,1,1\n",
        "Volume (USDT)",
        "volume=NAME",
    ),
    "only a quote volume": (
        f"time,open,high,low,close,Quote Volume\n{START},1,1,1,1,1\n",
        "Quote Volume",
        "volume=NAME",
    ),
    "several symbols": (
        f"time,symbol,open,high,low,close,volume\n{START},A,1,1,1,1,1\n{START + HOUR},B,1,1,1,1,1\n",
        "several symbols: A, B",
        "a file for each",
    ),
    "ten columns without a header": (f"{START},1,1,1,1,1,1,1,1,1\n", "10 columns match no known layout", "--columns"),
    "a two-digit year": (f"{HEADER}\n30/12/24,1,1,1,1,1\n", "may be day/month/year", "2024-01-31"),
    "a timezone by letters": (f"{HEADER}\n2024-12-30 00:00 EST,1,1,1,1,1\n", "is not a time", "ISO 8601"),
    "some times with a zone": (
        f"{HEADER}\n2024-12-30 00:00,1,1,1,1,1\n2024-12-30T01:00Z,1,1,1,1,1\n",
        "some times",
        "one way",
    ),
    "30 February": (f"{HEADER}\n2024-02-30,1,1,1,1,1\n", "line 2 of c.dat: time '2024-02-30'", "ISO"),
    "a web page": ("<!DOCTYPE html><html>not found</html>", "web page", "Download"),
    "Excel": (zipped(**{"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"}), "Excel", "CSV"),
    "an archive in an archive": (gzip.compress(zipped(**{"a.csv": HOURLY})), "archive within an archive", "Unpack"),
    "gzip twice": (gzip.compress(gzip.compress(HOURLY.encode())), "compressed twice", "Unpack"),
    "half a gzip file": (gzip.compress(HOURLY.encode() * 50)[:60], "damaged", "again"),
    "half a zip file": (zipped(**{"a.csv": HOURLY})[:80], "damaged", "again"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5", "freqtrade convert-data"),
    "SQLite": (b"SQLite format 3\x00" + bytes(100), "SQLite", "CSV"),
    "a pickle": (b"\x80\x04\x95" + bytes(50), "pickle", "CSV"),
    "Feather of version 1": (b"FEA1" + bytes(50), "version 1", "pandas"),
    "broken Feather": (b"ARROW1\x00\x00" + bytes(50), "not a Feather file", "again"),
    "JSON of another kind": (json.dumps({"message": "rate limited"}), "known shape", "rows or records"),
    "JSON cut off": (json.dumps(LISTS)[:-20], "not JSON", "Download"),
    "JSON nested a thousandfold": ("[" * 100_000, "not JSON", "Download"),
    "JSON with a null": (
        json.dumps([[START, 1, 1, 1, None, 1]]),
        ("row 1 of c.dat: close '' is not a number"),
        "numbers",
    ),
    "an empty file": ("", "no header line", "names the columns"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_in_doubt_is_refused_with_the_cure(store: Store, tmp_path: Path, name: str) -> None:
    content, said, cure = REFUSED[name]
    refusal = _refusal(_import(store, tmp_path, content))

    assert isinstance(refusal, InvalidInput)
    assert said in refusal.message, refusal.message
    assert cure in refusal.suggestion, refusal.suggestion
    assert _stored(store) == []


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (COINBASE, "time,low,high,open,close,volume"),
        (BITFINEX, "time=1,open=2,close=3,high=4,low=5,volume=6"),
        (rows(lambda at, b: f"{epoch(at)},x,{plain(b)},y"), "time,-,open,high,low,close,volume,-"),
        (
            rows(lambda at, b: f"{epoch(at)},{plain(b)}", "a,b,c,d,e,f"),
            "time=a,open=b,high=c,low=d,close=e,volume=6",
        ),
        (
            rows(lambda at, b: f"{epoch(at)},{b[0]},{plain(b)}", "time,open,open,high,low,close,volume"),
            "open=3",
        ),
    ],
)
def test_columns_may_be_named(store: Store, tmp_path: Path, content: str, columns: str) -> None:
    _import(store, tmp_path, content, columns=columns)

    assert _stored(store) == [[float(s), *bar] for s, bar in zip(SECONDS, BARS, strict=True)]


@pytest.mark.parametrize(("mark", "price"), [("point", 42.0), ("comma", 42_000.0)])
def test_the_decimal_mark_settles_what_a_file_leaves_open(
    store: Store, tmp_path: Path, mark: str, price: float
) -> None:
    _import(store, tmp_path, DOTTED.replace("42.500", "42.000"), decimal=mark)

    assert {row[1] for row in _stored(store)} == {price}


def _local(text: str) -> str:
    return HEADER + "\n" + "".join(f"{line},1,1,1,1,1\n" for line in text.split("|"))


@pytest.mark.parametrize(
    ("times", "zone", "utc_hours"),
    [
        ("2024-07-01 09:00|2024-07-01 10:00", "Asia/Seoul", (0, 1)),
        ("2024-01-01 01:00|2024-01-01 02:00", "Europe/Berlin", (0, 1)),
        # The clocks go back from 03:00 to 02:00 on 27 October 2024: 02:00 is shown twice.
        ("2024-10-27 01:00|2024-10-27 02:00|2024-10-27 02:00|2024-10-27 03:00", "Europe/Berlin", (23, 0, 1, 2)),
        ("2024-10-27 03:00|2024-10-27 02:00|2024-10-27 02:00|2024-10-27 01:00", "Europe/Berlin", (23, 0, 1, 2)),
        # They go forward from 02:00 to 03:00 on 31 March 2024: no bar is missing.
        ("2024-03-31 01:00|2024-03-31 03:00", "Europe/Berlin", (0, 1)),
    ],
)
def test_times_of_a_zone_become_utc_through_both_changes_of_the_clock(
    store: Store, tmp_path: Path, times: str, zone: str, utc_hours: tuple[int, ...]
) -> None:
    (outcome,) = _import(store, tmp_path, _local(times), timezone=zone, timeframe="1h")

    assert not isinstance(outcome.result, HeyTradersError), outcome
    assert tuple(datetime.fromtimestamp(row[0], UTC).hour for row in _stored(store)) == utc_hours


@pytest.mark.parametrize(
    ("times", "zone", "said"),
    [
        ("2024-03-31 02:00|2024-03-31 03:00", "Europe/Berlin", "skip 2024-03-31T02:00:00"),
        ("2024-10-27 02:00|2024-10-27 03:00", "Europe/Berlin", "show 2024-10-27T02:00:00 twice"),
        ("2024-10-27 02:00|2024-10-27 03:00", "Mars/Olympus", "is not known"),
        ("2024-10-27T02:00Z|2024-10-27T03:00Z", "Europe/Berlin", "has no effect"),
        (f"{START}|{START + HOUR}", "Europe/Berlin", "has no effect"),
    ],
)
def test_a_time_that_a_zone_does_not_tell_is_refused(
    store: Store, tmp_path: Path, times: str, zone: str, said: str
) -> None:
    refusal = _refusal(_import(store, tmp_path, _local(times), timezone=zone, timeframe="1h"))

    assert said in refusal.message


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("BTCUSDT-1h-2024-12.csv", "BINANCE:BTC/USDT"),
        ("BTC_USDT-1h.json", "BINANCE:BTC/USDT"),
        ("BTC_USDT_USDT-1h-futures.json", "BINANCEFUTURESUSD:BTC/USDT:USDT"),
        ("BINANCE_ETHUSDT, 60.csv", "BINANCE:ETH/USDT"),
        ("BINANCE_ETHUSDT.P, 60_1a2b3.csv", "BINANCEFUTURESUSD:ETH/USDT:USDT"),
        ("Upbit_KRW-BTC_1h.csv", "UPBIT:BTC/KRW"),
        ("GATE_T-REX/USDT_1h.csv".replace("/", "_"), "GATE:T-REX/USDT"),
        ("币安人生_USDT-1h.csv", "BINANCE:币安人生/USDT"),
    ],
)
def test_a_name_tells_symbol_and_timeframe(store: Store, tmp_path: Path, name: str, ticker: str) -> None:
    (outcome,) = _import(store, tmp_path, HOURLY, name, instrument=None)

    assert not isinstance(outcome.result, HeyTradersError), outcome
    assert (outcome.result.instrument.ticker, outcome.result.timeframe) == (ticker, "1h")


@pytest.mark.parametrize("name", ["candles.csv", "Kraken_BTCUSD_1h.csv", "export (1).csv"])
def test_a_name_that_tells_nothing_sure_needs_a_symbol(store: Store, tmp_path: Path, name: str) -> None:
    refusal = _refusal(_import(store, tmp_path, HOURLY, name, instrument=None))

    assert "--symbol" in refusal.suggestion


def test_parts_of_a_series_may_come_in_any_order(store: Store, tmp_path: Path) -> None:
    lines = klines(1_000).splitlines(keepends=True)
    parts = {"1.csv": lines[4:], "2.csv": lines[:2], "3.csv": lines[2:4]}
    for name, part in parts.items():
        (tmp_path / name).write_text("".join(part))
    outcomes = import_all(store, [tmp_path / name for name in parts], ImportOptions(BTC, timeframe="1h"))

    assert not [outcome for outcome in outcomes if isinstance(outcome.result, HeyTradersError)]
    assert len(_stored(store)) == len(BARS)


def test_a_dry_run_judges_and_stores_nothing(store: Store, tmp_path: Path) -> None:
    (outcome,) = _import(store, tmp_path, HOURLY, dry_run=True)

    assert not isinstance(outcome.result, HeyTradersError)
    assert outcome.result.added == len(BARS)
    assert _stored(store) == []


def test_a_bomb_is_refused_before_it_is_unpacked(store: Store, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as member:
        member.write(f"{HEADER}\n".encode())
        for _ in range(40):
            member.write(b"0" * 2**20)

    refusal = _refusal(_import(store, tmp_path, packed.getvalue()))
    assert "too much for its compressed size" in refusal.message


def test_a_member_that_points_out_of_the_folder_writes_nothing(store: Store, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    _import(store, tmp_path, zipped(**{"../../escaped.csv": HOURLY}), "in.zip")

    assert len(_stored(store)) == len(BARS)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.name != "in.zip"] == []
    assert not (tmp_path.parent / "escaped.csv").exists()


def test_pipes_and_devices_are_refused_at_once(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (outcome,) = import_all(store, [tmp_path / "pipe.csv"], ImportOptions(BTC))

    assert "not a regular file" in str(outcome.result)
