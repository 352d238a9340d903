"""The files that people have: each is read with exactly its bars, or refused with a remedy."""


# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather

from api.errors import HeyTradersError, InvalidInput
from api.symbols import Instrument
from engine.feeds.importing import ImportOptions, Outcome, import_all
from engine.store.candles import all_series, delete_series, read_block
from engine.store.database import Store, default_url

BTC = Instrument("binance", "BTC", "USDT")
START = 1_735_516_800  # 2024-12-30, a Monday
HOUR = 3_600
BARS = [
    (100.0, 100.3, 98.8, 99.1, 10.0),
    (99.1, 99.4, 98.2054, 98.5054, 11.5),
    (98.5054, 98.8054, 97.9099, 98.2099, 13.0),
    (98.2099, 98.5099, 97.9099, 98.2099, 14.5),
    (98.2099, 98.8045, 97.9099, 98.5045, 16.0),
    (98.5045, 99.3955, 98.2045, 99.0955, 10.0),
]
HEADER = "time,open,high,low,close,volume"
CLOSE_TIME = HOUR * 1_000 - 1


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(default_url(tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


@pytest.fixture
def store(shared_store: Store) -> Iterator[Store]:
    yield shared_store
    shared_store.write_now(lambda c: delete_series(c, [series.id for series in all_series(c)]))


def rows(line: Callable[[datetime, tuple[float, ...]], str], *header: str) -> str:
    """One line per bar; the callable gets the bar's open time and its five values."""
    times = [datetime.fromtimestamp(START + i * HOUR, UTC) for i in range(len(BARS))]
    return "\n".join((*header, *(line(at, bar) for at, bar in zip(times, BARS, strict=True)))) + "\n"


def plain(bar: tuple[float, ...], mark: str = ",") -> str:
    return mark.join(map(str, bar))


def epoch(at: datetime, factor: int = 1) -> int:
    return int(at.timestamp()) * factor


def klines(factor: int) -> str:
    def line(at: datetime, bar: tuple[float, ...]) -> str:
        closes = epoch(at, factor) + HOUR * factor - 1
        return f"{epoch(at, factor)},{plain(bar)},{closes},{bar[3] * bar[4]:.8f},12,5.0,49.5,0"

    return rows(line)


def comma(bar: tuple[float, ...]) -> str:
    return ";".join(str(value).replace(".", ",") for value in bar)


def zipped(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return packed.getvalue()


def arrow(time: object, name: str = "date") -> bytes:
    columns = list(zip(*BARS, strict=True))
    named = {
        name: time,
        **{n: list(c) for n, c in zip(("open", "high", "low", "close", "volume"), columns, strict=True)},
    }
    out = io.BytesIO()
    feather.write_feather(pa.table(named), out)
    return out.getvalue()


SECONDS = [START + i * HOUR for i in range(len(BARS))]
LISTS = [[s * 1_000, *bar] for s, bar in zip(SECONDS, BARS, strict=True)]
NAMES = ("open", "high", "low", "close", "volume")
RECORDS = [{"timestamp": row[0], **dict(zip(NAMES, row[1:], strict=True))} for row in LISTS]
COLUMNS = {name: {str(row[0]): row[i + 1] for row in LISTS} for i, name in enumerate(NAMES)}
HOURLY = rows(lambda at, bar: f"{epoch(at)},{plain(bar)}", HEADER)

ACCEPTED: dict[str, str | bytes] = {
    "Binance klines in seconds": klines(1),
    "Binance klines in milliseconds": klines(1_000),
    "Binance klines in microseconds": klines(1_000_000),
    "Binance klines with a header": klines(1_000).replace(
        str(START * 1_000),
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,"
        f"ignore\n{START * 1_000}",
        1,
    ),
    "a unit that changes half-way": "".join(
        f"{s * (1_000 if i < 3 else 1_000_000)},{plain(bar)}\n"
        for i, (s, bar) in enumerate(zip(SECONDS, BARS, strict=True))
    ),
    "Kraken OHLCVT": rows(lambda at, bar: f"{epoch(at)},{plain(bar)},42"),
    "Kraken with a mean price": rows(lambda at, b: f"{epoch(at)},{plain(b[:4])},{(b[1] + b[2]) / 2},{b[4]},42"),
    "ccxt lists as CSV": rows(lambda at, bar: f"{epoch(at, 1_000)},{plain(bar)}"),
    "ccxt lists as JSON": json.dumps(LISTS),
    "ccxt lists as indented JSON": json.dumps(LISTS, indent=2),
    "text numbers in JSON": json.dumps([[str(cell) for cell in row] for row in LISTS]),
    "records as JSON": json.dumps(RECORDS),
    "records with short names": json.dumps([dict(zip("tohlcv", row, strict=True)) for row in LISTS]),
    "an answer of Hyperliquid, with t and T": json.dumps(
        [
            {
                "t": t,
                "T": t + CLOSE_TIME,
                "s": "BTC",
                "i": "1h",
                **dict(zip("ohlcv", map(str, bar), strict=True)),
                "n": 7,
            }
            for t, *bar in LISTS
        ]
    ),
    "a stream of Binance, with small and capital letters": json.dumps(
        [
            {"t": t, "T": t + CLOSE_TIME, "f": 1, "L": 9, **dict(zip("ohlcv", bar, strict=True)), "V": "5", "Q": "50"}
            for t, *bar in LISTS
        ]
    ),
    "a time of day on a clock of twelve hours": rows(
        lambda at, bar: f"{at:%m/%d/%Y},{at:%I:%M:%S %p},{plain(bar)}", "Date,Time,Open,High,Low,Close,Volume"
    ),
    "JSON lines": "\n".join(json.dumps(row) for row in RECORDS),
    "JSON with a byte order mark": b"\xef\xbb\xbf" + json.dumps(LISTS).encode(),
    "an answer of Binance": json.dumps([[*row, row[0] + CLOSE_TIME, "1.0", 3, "1.0", "1.0", "0"] for row in LISTS]),
    "an answer of Bybit, newest first": json.dumps(
        {"retCode": 0, "result": {"list": [[*map(str, row), "1000.5"] for row in LISTS[::-1]]}}
    ),
    "an answer of OKX, newest first": json.dumps(
        {"code": "0", "data": [[*map(str, row), "1.5", "150.5", "1"] for row in LISTS[::-1]]}
    ),
    "an answer of Gate": json.dumps(
        [
            [str(s), "1000.1", *map(str, (b[3], b[1], b[2], b[0], b[4])), "true"]
            for s, b in zip(SECONDS, BARS, strict=True)
        ]
    ),
    "an answer of Bitstamp": json.dumps(
        {
            "data": {
                "pair": "BTC/USDT",
                "ohlc": [
                    dict(zip(("timestamp", "open", "high", "low", "close", "volume"), map(str, (s, *b)), strict=True))
                    for s, b in zip(SECONDS, BARS, strict=True)
                ],
            }
        }
    ),
    "an answer of Kraken": json.dumps(
        {"error": [], "result": {"XBTUSDT": [[s, *b[:4], b[0], b[4], 7] for s, b in zip(SECONDS, BARS, strict=True)]}}
    ),
    "an answer of a TradingView data feed": json.dumps(
        {"s": "ok", "t": SECONDS, **{k: list(c) for k, c in zip("ohlcv", zip(*BARS, strict=True), strict=True)}}
    ),
    "an answer of Upbit": json.dumps(
        [
            {
                "market": "KRW-BTC",
                "candle_date_time_utc": datetime.fromtimestamp(s, UTC).isoformat()[:19],
                "opening_price": b[0],
                "high_price": b[1],
                "low_price": b[2],
                "trade_price": b[3],
                "timestamp": s * 1_000 + 3_599_123,
                "candle_acc_trade_price": 1.0,
                "candle_acc_trade_volume": b[4],
            }
            for s, b in zip(SECONDS[::-1], BARS[::-1], strict=True)
        ]
    ),
    "pandas JSON by columns": json.dumps(COLUMNS),
    "pandas JSON by index": json.dumps({str(row[0]): dict(zip(NAMES, row[1:], strict=True)) for row in LISTS}),
    "pandas JSON split": json.dumps({"columns": NAMES, "index": [r[0] for r in LISTS], "data": [r[1:] for r in LISTS]}),
    "freqtrade Feather": arrow(pa.array([s * 1_000 for s in SECONDS], pa.int64()).cast(pa.timestamp("ms", "UTC"))),
    "pandas Feather with an index": arrow(
        pa.array([s * 10**9 for s in SECONDS], pa.int64()).cast(pa.timestamp("ns")), "__index_level_0__"
    ),
    "gzip": gzip.compress(HOURLY.encode()),
    "bzip2": bz2.compress(HOURLY.encode()),
    "xz": lzma.compress(HOURLY.encode()),
    "zip": zipped(**{"BTCUSDT-1h-2024-12.csv": klines(1_000)}),
    "zip with several members": zipped(
        **{
            "b/late.csv": "".join(klines(1_000).splitlines(keepends=True)[3:]),
            "a.csv": "".join(klines(1_000).splitlines(keepends=True)[:3]),
        }
    ),
    "zip of JSON": zipped(**{"BTC_USDT-1h.json": json.dumps(LISTS)}),
    "TradingView with offsets": rows(
        lambda at, bar: f"{at:%Y-%m-%dT%H:%M:%SZ},{plain(bar)}", "time,open,high,low,close,Volume"
    ),
    "TradingView with indicators": rows(
        lambda at, bar: f"{epoch(at)},{plain(bar)},NaN,", "time,open,high,low,close,Volume,MA,Basis"
    ),
    "MetaTrader 5": rows(
        lambda at, bar: f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t{plain(bar[:4], chr(9))}\t1\t{bar[4]}\t1",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    ),
    "MetaTrader 5 with tick volume only": rows(
        lambda at, bar: f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t{plain(bar[:4], chr(9))}\t{bar[4]}\t0\t1",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    ),
    "MetaTrader 5 in UTF-16": rows(
        lambda at, bar: f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t{plain(bar[:4], chr(9))}\t1\t{bar[4]}\t1",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    ).encode("utf-16"),
    "MetaTrader 4": rows(lambda at, bar: f"{at:%Y.%m.%d},{at:%H:%M},{plain(bar)}"),
    "Stooq": rows(
        lambda at, bar: f"BTC,60,{at:%Y%m%d},{at:%H%M%S},{plain(bar)},0",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
    ),
    "Dukascopy": rows(
        lambda at, bar: f"{at:%d.%m.%Y %H:%M:%S}.000,{plain(bar)}", "Gmt time,Open,High,Low,Close,Volume"
    ),
    "Dukascopy with an offset": rows(
        lambda at, bar: f"{at:%d.%m.%Y %H:%M:%S}.000 GMT+0000,{plain(bar)}", "Local time,Open,High,Low,Close,Volume"
    ),
    "dates and times without marks": rows(lambda at, bar: f"{at:%Y%m%d %H%M%S},{plain(bar)}"),
    # DateTime.Ticks of 1970-01-01 is 621355968000000000, and a second has 10,000,000.
    "ticks of .NET": rows(lambda at, bar: f"{621_355_968_000_000_000 + epoch(at, 10_000_000)},{plain(bar)}", HEADER),
    "ticks of .NET without a header": rows(
        lambda at, bar: f"{621_355_968_000_000_000 + epoch(at, 10_000_000)},{plain(bar)}"
    ),
    # Excel shows 2024-12-30 00:00 as 45656, and an hour is a 24th of a day.
    "days of Excel": rows(lambda at, bar: f"{45_656 + at.hour / 24:.10f},{plain(bar)}", HEADER),
    "days of Excel with five decimals": rows(lambda at, bar: f"{45_656 + at.hour / 24:.5f},{plain(bar)}"),
    "dates as one number": rows(lambda at, bar: f"{at:%Y%m%d%H%M%S},{plain(bar)}", HEADER),
    "pandas with an unnamed index": rows(
        lambda at, bar: f"{at:%Y-%m-%d %H:%M:%S},{plain(bar)}", ",open,high,low,close,volume"
    ),
    "pandas with a numbered index beside the date": rows(
        lambda at, bar: f"{epoch(at) // HOUR},{at:%Y-%m-%d %H:%M:%S},{plain(bar)}", ",date,open,high,low,close,volume"
    ),
    "pandas with a timezone": rows(lambda at, bar: f"{at:%Y-%m-%d %H:%M:%S}+00:00,{plain(bar)}", HEADER),
    "yfinance": rows(
        lambda at, b: f"{at:%Y-%m-%d %H:%M:%S}+00:00,{b[0]},{b[1]},{b[2]},{b[3]},{b[3] * 0.9},{b[4]}",
        "Datetime,Open,High,Low,Close,Adj Close,Volume",
    ),
    "yfinance with three header lines": rows(
        lambda at, b: f"{at:%Y-%m-%d %H:%M:%S}+00:00,{b[3]},{b[1]},{b[2]},{b[0]},{b[4]}",
        "Price,Close,High,Low,Open,Volume",
        "Ticker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD",
        "Datetime,,,,,",
    ),
    "CryptoDataDownload": rows(
        lambda at, b: f"{epoch(at)},{at:%Y-%m-%d %H:%M:%S},BTCUSDT,{plain(b)},990.5,77",
        "https://www.CryptoDataDownload.com",
        "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount",
    ),
    "CryptoDataDownload with AM and PM": rows(
        lambda at, b: f"{at:%Y-%m-%d %I-%p},BTCUSDT,{plain(b)}", "Date,Symbol,Open,High,Low,Close,Volume BTC"
    ),
    "month first, told by the steps": rows(lambda at, bar: f"{at:%m/%d/%Y %H:%M},{plain(bar)}", HEADER),
    "day first, told by the whole column": rows(lambda at, bar: f"{at:%d/%m/%Y %H:%M},{plain(bar)}", HEADER),
    "12-hour clock": rows(lambda at, bar: f"{at:%m/%d/%Y %I:%M:%S %p},{plain(bar)}", HEADER),
    "names of months": rows(lambda at, bar: f'"{at:%b %d, %Y %H:%M}",{plain(bar)}', HEADER),
    "decimal comma": rows(lambda at, bar: f"{at:%d.%m.%Y %H:%M};{comma(bar)}", HEADER.replace(",", ";")),
    "decimal comma after sep=": rows(
        lambda at, bar: f"{at:%d.%m.%Y %H:%M};{comma(bar)}", "sep=;", HEADER.replace(",", ";")
    ),
    "semicolons with a decimal point": HOURLY.replace(",", ";"),
    "dollar signs": rows(lambda at, b: f"{epoch(at)}," + ",".join(f"${v}" for v in b[:4]) + f",{b[4]}", HEADER),
    "float noise": HOURLY.replace("98.8045", "98.50449999999998"),
    "a comment first": "# my candles\n" + HOURLY,
    "a name in capitals with spaces": HOURLY.replace(HEADER, "Open Time, OPEN , High Price,LOW,Close,Base Volume"),
}


def _import(
    store: Store, folder: Path, content: str | bytes, name: str = "c.dat", **given: object
) -> tuple[Outcome, ...]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = ImportOptions(**({"instrument": BTC} | given))  # pyright: ignore[reportArgumentType] - the test's own words
    return import_all(store, [path], options)


def _stored(store: Store) -> list[list[float]]:
    series = store.read_now(all_series)
    return store.read_now(lambda c: read_block(c, series[0].id)).T.tolist() if series else []


def _refusal(outcomes: tuple[Outcome, ...]) -> HeyTradersError:
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
    assert "carry no timezone" in str(told.result)
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
        "line 3 of c.dat: open '1.5' is no number",
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
    "ten columns without a header": (f"{START},1,1,1,1,1,1,1,1,1\n", "10 columns are no layout", "--columns"),
    "a two-digit year": (f"{HEADER}\n30/12/24,1,1,1,1,1\n", "time '30/12/24' is no time", "2024-01-31"),
    "a timezone by letters": (f"{HEADER}\n2024-12-30 00:00 EST,1,1,1,1,1\n", "is no time", "ISO 8601"),
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
    "JSON with a null": (json.dumps([[START, 1, 1, 1, None, 1]]), "row 1 of c.dat: close '' is no number", "numbers"),
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
        ("2024-10-27T02:00Z|2024-10-27T03:00Z", "Europe/Berlin", "has no meaning"),
        (f"{START}|{START + HOUR}", "Europe/Berlin", "has no meaning"),
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
