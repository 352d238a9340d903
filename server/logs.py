"""The log: stderr only, one line an event, and never a key in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Final

from pydantic import SecretStr

from .settings import Settings

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_NOISY: Final = ("httpx", "httpcore", "httpx2", "httpcore2", "uvicorn.access", "sse_starlette")


class Redacting(logging.Formatter):
    """Replaces known secrets in the finished text, tracebacks included."""

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        super().__init__(_FORMAT)
        self._secrets = tuple(s.get_secret_value() for s in secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line, with every secret as `[redacted]`."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def start_log(settings: Settings, *secrets: SecretStr) -> None:
    """Send the log of this process to stderr. Called before the server is built, which then adds no handler."""
    known = [*secrets, *([settings.api_key] if settings.api_key else [])]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(known))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
