"""Files of the safety layer are regular and small; a pipe or a device in their place blocks nothing."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from safety.human.in_force import POLICY_FILE, load
from safety.ledger import Ledger
from safety.private_file import MAX_BYTES, BadFile, read_bounded, read_private


@pytest.mark.parametrize("kind", ["a pipe", "a link to a device", "a folder", "too large"])
def test_what_is_not_a_small_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "a pipe":
        os.mkfifo(path, 0o600)
    elif kind == "a link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    else:
        path.touch(mode=0o600)
        path.write_bytes(b"x" * (MAX_BYTES + 1))

    for read in (read_private, read_bounded):
        with pytest.raises(BadFile, match=r"regular file|larger than|Is a directory"):
            read(path)


def test_a_policy_that_is_a_pipe_or_a_device_switches_real_orders_off(tmp_path: Path) -> None:
    for target in ("/dev/zero", None):
        path = tmp_path / POLICY_FILE
        path.unlink(missing_ok=True)
        if target is None:
            os.mkfifo(path)
        else:
            path.symlink_to(target)
        with closing(Ledger.open(tmp_path)) as ledger:
            loaded = load(tmp_path, ledger)

        assert not loaded.policy.limits("real").trading
        assert "not a regular file" in loaded.warnings[0]
