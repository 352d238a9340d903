"""The refusals that an agent reads match the committed file; `python -m tests.safety.policy.refusals` rewrites it."""

from __future__ import annotations

from tests.safety.policy.refusals import FILE, told


def test_refusals_read_as_committed() -> None:
    assert told() == FILE.read_text(encoding="utf-8")
