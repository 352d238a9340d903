"""How far the journal was once found whole, so that a start need not look through years of it again.

The note is sealed with the journal's key. One that is missing, forged or about another journal means nothing, and then
everything is looked through. It says only that those events were whole when it was written; who altered them since is
found by the next whole look, which a server takes soon after its start.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from .journal import Journal

FILE_NAME: Final = "audit.checkpoint"
Checkpoint = tuple[int, str]
"""Number and MAC of the event up to which everything was whole."""


def read(journal: Journal, home: Path) -> Checkpoint | None:
    """The checkpoint, if it is ours and the journal still has its event as it was written."""
    try:
        seq, mac, seal = json.loads((home / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
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
    scratch = home / f".{FILE_NAME}.{secrets.token_hex(4)}"
    with suppress(OSError):
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump([seq, mac, _seal(journal, seq, mac)], file)
        scratch.replace(home / FILE_NAME)


def _seal(journal: Journal, seq: object, mac: object) -> str:
    return journal.seal({"checkpoint": seq, "mac": mac})
