"""Reads and writes files for the owner only: the sealed signing key and the count of wrong passphrases."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from api.errors import HeyTradersError

MAX_BYTES: Final = 1_048_576
"""Maximum bytes of a file read here; the largest has a few thousand."""


class BadFile(HeyTradersError):
    """A file of the safety layer cannot be used. The user has to look at it; the message says how."""

    default_code = "BAD_FILE"


def write_private(path: Path, content: str) -> None:
    """Replace a file in one durable step, with mode 0600 from its first byte on.

    Raises:
        BadFile: The folder cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise BadFile(
            f"{path.parent} cannot be written ({error.strerror})", suggestion="Set HEYTRADERS_HOME to a folder of yours"
        ) from error


def read_private(path: Path) -> str | None:
    """The content of a private file; `None` if it does not exist.

    Raises:
        BadFile: Other users can read it, another user owns it, it is not a regular file, too large, or cannot be read.
    """
    found = _read_regular(path)
    if found is None:
        return None
    content, status = found
    if os.name == "posix" and status.st_mode & 0o077:
        raise BadFile(f"{path} can be read by others", suggestion=f"Run: chmod 600 {path}")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise BadFile(f"{path} belongs to another user", suggestion="Set HEYTRADERS_HOME to a folder of yours")
    return content


def read_bounded(path: Path) -> str | None:
    """The content of a file of at most 1 MiB that others may read too; `None` if it does not exist.

    Raises:
        BadFile: It is not a regular file, too large, not text, or cannot be read.
    """
    found = _read_regular(path)
    return None if found is None else found[0]


def _read_regular(path: Path) -> tuple[str, os.stat_result] | None:
    """Text and status of a regular file."""
    found = read_regular(path)
    if found is None:
        return None
    content, status = found
    try:
        return content.decode(), status
    except UnicodeDecodeError as error:
        raise BadFile(
            f"{path} is not text", suggestion=("Find out who changed it, and restore it from a backup")
        ) from error


def read_regular(path: Path) -> tuple[bytes, os.stat_result] | None:
    """Content and status of a regular file of at most 1 MiB; `None` if it does not exist.

    Never waits for a pipe and never reads a device.

    Raises:
        BadFile: It is not a regular file, too large, or cannot be read.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadFile(f"{path} is not a regular file", suggestion="Remove it and restore it from a backup")
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadFile(
            f"{path} cannot be read ({error.strerror})", suggestion=("Check its owner and permissions")
        ) from error
    if len(content) > MAX_BYTES:
        raise BadFile(f"{path} is larger than {MAX_BYTES} bytes", suggestion="Find out who changed it")
    return content, status
