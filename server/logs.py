"""Sets up the log: stderr only, one line per event, never a key."""

from __future__ import annotations

import logging
import sys
from typing import Final

from pydantic import SecretStr

from safety.exits import know, redacted

from .settings import Settings

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_NOISY: Final = ("httpx", "httpcore", "httpx2", "httpcore2", "uvicorn.access", "sse_starlette", "keyring")


class Redacting(logging.Formatter):
    """Replaces secrets in the finished text, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """The line, with every secret as `[redacted]`."""
        return redacted(super().format(record))


def start_log(settings: Settings, *secrets: SecretStr) -> None:
    """Send the log of this process to stderr. Called before the server is built, which then adds no handler."""
    for secret in (*secrets, settings.api_key, settings.webhook_secret):
        if secret is not None:
            know(secret.get_secret_value())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for doubt in settings.doubts:
        logging.getLogger("heytraders.settings").warning("%s", doubt)
