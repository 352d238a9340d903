"""Every command of docs/exchanges.md works, against a fake Binance."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .fake_binance import FakeBinance
from .fake_venue import serving

pytest.importorskip("ccxt")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "exchanges.md"


def commands() -> list[str]:
    """The lines of the page that a reader types."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.slow
def test_each_line_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    """Run in order, in one home."""
    fake = FakeBinance()
    fake.archive_until = int(time.time()) - 86_400
    said: list[str] = []
    with serving(fake) as url:
        environment = {
            "PATH": os.environ["PATH"],
            "HEYTRADERS_HOME": str(tmp_path / "home"),
            "HEYTRADERS_VENUE_URLS": f"binance={url}",
        }
        for line in commands():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                environment[name] = value
                continue
            program, *arguments = shlex.split(line)
            assert program == "heytraders-mcp"
            done = subprocess.run(
                [sys.executable, "-m", "heytraders_mcp", *arguments],
                capture_output=True,
                text=True,
                input="the-key-0123456789\nthe-secret-0123456789\n",
                env=environment,
                check=False,
                cwd=ROOT,
            )
            assert done.returncode == 0, (line, done.stderr)
            said.append(done.stdout + done.stderr)

    everything = "\n".join(said)
    for expected in (
        '"source": "exchange"',
        "BINANCE:ETH/USDT",
        '"status": "FILLED"',
        "testnet main",
        '"paper": false',
    ):
        assert expected in everything, expected
    assert "the-secret" not in everything
    assert not [request for request in fake.requests if fake.places(request)]
