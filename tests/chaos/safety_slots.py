"""The progress of each line of wishes, in memory that survives the death of the process that works on it."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Final

_LINE: Final = struct.Struct("<qq")


class Slots:
    """Shared memory for `count` lines of wishes; processes that are forked later share it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.owner = os.getpid()
        self._memory = mmap.mmap(-1, count * _LINE.size)
        for index in range(count):
            self.write(index, index, 0)

    def read(self, index: int) -> tuple[int, int]:
        """The current wish of a line, and the last process that began it."""
        return _LINE.unpack_from(self._memory, index * _LINE.size)

    def write(self, index: int, number: int, pid: int) -> None:
        """Record that process `pid` continues with wish `number` on a line."""
        _LINE.pack_into(self._memory, index * _LINE.size, number, pid)

    def close(self) -> None:
        """Release the memory."""
        self._memory.close()


@dataclass(frozen=True)
class Slot:
    """One line: wishes `index`, `index + count`, `index + 2 * count` and so on."""

    slots: Slots
    index: int

    def begin(self) -> int:
        """The current wish of this line; from now on this process owns it. Without an owner there is nothing to do."""
        if os.getppid() != self.slots.owner:
            os._exit(0)
        number, _ = self.slots.read(self.index)
        self.slots.write(self.index, number, os.getpid())
        return number

    def next(self) -> None:
        """The wish is done; move the line to the next."""
        number, pid = self.slots.read(self.index)
        self.slots.write(self.index, number + self.slots.count, pid)

    def wishes_done(self, pid: int, since: int) -> int | None:
        """How many wishes a process has done on this line, which was at `since`; `None` before its first."""
        number, worker = self.slots.read(self.index)
        return (number - since) // self.slots.count if worker == pid else None

    @property
    def number(self) -> int:
        """The current wish of this line."""
        return self.slots.read(self.index)[0]
