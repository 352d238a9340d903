"""Where each line of wishes stands, in memory that outlives the process which is killed while it works on them."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = struct.Struct("<q")


class Slots:
    """Shared memory for `count` lines of wishes; processes that are forked later share it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * _NUMBER.size)
        for index in range(count):
            self.write(index, index)

    def read(self, index: int) -> int:
        """The wish that a line works on."""
        return _NUMBER.unpack_from(self._memory, index * _NUMBER.size)[0]

    def write(self, index: int, number: int) -> None:
        """Let a line go on with wish `number`."""
        _NUMBER.pack_into(self._memory, index * _NUMBER.size, number)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


@dataclass(frozen=True)
class Slot:
    """One line: wishes `index`, `index + count`, `index + 2 * count` and so on."""

    slots: Slots
    index: int

    @property
    def current(self) -> int:
        """The wish that this line works on."""
        return self.slots.read(self.index)

    def next(self) -> None:
        """It is done; go on to the next."""
        self.slots.write(self.index, self.current + self.slots.count)
