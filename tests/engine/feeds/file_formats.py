"""Five hourly bars in the formats that people have, each readable without a question."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
from pyarrow import feather

from api.symbols import Instrument

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
    "Bybit's columns": rows(
        lambda at, bar: f"{epoch(at)},{plain(bar)},0", "start_at,open,high,low,close,volume,turnover"
    ),
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
    "an answer of Alpaca": json.dumps(
        {
            "bars": {
                "BTC/USDT": [
                    dict(zip("tohlcv", (f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%SZ}", *bar), strict=True))
                    for s, bar in zip(SECONDS, BARS, strict=True)
                ]
            }
        }
    ),
    "an answer of Alpha Vantage": json.dumps(
        {
            "Meta Data": {"1. Information": "Crypto Intraday (60min)"},
            "Time Series Crypto (60min)": {
                f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d %H:%M:%S}": {
                    f"{i}. {name}": str(value) for i, (name, value) in enumerate(zip(NAMES, bar, strict=True), 1)
                }
                for s, bar in zip(SECONDS, BARS, strict=True)
            },
        }
    ),
    "Bitfinex with its order of prices": rows(
        lambda at, b: f"{epoch(at, 1_000)},{b[0]},{b[3]},{b[1]},{b[2]},{b[4]}", "MTS,OPEN,CLOSE,HIGH,LOW,VOLUME"
    ),
    "a bank's German export": rows(
        lambda at, bar: f"{at:%d.%m.%Y %H:%M};{comma(bar)}", "Datum;Er\u00f6ffnung;Hoch;Tief;Schlusskurs;Volumen"
    ),
    "a Spanish export": rows(
        lambda at, bar: f"{epoch(at)},{plain(bar)}", "Fecha,Apertura,M\u00e1ximo,M\u00ednimo,Cierre,Volumen"
    ),
    "NumPy's savetxt": rows(lambda at, bar: " ".join(f"{x:.18e}" for x in (epoch(at), *bar))),
    "columns of blanks": rows(lambda at, bar: f"  {epoch(at)}   {plain(bar, '    ')}"),
    "dates of JavaScript": rows(
        lambda at, bar: f"{at:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time),{plain(bar)}", HEADER
    ),
    "dates of mails": rows(lambda at, bar: f'"{at:%a, %d %b %Y %H:%M:%S} GMT",{plain(bar)}', HEADER),
    "zip with a description": zipped(**{"BTCUSDT-1h.csv": klines(1_000), "README.txt": "Candles.", "notes.md": "# x"}),
    "a name in capitals with spaces": HOURLY.replace(HEADER, "Open Time, OPEN , High Price,LOW,Close,Base Volume"),
}
