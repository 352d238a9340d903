"""Shared by all tables: the `MetaData` that they are declared against, and the identifiers of stored rows.

An identifier is a type prefix and a lower-case ULID: 48 bits of milliseconds and 80 random bits in 26 characters of
Crockford's base 32. Identifiers sort by creation time, also within one millisecond of one process.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

from sqlalchemy import MetaData

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS: Final = 80
_LENGTH: Final = 26

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Create an identifier such as `bt_01jd3w...`: sortable and unguessable."""
    number = _next_number()
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    return f"{prefix}_{''.join(digits)}"


def _next_number() -> int:
    global _last  # noqa: PLW0603 - one sequence per process is what keeps the order within a millisecond
    fresh = time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        same_or_earlier = fresh >> _RANDOM_BITS <= _last >> _RANDOM_BITS
        _last = _last + 1 + secrets.randbits(32) if same_or_earlier else fresh
        return _last
