"""Keys that this machine keeps: registered API keys, and the bearer token of the HTTP transports.

One small file each under the home folder, readable by the user only. A registered key is bound to the base URL it came
from and is never sent anywhere else.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from .settings import BadSetting

REGISTERED = "registered-keys.json"
TOKEN = "http-token"  # noqa: S105 - a file name


def registered_key(home: Path, source: str) -> SecretStr | None:
    """The key registered at `source`, a base URL or "embedded"."""
    key = _registered(home).get(source)
    return SecretStr(key) if key else None


def keep_registered_key(home: Path, source: str, key: str) -> Path:
    """Keep a key for later starts, in place of an earlier one from the same `source`."""
    path = home / REGISTERED
    write_private(path, json.dumps({**_registered(home), source: key}, indent=2) + "\n")
    return path


def http_token(home: Path) -> SecretStr:
    """The token that HTTP clients must send, 256 bits; made at the first call."""
    path = home / TOKEN
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    token = _read_private(path).strip()
    if len(token) < 32:
        raise BadSetting(f"{path} holds no usable token", suggestion="Delete it; the next start makes a new one")
    return SecretStr(token)


def last_four(key: SecretStr | str) -> str:
    """How a key is shown: its last four characters, or nothing of a short one."""
    value = key if isinstance(key, str) else key.get_secret_value()
    return f"…{value[-4:]}" if len(value) >= 12 else "…"


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


def _registered(home: Path) -> dict[str, str]:
    path = home / REGISTERED
    if not path.exists():
        return {}
    try:
        keys: dict[str, str] = json.loads(_read_private(path))
    except ValueError as error:
        raise BadSetting(f"{path} is not JSON", suggestion="Delete it and register again") from error
    return keys


def _read_private(path: Path) -> str:
    """Read a file that only its owner may read.

    Raises:
        BadSetting: Others may read it, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSetting(f"{path} cannot be read ({error.strerror})", suggestion="Check its owner and mode") from error
    if os.name == "posix" and mode & 0o077:
        raise BadSetting(f"{path} can be read by others", suggestion=f"Run: chmod 600 {path}")
    return content
