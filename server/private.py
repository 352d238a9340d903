"""Small files that only their owner may read, and what is said where one cannot be used."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from api.errors import InvalidInput


class BadSetting(InvalidInput):
    """A setting that cannot be used. The message is one line with the way out."""

    default_code = "BAD_SETTING"


def write_private(path: Path, content: str) -> None:
    """Replace a file in one step, with mode 0600 from its first byte on.

    Raises:
        BadSetting: The folder cannot be written.
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
        raise BadSetting(
            f"{path.parent} cannot be written ({error.strerror})", suggestion="Set HEYTRADERS_HOME to a folder of yours"
        ) from error


def read_private(path: Path) -> str:
    """Read a file that belongs to this user, and that nobody else may read.

    Raises:
        BadSetting: Others may read it, somebody else owns it, or it cannot be read.
    """
    try:
        status = path.stat()
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSetting(f"{path} cannot be read ({error.strerror})", suggestion="Check its owner and mode") from error
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path} is not text", suggestion="Delete it") from error
    if os.name == "posix" and status.st_mode & 0o077:
        raise BadSetting(f"{path} can be read by others", suggestion=f"Run: chmod 600 {path}")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise BadSetting(f"{path} belongs to another user", suggestion="Set HEYTRADERS_HOME to a folder of yours")
    return content
