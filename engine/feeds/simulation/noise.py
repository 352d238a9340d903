"""Random numbers that can be asked for anywhere: draw i of a stream is a hash of (seed, stream, i).

The hash is SplitMix64 (Steele, Lea and Flood, 2014). Nothing is drawn in sequence, so a window of candles costs what
it is long and does not depend on which window was asked before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.frame import Floats

Words = NDArray[np.uint64]

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_TO_UNIT: Final = 2.0**-32
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@dataclass(frozen=True)
class Stream:
    """An endless row of draws, the same for the same seed and name. `first` may be any whole number >= 0."""

    seed: int
    name: str

    def uniforms(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent rows of `count` numbers, uniform strictly between 0 and 1."""
        words = self._words(first, count)
        return _to_unit(words >> _HALF), _to_unit(words & _LOW_HALF)

    def normals(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent rows of `count` standard normal numbers (Box and Muller)."""
        radius, angle = self.uniforms(first, count)
        radius = np.sqrt(-2.0 * np.log(radius))
        angle *= 2.0 * np.pi
        return radius * np.cos(angle), radius * np.sin(angle)

    def swings(self, first: int, count: int, scales: tuple[int, ...]) -> Floats:
        """A slowly changing row: for each scale, normals that many draws apart, joined by straight lines, summed."""
        total = np.zeros(count)
        for scale in scales:
            low = first // scale
            knots, _ = Stream(self.seed, f"{self.name}/{scale}").normals(low, (first + count - 1) // scale - low + 2)
            at, into = np.divmod(np.arange(first - low * scale, first - low * scale + count), scale)
            weight = into / scale
            total += knots[at] * (1.0 - weight) + knots[at + 1] * weight
        return total

    @cached_property
    def _key(self) -> np.uint64:
        digest = blake2b(f"{self.seed}/{self.name}".encode(), digest_size=8).digest()
        return np.uint64(int.from_bytes(digest))

    def _words(self, first: int, count: int) -> Words:
        words = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        words *= _GAMMA
        words += self._key
        for shift, factor in _MIX:
            words ^= words >> np.uint64(shift)
            words *= np.uint64(factor)
        return words


def _to_unit(words: Words) -> Floats:
    return (words.astype(np.float64) + 0.5) * _TO_UNIT
