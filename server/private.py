"""Small files that only their owner may read, and what is said where one cannot be used."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from api.errors import InvalidInput
from safety import private_file


class BadSetting(InvalidInput):
    """A setting that cannot be used. The message is one line that says what to do."""

    default_code = "BAD_SETTING"


def write_private(path: Path, content: str) -> None:
    """Replace a file in one step, with mode 0600 from its first byte on.

    Raises:
        BadSetting: The folder cannot be written.
    """
    with _as_settings():
        private_file.write_private(path, content)


def read_private(path: Path) -> str:
    """Read a file that belongs to this user, and that nobody else may read.

    Raises:
        BadSetting: Others may read it, another user owns it, or it cannot be read.
    """
    with _as_settings():
        content = private_file.read_private(path)
    if content is None:
        raise BadSetting(f"{path} is not there", suggestion="Check its owner and mode")
    return content


@contextmanager
def _as_settings() -> Generator[None]:
    try:
        yield
    except private_file.BadFile as error:
        raise BadSetting(error.message, suggestion=error.suggestion) from error
