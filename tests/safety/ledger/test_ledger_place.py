"""Folders that may hold a ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from safety.ledger.database import network_kind

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /home rw,relatime shared:15 - nfs4 server:/home rw,vers=4.2
31 30 0:26 / /home/me/local rw - ext4 /dev/vdb rw
32 22 0:27 / /mnt/my\040share rw - cifs //server/share rw
33 22 0:28 / /homes rw - tmpfs tmpfs rw
34 22 0:29 / /over rw - ext4 /dev/vdc rw
35 34 0:30 / /over rw - ceph mon:/ rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/heytraders", None), ("/home/you/.local/state/heytraders-mcp", "nfs4"), ("/home", "nfs4"),
        ("/home/me/local/heytraders", None), ("/mnt/my share/heytraders", "cifs"), ("/homes/me", None),
        ("/over/me", "ceph"),
    ],
)  # fmt: skip
def test_a_folder_of_another_machine_is_told_by_its_mount(folder: str, kind: str | None) -> None:
    assert network_kind(Path(folder), MOUNTS) == kind


def test_where_mounts_cannot_be_known_the_folder_is_taken(tmp_path: Path) -> None:
    assert network_kind(tmp_path, "") is None
