"""Keys that this machine keeps: the user's own, registered ones, and the bearer token of the HTTP transports.

The user's key comes from the operating system's keyring, else from a file that only the user can read, else from the
environment; after that comes one that an agent registered, so that registering never displaces a key of the user's.
Stored keys are bound to the base URL that they were stored for and are never sent anywhere else.

A keyring may ask its user to unlock it, so waiting for it has an end. `keyring` is imported at the first question only:
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
    """What keeps secrets by name."""

    def read(self, name: str) -> str | None:
        """The secret, or `None` if none is stored."""
        ...

    def write(self, name: str, secret: str) -> bool:
        """Keep it. `False` where this machine has no keyring."""
        ...

    def forget(self, name: str) -> None:
        """Drop it, if it is there."""
        ...


class SystemKeyring:
    """macOS Keychain, Windows Credential Locker, Secret Service or KWallet.

    Args:
        patience: Seconds to wait for an answer.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience

    def read(self, name: str) -> str | None:
        """The secret, or `None` without a stored secret or a keyring."""
        import keyring

        return self._ask(lambda: keyring.get_password(SERVICE, name)) if self._usable() else None

    def write(self, name: str, secret: str) -> bool:
        """Keep it, and look whether it is there. `False` where this machine has no keyring, or one that forgets."""
        import keyring

        if not self._usable():
            return False
        self._ask(lambda: keyring.set_password(SERVICE, name, secret))
        return self._ask(lambda: keyring.get_password(SERVICE, name)) == secret

    def forget(self, name: str) -> None:
        """Drop it, if it is there."""
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
        """Backends below 1 keep nothing, or keep it in the clear (keyring's own scale of priorities)."""
        import keyring

        return self._ask(lambda: float(keyring.get_keyring().priority)) >= 1

    def _ask(self, question: Callable[[], Result]) -> Result:
        """The answer, or a refusal once patience has ended. The thread is left behind: nothing can interrupt it."""
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

Origin = Literal["keyring", "file", "environment", "registered"]


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and where it was found."""

    key: SecretStr
    origin: Origin


def find_key(
    home: Path, url: str, from_environment: SecretStr | None, keyring: Keyring | None = None
) -> FoundKey | None:
    """The key for `url`. Blocking: a keyring may ask its user.

    Raises:
        BadSetting: A key was stored, but cannot be read; another is not used in its place.
    """
    stored = _read(home / LOGINS, "run heytraders-mcp login again")
    if url in stored:
        kept = stored[url]
        if kept:
            return FoundKey(SecretStr(kept), "file")
        secret = (keyring or SystemKeyring()).read(url)
        if secret is None:
            raise BadSetting(f"the keyring holds no key for {url} any more", suggestion="Run: heytraders-mcp login")
        return FoundKey(SecretStr(secret), "keyring")
    if from_environment is not None:
        return FoundKey(from_environment, "environment")
    registered = registered_key(home, url)
    return FoundKey(registered, "registered") if registered else None


def signed_in(home: Path, url: str) -> bool:
    """Whether `keep_key` was used for `url`. Asks no keyring."""
    return url in _read(home / LOGINS, "run heytraders-mcp login again")


def keep_key(home: Path, url: str, key: SecretStr, *, in_file: bool, keyring: Keyring | None = None) -> Origin:
    """Keep the user's key for `url`: in the keyring; without a keyring, or `in_file`, in a private file.

    Raises:
        BadSetting: The keyring did not answer, or the folder cannot be written.
    """
    secret = key.get_secret_value()
    logins = _read(home / LOGINS, "run heytraders-mcp logout first")
    kept = not in_file and (keyring or SystemKeyring()).write(url, secret)
    _write(home / LOGINS, {**logins, url: "" if kept else secret})
    return "keyring" if kept else "file"


def forget_key(home: Path, url: str, keyring: Keyring | None = None) -> Origin | None:
    """Forget the user's key for `url`, and say where it was. Keys of the environment are not ours to forget."""
    logins = _read(home / LOGINS, "forget the key by hand")
    if url not in logins:
        return None
    origin: Origin = "file" if logins.pop(url) else "keyring"
    _write(home / LOGINS, logins)
    if origin == "keyring":
        (keyring or SystemKeyring()).forget(url)
    return origin


def registered_key(home: Path, source: str) -> SecretStr | None:
    """The key registered at `source`, a base URL or "embedded"."""
    key = _read(home / REGISTERED, "register again").get(source)
    return SecretStr(key) if key else None


def keep_registered_key(home: Path, source: str, key: str) -> Path:
    """Keep a key for later starts, in place of an earlier one from the same `source`."""
    path = home / REGISTERED
    _write(path, {**_read(path, "register again"), source: key})
    return path


def http_token(home: Path) -> SecretStr:
    """The token that HTTP clients must send, 256 bits; made at the first call."""
    path = home / TOKEN
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    token = (read_private(path) or "").strip()
    if len(token) < 32:
        raise BadSetting(f"{path} holds no usable token", suggestion="Delete it; the next start makes a new one")
    return SecretStr(token)


def last_four(key: SecretStr | str) -> str:
    """How a key is shown: its last four characters, or nothing of a short one."""
    value = key if isinstance(key, str) else key.get_secret_value()
    return f"…{value[-4:]}" if len(value) >= 12 else "…"


def _read(path: Path, afterwards: str) -> dict[str, str]:
    """A private file of names and texts; a missing one is empty."""
    text = read_private(path)
    if text is None:
        return {}
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise BadSetting(f"{path} is not JSON", suggestion=f"Delete it and {afterwards}") from error
    if not isinstance(found, dict):
        raise BadSetting(f"{path} holds no keys", suggestion=f"Delete it and {afterwards}")
    return {str(name): str(value) for name, value in found.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - JSON


def _write(path: Path, content: dict[str, str]) -> None:
    write_private(path, json.dumps(content, indent=2) + "\n")
