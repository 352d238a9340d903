"""Counts wrong passphrases, so that a program with a terminal cannot try many: after each five, fifteen minutes' rest.

Each try is written down before the passphrase is looked at, by appending one line; so tries at the same moment are all
counted. What is right ends the count. Who can delete the file can also copy the sealed key and guess elsewhere: against
that stand the passphrase's length and the cost of scrypt.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from api.errors import RateLimited
from safety.private_file import BadFile, read_private

ATTEMPTS_FILE: Final = "approver-attempts"
AT_A_TIME: Final = 5
REST_SECONDS: Final = 15 * 60


def count_attempt(home: Path, now: float) -> int:
    """Write one more try down.

    Args:
        home: Folder of the file.
        now: Unix seconds.

    Returns:
        How many tries are left before the next rest, this one not counted.

    Raises:
        RateLimited: There were too many; the error says how long to wait.
        BadFile: The count cannot be read or written.
    """
    path = home / ATTEMPTS_FILE
    earlier = _times(path)
    _refuse_resting(earlier, len(earlier), now)
    mine = f"{now:.3f} {secrets.token_hex(8)}"
    _append(path, mine)
    lines = (read_private(path) or "").splitlines()
    ordinal = lines.index(mine) if mine in lines else len(lines)
    _refuse_resting(_times(path), ordinal, now)
    return AT_A_TIME - 1 - ordinal % AT_A_TIME


def forget_attempts(home: Path) -> None:
    """The passphrase was right."""
    (home / ATTEMPTS_FILE).unlink(missing_ok=True)


def _refuse_resting(times: list[float], ordinal: int, now: float) -> None:
    """Refuse the try with this number while the full five before it are too fresh."""
    full = ordinal - ordinal % AT_A_TIME
    if full and abs(now - times[full - 1]) < REST_SECONDS:
        wait = REST_SECONDS - abs(now - times[full - 1])
        raise RateLimited(
            f"the passphrase was wrong {full} times",
            suggestion="Approvals, releases and signatures are locked. If it was not you, check what runs here",
            retry_after=max(1.0, round(wait)),
        )


def _times(path: Path) -> list[float]:
    lines = (read_private(path) or "").splitlines()
    try:
        return [float(line.partition(" ")[0]) for line in lines]
    except ValueError as error:
        raise BadFile(f"{path} is no list of times", suggestion="If you did not change it, look at who did") from error


def _append(path: Path, line: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, f"{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise BadFile(f"{path} cannot be written ({error.strerror})", suggestion="Check its owner and mode") from error
