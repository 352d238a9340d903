"""What is known of the journal outside of its database: how far it was whole, and its last head.

The checkpoint, in the home, says how far the journal was once found whole, so that a start need not look through years
of it again. It is sealed with the journal's key. One that is missing, forged or about another journal means nothing,
and then everything is looked through. It says only that those events were whole when it was written; who altered them
since is found by the next whole look, which a server takes soon after its start.

The anchor, in the user's state folder, says what the last event was when something was signed, halted or sent with real
money. A home that is rolled back, copied back or emptied lacks that event. The anchor is found by the journal's key and
by the folder, so that deleting either alone does not hide it. Whoever can write the user's files can remove it: it
shows accidents and agents, not an intruder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_state_path

from safety.private_file import BadFile, read_bounded

from . import audit
from .journal import Journal

FILE_NAME: Final = "audit.checkpoint"
Checkpoint = tuple[int, str]
"""Number and MAC of the event up to which everything was whole."""


def read(journal: Journal, home: Path) -> Checkpoint | None:
    """The checkpoint, if it is ours and the journal still has its event as it was written."""
    try:
        seq, mac, seal = json.loads(read_bounded(home / FILE_NAME) or "")
    except (BadFile, ValueError, TypeError):
        return None
    if not hmac.compare_digest(str(seal).encode(errors="replace"), _seal(journal, seq, mac).encode()):
        return None
    [event] = journal.events(after=seq - 1, limit=1) or [None]
    return (seq, mac) if event is not None and event.mac == mac and journal.holds(event) else None


def write(journal: Journal, home: Path, checkpoint: Checkpoint) -> None:
    """Keep it. Where that fails, the next start takes longer and nothing else."""
    seq, mac = checkpoint
    if not seq or read(journal, home) == checkpoint:
        return
    _replace(home / FILE_NAME, [seq, mac, _seal(journal, seq, mac)])


def _seal(journal: Journal, seq: object, mac: object) -> str:
    return journal.seal({"checkpoint": seq, "mac": mac})


def _replace(path: Path, content: list[object]) -> None:
    """Write a small file in one step, where that is possible."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)
        scratch.replace(path)


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of one home.

    Attributes:
        home: Its folder.
        key: Of its journal.
    """

    home: Path
    key: bytes

    def missing(self, journal: Journal) -> list[str]:
        """Why the journal is not the one whose head was kept; empty when it is, or when none was kept."""
        for path, seq, mac, _ in self._kept():
            for lost in audit.unanchored(journal, (seq, mac)):
                return [f"{lost} (the last event is kept in {path})"]
        return []

    def keep(self, journal: Journal, approver: str | None, *, accepted: bool = False) -> None:
        """Keep the head of a journal that has every head kept before, or whose loss a human has accepted."""
        seq, mac = journal.head()
        if seq and (accepted or not self.missing(journal)):
            for path in self._paths():
                _replace(path, [seq, mac, approver])

    def exist(self) -> bool:
        """Whether one was ever kept."""
        return any(True for _ in self._kept())

    def other_approver(self, approver: str | None) -> Path | None:
        """The file that names another approver than `approver`, where there is one."""
        return next((path for path, _, _, named in self._kept() if named not in {None, approver}), None)

    def _kept(self) -> Iterator[tuple[Path, int, str, str | None]]:
        for path in self._paths():
            try:
                seq, mac, approver = json.loads(read_bounded(path) or "")
            except (BadFile, ValueError, TypeError):
                continue
            if isinstance(seq, int) and isinstance(mac, str):
                yield path, seq, mac, approver if isinstance(approver, str) else None

    def _paths(self) -> list[Path]:
        names = [self.key.hex()]
        with suppress(OSError):
            status = self.home.stat()
            names.append(f"{self.home.resolve()} {status.st_dev} {status.st_ino}")
        folder = user_state_path("heytraders-mcp") / "heads"
        return [folder / hashlib.blake2b(name.encode(errors="replace"), digest_size=16).hexdigest() for name in names]
