"""What a cell of a file says: a number, or a moment in any of the ways that files write one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from engine.frame import Floats

_EPOCH_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""At or above the first number an epoch counts nano-, micro- or milliseconds; below, seconds."""


def numbers_of(texts: Sequence[str]) -> Floats | int:
    """The numbers, or the position of the first text that is none. Empty is none; `nan` and `inf` are judged later."""
    joined = "".join(texts)
    if "_" not in joined and joined.isascii():
        try:
            return np.array([float(text) for text in texts])
        except ValueError:
            pass
    return next(i for i, text in enumerate(texts) if not _is_number(text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()


def text_times(texts: Sequence[str]) -> Floats | int:
    """Unix seconds, or the position of the first text that is no time. Without an offset a time is UTC."""
    numbers = numbers_of(texts)
    if not isinstance(numbers, int):
        return epoch_seconds(numbers)
    try:
        return np.array([_iso_seconds(text) for text in texts])
    except ValueError:
        are_times = _is_number if _is_number(texts[0]) else _is_iso
        return next(i for i, text in enumerate(texts) if not are_times(text))


def epoch_seconds(numbers: Floats) -> Floats:
    """Epoch numbers of any unit as seconds. Files exist that change unit half-way, so each is judged alone."""
    unit = np.ones(len(numbers))
    for least, per_second in reversed(_EPOCH_UNITS):
        unit[numbers >= least] = per_second
    return numbers / unit


def _iso_seconds(text: str) -> float:
    moment = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_iso(text: str) -> bool:
    try:
        _iso_seconds(text)
    except ValueError:
        return False
    return True
