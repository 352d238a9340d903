"""`heytraders-mcp script check`: the output for an editor or a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .shell import Done, run_here

Check = Callable[..., Done]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a script in a file."""

    def verb(script: str, *options: str) -> Done:
        file = tmp_path / "idea.signal"
        file.write_text(script, encoding="utf-8")
        return run_here("script", "check", file.name, *options, env={}, folder=tmp_path)

    return verb


def test_every_error_is_said_with_place_caret_and_correction(check: Check) -> None:
    done = check('a = rsii(close, 14) < 30\nemit_signal(a && b, entry(TICKER, "LONG", Weight(0.5)))\n')

    assert done.returncode == 1
    assert "idea.signal:1:5: error:" in done.stdout
    assert "idea.signal:2:" in done.stdout
    assert "^^^^" in done.stdout
    assert "rsi" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_script_that_can_run_is_described_in_words(check: Check) -> None:
    done = check('emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))', "--universe", "gate:eth/usdt")

    assert done.returncode == 0
    assert "warning: this entry has no stop, target or exit" in done.stdout
    assert "GATE:ETH/USDT" in done.stdout
    assert "filled at the next bar's open" in done.stdout


def test_a_wrong_universe_is_one_line_with_what_to_do(check: Check) -> None:
    done = check("emit_signal(close > 0, exit(TICKER))", "--universe", "top30")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "market_tickers" in done.stderr
