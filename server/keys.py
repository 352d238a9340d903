"""Stores keys on this machine: the user's own, registered ones, and the bearer token of the HTTP transports.

The user's key comes from the operating system's keyring, else from a file that only the user can read, else from the
environment. A key that an agent registered comes last, so that registering never replaces a user's key. Stored keys are
bound to a base URL and are never sent anywhere else.

A keyring may ask its user to unlock it, so the wait has a time limit. `keyring` is only imported at the first use:
finding a backend takes time, and most starts need none.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from pydantic import SecretStr

from api.errors import InvalidInput
from safety.private_file import read_private, write_private


class BadSetting(InvalidInput):
    """A setting that cannot be used. The message is one line that says what to do."""

    default_code = "BAD_SETTING"


SERVICE: Final = "heytraders-mcp"
PATIENCE: Final = 20.0

Result = TypeVar("Result")


class Keyring(Protocol):
    """A store of secrets by name."""

    def read(self, name: str) -> str | None:
        """The secret, or `None` if none is stored."""
        ...

    def write(self, name: str, secret: str) -> bool:
        """Store it. `False` if this machine has no keyring."""
        ...

    def forget(self, name: str) -> None:
        """Delete it if it exists."""
        ...


class SystemKeyring:
    """macOS Keychain, Windows Credential Locker, Secret Service or KWallet.

    Args:
        patience: Seconds to wait for an answer.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience

    def read(self, name: str) -> str | None:
        """The secret, or `None` if there is no secret or no keyring."""
        import keyring

        return self._ask(lambda: keyring.get_password(SERVICE, name)) if self._usable() else None

    def write(self, name: str, secret: str) -> bool:
        """Store it and verify that it is there. `False` if there is no keyring, or one that does not keep it."""
        import keyring

        if not self._usable():
            return False
        self._ask(lambda: keyring.set_password(SERVICE, name, secret))
        return self._ask(lambda: keyring.get_password(SERVICE, name)) == secret

    def forget(self, name: str) -> None:
        """Delete it if it exists."""
        import keyring
        import keyring.errors

        def drop() -> None:
            try:
                keyring.delete_password(SERVICE, name)
            except keyring.errors.PasswordDeleteError:
                return

        if self._usable():
            self._ask(drop)

    def _usable(self) -> bool:
        """Backends with a keyring priority below 1 store nothing, or store plain text."""
        import keyring

        return self._ask(lambda: float(keyring.get_keyring().priority)) >= 1

    def _ask(self, question: Callable[[], Result]) -> Result:
        """The answer, or an error after the time limit. The thread is left running, since nothing can interrupt it."""
        answers: list[Result] = []
        failures: list[Exception] = []

        def work() -> None:
            try:
                answers.append(question())
            except Exception as error:  # noqa: BLE001 - backends raise what they like; all of it means no answer
                failures.append(error)

        thread = threading.Thread(target=work, name="keyring", daemon=True)
        thread.start()
        thread.join(self._patience)
        if answers:
            return answers[0]
        trouble = type(failures[0]).__name__ if failures else f"no answer within {self._patience:g} s"
        raise BadSetting(
            f"the keyring of this machine could not be used ({trouble})",
            suggestion="Unlock it, or keep the key in a private file: heytraders-mcp login --file",
        )


LOGINS: Final = "login.json"
REGISTERED: Final = "registered-keys.json"
TOKEN: Final = "http-token"  # noqa: S105 - a file name

KeyOrigin = Literal["keyring", "file", "environment", "registered"]


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and its origin."""

    key: SecretStr
    origin: KeyOrigin


def find_key(
    home: Path, url: str, from_environment: SecretStr | None, keyring: Keyring | None = None
) -> FoundKey | None:
    """The key for `url`. Blocking: a keyring may ask its user.

    Raises:
        BadSetting: A key was stored but cannot be read; no other key replaces it.
    """
    stored = _read(home / LOGINS, "run heytraders-mcp login again")
    if url in stored:
        kept = stored[url]
        if kept:
            return FoundKey(SecretStr(kept), "file")
        secret = (keyring or SystemKeyring()).read(url)
        if secret is None:
            raise BadSetting(f"the keyring no longer holds a key for {url}", suggestion="Run: heytraders-mcp login")
        return FoundKey(SecretStr(secret), "keyring")
    if from_environment is not None:
        return FoundKey(from_environment, "environment")
    registered = registered_key(home, url)
    return FoundKey(registered, "registered") if registered else None


def signed_in(home: Path, url: str) -> bool:
    """Whether `keep_key` was used for `url`. Does not access the keyring."""
    return url in _read(home / LOGINS, "run heytraders-mcp login again")


def keep_key(home: Path, url: str, key: SecretStr, *, in_file: bool, keyring: Keyring | None = None) -> KeyOrigin:
    """Store the user's key for `url`: in the keyring, or in a private file with `in_file` or without a keyring.

    Raises:
        BadSetting: The keyring did not answer, or the folder cannot be written.
    """
    secret = key.get_secret_value()
    logins = _read(home / LOGINS, "run heytraders-mcp logout first")
    kept = not in_file and (keyring or SystemKeyring()).write(url, secret)
    _write(home / LOGINS, {**logins, url: "" if kept else secret})
    return "keyring" if kept else "file"


def forget_key(home: Path, url: str, keyring: Keyring | None = None) -> KeyOrigin | None:
    """Forget the user's key for `url`, and return where it was. Keys in the environment are left alone."""
    logins = _read(home / LOGINS, "forget the key by hand")
    if url not in logins:
        return None
    origin: KeyOrigin = "file" if logins.pop(url) else "keyring"
    _write(home / LOGINS, logins)
    if origin == "keyring":
        (keyring or SystemKeyring()).forget(url)
    return origin


def registered_key(home: Path, source: str) -> SecretStr | None:
    """The key registered at `source`, a base URL or "embedded"."""
    key = _read(home / REGISTERED, "register again").get(source)
    return SecretStr(key) if key else None


def keep_registered_key(home: Path, source: str, key: str) -> Path:
    """Store a key for later starts, replacing an earlier one from the same `source`."""
    path = home / REGISTERED
    _write(path, {**_read(path, "register again"), source: key})
    return path


def http_token(home: Path) -> SecretStr:
    """The token that HTTP clients must send, 256 bits; created at the first call."""
    path = home / TOKEN
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    token = (read_private(path) or "").strip()
    if len(token) < 32:
        raise BadSetting(f"{path} contains no usable token", suggestion="Delete it; the next start creates a new one")
    return SecretStr(token)


def last_four(key: SecretStr | str) -> str:
    """A key for display: its last four characters, or nothing for a short key."""
    value = key if isinstance(key, str) else key.get_secret_value()
    return f"…{value[-4:]}" if len(value) >= 12 else "…"


def _read(path: Path, afterwards: str) -> dict[str, str]:
    """Read a private file of names and texts; a missing file is empty."""
    text = read_private(path)
    if text is None:
        return {}
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise BadSetting(f"{path} is not JSON", suggestion=f"Delete it and {afterwards}") from error
    if not isinstance(found, dict):
        raise BadSetting(f"{path} contains no keys", suggestion=f"Delete it and {afterwards}")
    return {str(name): str(value) for name, value in found.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - JSON


def _write(path: Path, content: dict[str, str]) -> None:
    write_private(path, json.dumps(content, indent=2) + "\n")
