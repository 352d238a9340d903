"""Finds the tables in a file or folder to import: detected by content, read in bounded pieces, never unpacked.

Archives are read in place. Nothing is written to disk, so a member's name cannot escape a folder. A file that
decompresses to too much is refused before it fills the memory.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final, Literal

from api.errors import HeyTradersError, InvalidInput, clean
from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument, exchange_id, resolve
from api.times import SECONDS, Timeframe

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_BYTES: Final = 2 * 2**30
"""The size limit of one table, decompressed."""

MAX_RATIO: Final = 300
"""A table that is larger than `_SMALL` and this many times its compressed size is a bomb, not candles."""

MAX_MEMBERS: Final = 5_000
_SMALL: Final = 16 * 2**20
_HEAD: Final = 64 * 2**10

FileKind = Literal["text", "json", "parquet", "feather"]
FileOpener = Callable[[], BinaryIO]

_PACKED: Final[dict[bytes, Callable[[BinaryIO], BinaryIO]]] = {
    b"\x1f\x8b": lambda raw: io.BufferedReader(gzip.GzipFile(fileobj=raw)),
    b"BZh": lambda raw: io.BufferedReader(bz2.BZ2File(raw)),
    b"\xfd7zXZ\x00": lambda raw: io.BufferedReader(lzma.LZMAFile(raw)),  # noqa: SIM115 - the caller closes it
}
_REFUSED: Final[tuple[tuple[bytes, int, str, str], ...]] = (
    (b"FEA1", 0, "a Feather file of version 1", "Save it again with pandas 2 or later (to_feather), or as CSV"),
    (b"\x89HDF", 0, "an HDF5 file", "Convert it: freqtrade convert-data --format-from hdf5 --format-to feather"),
    (b"SQLite format 3", 0, "an SQLite database", "Export the table of candles as CSV"),
    (b"\xd0\xcf\x11\xe0", 0, "an old Excel workbook", "Save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", 0, "compressed with Zstandard", "Unpack it first (zstd -d)"),
    (b"7z\xbc\xaf", 0, "a 7z archive", "Unpack it first, then import the folder"),
    (b"Rar!", 0, "a RAR archive", "Unpack it first, then import the folder"),
    (b"ustar", 257, "a tar archive", "Unpack it first (tar -xf), then import the folder"),
    (b"\x80\x04", 0, "a Python pickle, which could run code", "Save it as CSV or Feather"),
    (b"\x80\x05", 0, "a Python pickle, which could run code", "Save it as CSV or Feather"),
)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class CandleTable:
    """One table of candles: a file, or a member of an archive.

    `name` is for messages and holds no control characters. `encoding` is of texts; `open` may be called again.
    """

    name: str
    kind: FileKind
    encoding: str
    open: FileOpener


def tables_of(path: Path) -> Iterator[CandleTable]:
    """The tables in a file, or in all files of a folder and its subfolders; links and hidden files are left out.

    Raises:
        InvalidInput: The path cannot be read, or holds something that is not a table of candles.
    """
    name = clean(path.name, 120)
    try:
        if path.is_dir():
            raise InvalidInput(f"{name} cannot be read: it is a folder, not a file", suggestion="Name a file in it")
        opener = _opener(path, name)
        with opener() as raw:
            size = raw.seek(0, io.SEEK_END)
        yield from _tables(name, opener, size)
    except OSError as error:
        raise InvalidInput(
            f"{name} cannot be read: {error.strerror or error}", suggestion="Name a file that exists and can be read"
        ) from error


def files_in(folder: Path) -> list[Path]:
    """The regular files of a folder and its subfolders, by name. Links and hidden files are left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                found.append(path)
    return found


