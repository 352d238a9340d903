"""The databases of new homes: a test process makes their tables once, and each later home begins with a copy.

That takes a tenth of the time. Tests of what a new database contains use the fixture `own_tables`.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.store import database
from safety.ledger import database as ledger

copied = True
"""Whether new databases begin with a copy."""


def make_once() -> None:
    """Copy from now on. The functions that create the files for users still check the place and set the modes."""
    engine, prepare = _engine(), database._prepare_file  # pyright: ignore[reportPrivateUsage] - where a file begins
    database._prepare_file = _copying(prepare, engine)  # pyright: ignore[reportPrivateUsage] - see above
    ledger.prepare = _copying(ledger.prepare, _ledger())


def _copying(prepare: Callable[[Path], None], content: bytes) -> Callable[[Path], None]:
    def copy(path: Path) -> None:
        if copied and not path.exists():
            _place(path, content)
        prepare(path)

    return copy


def _place(path: Path, content: bytes) -> None:
    """Put the whole file there at once, unless another process or thread was faster."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = path.with_name(f".{secrets.token_hex(8)}")
        scratch.touch(mode=0o600)
        scratch.write_bytes(content)
        with suppress(FileExistsError):
            path.hardlink_to(scratch)
        scratch.unlink()


def _engine() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / database.FILE_NAME
        database.Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def _ledger() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ledger.FILE_NAME
        ledger.Database(path).close()
        return path.read_bytes()
