"""Reads a trace of `strace`: was everything that a process wrote to its ledger on the disk when it connected?

`kill -9` cannot show a missing sync, since the operating system keeps the writes of a dead process. Only the order of
the system calls can show it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CALLS: Final = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,connect"
"""System calls to trace, with `-f -y -s 0`: file names instead of numbers, and no contents."""

_LINE: Final = re.compile(r"^(?P<thread>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)$")
_NAMED: Final = re.compile(r'[<"](?P<path>/[^>"]+)[>"]')


@dataclass
class Disk:
    """Tracks what is not on the disk yet, call by call.

    Attributes:
        database: The ledger's file.
        commits: Finished transactions. Either the journal's header was cleared after the ledger was synced, and then
            synced itself, or the journal was removed and its folder synced.
        connects: Connections to the exchange, each with the commits before it.
        unsynced: Connections that began while something was not on the disk, as sentences.
    """

    database: Path
    port: int
    commits: int = 0
    connects: list[int] = field(default_factory=list[int])
    unsynced: list[str] = field(default_factory=list[str])
    _written: bool = False
    _journal: bool = False
    _synced: bool = False
    _cleared: bool = False
    _folder: bool = False

    def read(self, trace: str) -> Disk:
        """Follow a whole trace."""
        begun: dict[str, str] = {}
        for line in trace.splitlines():
            found = _LINE.match(line)
            if found is None:
                continue
            thread, call, rest = found["thread"], found["call"], found["rest"]
            if line.endswith("<unfinished ...>"):
                begun[thread] = rest
                self._begins(call, rest)
            elif "resumed>" in rest:
                self._ends(call, begun.pop(thread, ""))
            else:
                self._begins(call, rest)
                self._ends(call, rest)
        return self

    def _begins(self, call: str, rest: str) -> None:
        path = self._path(rest)
        if call in {"write", "pwrite64", "ftruncate"} and path == str(self.database):
            self._written = True
        elif call == "openat" and path == self._journal_path and "O_CREAT" in rest:
            self._journal, self._synced = True, False
        elif call in {"write", "pwrite64", "ftruncate"} and path == self._journal_path and self._synced:
            self._journal, self._cleared = False, True
        elif call == "connect" and f"htons({self.port})" in rest:
            self.connects.append(self.commits)
            self._judge()

    def _ends(self, call: str, rest: str) -> None:
        path = self._path(rest)
        synced = call in {"fsync", "fdatasync"}
        if call == "unlink" and path == self._journal_path:
            self._journal, self._folder = False, True
        elif synced and path == str(self.database):
            self._written, self._synced = False, True
        elif synced and path == self._journal_path and self._cleared:
            self._cleared = self._synced = False
            self.commits += 1
        elif synced and path == str(self.database.parent) and self._folder:
            self._folder = False
            self.commits += 1

    def _judge(self) -> None:
        number = len(self.connects)
        if self._written:
            self.unsynced.append(f"connection {number}: the ledger was written to and not synced")
        if self._journal:
            self.unsynced.append(f"connection {number}: a transaction was still open")
        if self._folder or self._cleared:
            self.unsynced.append(f"connection {number}: the end of the transaction was not synced")

    @property
    def _journal_path(self) -> str:
        return f"{self.database}-journal"

    @staticmethod
    def _path(rest: str) -> str:
        """The last file that a call names; `-y` shows the folder of a relative name before it."""
        named = _NAMED.findall(rest.partition(" = ")[0])
        return named[-1] if named else ""
