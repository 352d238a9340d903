"""Where the file lies: in a folder of the user's own, on a disk whose locks and syncs can be believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from api.errors import UserMustAct

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


def prepare(path: Path) -> None:
    """Make folder and file before SQLite does, for their modes; the rollback journal takes the file's mode.

    Raises:
        UserMustAct: The folder lies on another machine.
        OSError: Folder or file cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kind = network_kind(path.parent.resolve(), _MOUNTS.read_text() if _MOUNTS.exists() else "")
    if kind is not None:
        raise UserMustAct(
            f"{path.parent} lies on a network filesystem ({kind}), where two processes can both believe to hold a lock",
            suggestion="Set HEYTRADERS_HOME to a folder on a disk of this machine",
            code="INTERNAL_ERROR",
        )
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def network_kind(folder: Path, mounts: str) -> str | None:
    """The kind of network filesystem that a folder lies on, by the lines of `mountinfo`; `None` when on none of them.

    Args:
        folder: Resolved.
        mounts: As in proc(5): the mount point is the fifth field, the kind the first after a lone dash.
    """
    found: list[tuple[int, str]] = []
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if dash and len(fields) > 4 and folder.is_relative_to(_unescaped(fields[4])):
            found.append((len(fields[4]), after.split()[0]))
    _, kind = max(reversed(found), key=lambda mount: mount[0], default=(0, ""))
    return kind if kind in _NETWORK else None


def _unescaped(name: str) -> str:
    """A mount point, in which proc(5) writes spaces and the like as three octal digits."""
    return name.encode().decode("unicode_escape") if "\\" in name else name
