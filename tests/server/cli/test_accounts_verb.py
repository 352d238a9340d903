"""`heytraders-mcp accounts` as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .shell import Done, run_here

Run = Callable[..., Done]


@pytest.fixture
def accounts(tmp_path: Path) -> Run:
    """Run the verb with a home folder of the test's own."""

    def verb(*arguments: str) -> Done:
        return run_here("accounts", *arguments, env={"HEYTRADERS_HOME": str(tmp_path / "home")})

    return verb


def test_an_account_is_opened_funded_and_checked(accounts: Run) -> None:
    opened = accounts("create", "upbit", "--id", "won", "--balance", "1000000")
    funded = accounts("fund", "won", "--", "-250000.5")
    ledger = accounts("ledger", "won")
    checked = accounts("verify")

    assert opened.stdout.split() == ["won", "upbit", "active", "1000000", "KRW", "free"]
    assert "749999.5 KRW free" in funded.stdout
    assert [line.split()[2:5] for line in ledger.stdout.splitlines()] == [
        ["deposit", "funding", "-1000000"],
        ["deposit", "free", "+1000000"],
        ["withdrawal", "funding", "+250000.5"],
        ["withdrawal", "free", "-250000.5"],
    ]
    assert (checked.returncode, len(checked.stdout.splitlines())) == (0, 9)


def test_a_mistake_is_one_line_with_what_to_do(accounts: Run) -> None:
    overdrawn = accounts("fund", "paper-gate", "--", "-10001")
    unknown = accounts("reset", "paper-gat")

    assert (overdrawn.returncode, unknown.returncode) == (1, 1)
    assert overdrawn.stderr.count("\n") == 1
    assert "10001 USDT is needed and 10000 USDT is free" in overdrawn.stderr
    assert "paper-gate" in unknown.stderr
