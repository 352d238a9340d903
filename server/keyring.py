"""The operating system's keyring, where there is one. It may ask its user to unlock it, so waiting for it has an end.

`keyring` is imported at the first question only: finding a backend takes time, and most starts need none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from .private import BadSetting

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
