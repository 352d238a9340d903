"""What an agent reads when it is refused is as committed; `python -m tests.safety.policy.refusals` writes it anew."""

from __future__ import annotations

from tests.safety.policy.refusals import FILE, told


def test_refusals_read_as_committed() -> None:
    assert told() == FILE.read_text(encoding="utf-8")