@contextmanager
def reading(name: str) -> Generator[None]:
    """Turn errors while reading a table into an error that names the table."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name} is not UTF-8 text (byte {error.start})", suggestion="Save it as CSV in UTF-8, or as Parquet"
        ) from error
    except (EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InvalidInput(
            f"{name} is damaged: {clean(str(error), 100)}", suggestion="Download or pack it again"
        ) from error
    except (OSError, RuntimeError, NotImplementedError) as error:
        raise InvalidInput(
            f"{name} cannot be read: {clean(str(error), 100)}", suggestion="Unpack it first, then import the files"
        ) from error


def _opener(path: Path, name: str) -> FileOpener:
    def opened() -> BinaryIO:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InvalidInput(f"{name} cannot be read: it is not a regular file", suggestion="Name a file or a folder")
        return os.fdopen(descriptor, "rb")

    return opened


def _tables(name: str, opener: FileOpener, size: int, *, packed: bool = False) -> Iterator[CandleTable]:
    with reading(name), opener() as raw:
        head = raw.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        if packed:
            raise InvalidInput(f"{name} is an archive within an archive", suggestion="Unpack the outer one first")
        yield from _members(name, opener)
        return
    unpack = next((unpack for magic, unpack in _PACKED.items() if head.startswith(magic)), None)
    if unpack is not None:
        if packed:
            raise InvalidInput(f"{name} is compressed twice", suggestion="Unpack it once first")
        yield from _tables(name, _unpacked(name, opener, unpack, size), size, packed=True)
        return
    if size > MAX_BYTES:
        raise InvalidInput(
            f"{name} holds {size // 2**20} MiB, more than {MAX_BYTES // 2**20}",
            suggestion="Split it into smaller files",
        )
    yield _table(name, head, opener)


def _unpacked(name: str, opener: FileOpener, unpack: Callable[[BinaryIO], BinaryIO], size: int) -> FileOpener:
    def opened() -> BinaryIO:
        raw = opener()
        return io.BufferedReader(_Bounded(name, size, unpack(raw), raw))

    return opened


def _beside(name: str) -> bool:
    """Whether a file accompanies the data: a description, a licence or a checksum."""
    stem, _, ending = name.lower().rpartition(".")
    return name.startswith(".") or ending in {"md", "sha256", "checksum", "md5"} or stem in {"readme", "license"}


def _members(name: str, opener: FileOpener) -> Iterator[CandleTable]:
    with reading(name), opener() as raw, zipfile.ZipFile(raw) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.filename == "[Content_Types].xml" for info in infos):
        raise InvalidInput(f"{name} is an Excel workbook or another Office file", suggestion="Save the sheet as CSV")
    wanted = [i for i in infos if not i.filename.startswith("__MACOSX/") and not _beside(Path(i.filename).name)]
    if not wanted or len(wanted) > MAX_MEMBERS:
        raise InvalidInput(
            f"{name} holds {len(wanted)} files, not 1 to {MAX_MEMBERS}", suggestion="Name an archive of candles"
        )
    for info in sorted(wanted, key=lambda info: info.filename):
        shown = f"{name}/{clean(info.filename, 120)}"
        if info.flag_bits & 1:
            raise InvalidInput(f"{shown} is encrypted", suggestion="Unpack it with its password first")
        yield from _tables(shown, _member_opener(opener, info, shown), info.compress_size, packed=True)


def _member_opener(opener: FileOpener, info: zipfile.ZipInfo, shown: str) -> FileOpener:
    def opened() -> BinaryIO:
        raw = opener()
        archive = zipfile.ZipFile(raw)
        return io.BufferedReader(_Bounded(shown, info.compress_size, archive.open(info), archive, raw))

    return opened


def _table(name: str, head: bytes, opener: FileOpener) -> CandleTable:
    for magic, at, what, cure in _REFUSED:
        if head[at:].startswith(magic):
            raise InvalidInput(f"{name} is {what}", suggestion=cure)
    if head.startswith(b"PAR1"):
        return CandleTable(name, "parquet", "", opener)
    if head.startswith(b"ARROW1"):
        return CandleTable(name, "feather", "", opener)
    encoding = next((encoding for bom, encoding in _BOMS if head.startswith(bom)), None)
    if encoding is None:
        odd, even = head[1:400:2], head[0:400:2]
        looks_wide = len(odd) > 8 and odd.count(0) > 0.9 * len(odd) and even.count(0) < 0.1 * len(even)
        encoding = "utf-16-le" if looks_wide else "utf-8"
    start = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if start[:100].lower().startswith(("<!doctype", "<html", "<?xml")):
        raise InvalidInput(f"{name} is a web page or XML, not candles", suggestion="Download the file itself")
    return CandleTable(name, "json" if start[:1] in {"[", "{"} else "text", encoding, opener)


class _Bounded(io.RawIOBase):
    """A stream that refuses to exceed the size limit of a table. Closing it also closes its source."""

    def __init__(self, name: str, packed_size: int, inner: IO[bytes], *owners: IO[bytes] | zipfile.ZipFile) -> None:
        super().__init__()
        self._name = name
        self._most = max(_SMALL, min(MAX_BYTES, packed_size * MAX_RATIO))
        self._given = 0
        self._inner = inner
        self._owners = owners

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")
        data = self._inner.read(len(view))
        self._given += len(data)
        if self._given > self._most:
            raise InvalidInput(
                f"{self._name} holds more than {self._most // 2**20} MiB, too much for its compressed size"
                f" or for one table of candles",
                suggestion="Split it into smaller files",
            )
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """See `io.RawIOBase`."""
        for stream in (self._inner, *self._owners):
            stream.close()
        super().close()


_MINUTES: Final[dict[str, Timeframe]] = {str(s // 60): t for t, s in SECONDS.items()}
_ELSEWHERE: Final = frozenset(
    {
        *("kraken", "coinbase", "bitstamp", "bitfinex", "bybit", "okx", "okex", "kucoin", "gemini", "huobi", "htx"),
        *("mexc", "bitmex", "deribit", "bitget", "oanda"),
    }
)
_WORDS: Final = re.compile(r"[_\s,()]+|-(?=\d)|(?<=\d[mhdwMHDW])-")


def symbol_in(name: str, written: str | None, exchange: ExchangeId | None) -> Instrument | None:
    """The instrument of a table, from the symbol `written` in it or from its name; None if neither says.

    Vendors' naming schemes are recognised: `BTCUSDT-1h-2024-01.csv`, `BTC_USDT-1h.json`,
    `BTC_USDT_USDT-1h-futures.feather`, `BINANCE_BTCUSDT, 60.csv`, `Binance_BTCUSDT_1h.csv`. A venue outside
    the eight supported ones gives None.
    """
    words = [word for word in _WORDS.split(_stem(name)) if word]
    named = exchange_id(words[0]) if words else None
    if any(word.lower() in _ELSEWHERE for word in words) and exchange is None:
        return None
    rest = words if named is None else words[1:]
    end = next((i for i, word in enumerate(rest) if _length(word) is not None), len(rest))
    assets = rest[:end]
    if not written and (not 1 <= len(assets) <= 3 or end == len(rest) or not all(a.upper() == a for a in assets)):
        return None
    symbol = written or ("/".join(assets[:2]) + (f":{assets[2]}" if len(assets) == 3 else ""))
    is_perpetual = "futures" in [word.lower() for word in rest] and ":" in symbol
    try:
        venue = exchange or named
        if venue is not None and is_perpetual and (perpetuals := EXCHANGES[venue].perpetuals) is not None:
            return resolve(symbol, perpetuals)
        return resolve(symbol if exchange or not named else f"{named}:{symbol}", exchange)
    except HeyTradersError:
        return None


def timeframe_in(name: str) -> Timeframe | None:
    """The timeframe in a table's name: `1h`, `1D`, or minutes alone as in `XBTUSD_60.csv`."""
    for word in _WORDS.split(_stem(name))[1:]:
        if (timeframe := _length(word)) is not None:
            return timeframe
    return None


def _stem(name: str) -> str:
    return re.sub(r"(\.[A-Za-z]{1,8}){1,2}$", "", name.rpartition("/")[2])


def _length(word: str) -> Timeframe | None:
    shown = word if word.endswith("M") else word.lower()
    for timeframe in SECONDS:
        if timeframe == shown:
            return timeframe
    return _MINUTES.get(word)
