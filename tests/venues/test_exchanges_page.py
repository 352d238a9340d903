"""Every command of docs/exchanges.md works, and so does the demo on exchange data, against a fake Binance.

uv run --group dev pytest -n 0 -m slow tests/venues/test_exchanges_page.py
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.server.cli.terminal import Terminal, terminal

from .fake_binance import FakeBinance
from .fake_venue import serving

pytest.importorskip("ccxt")

PASSPHRASE = "correct horse battery"
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "exchanges.md"


def blocks(kind: str) -> list[str]:
    """The blocks of the page in one language."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands() -> list[str]:
    """The lines of the page that a reader types."""
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def sign(human: Terminal) -> None:
    """Read the changes, and choose a passphrase."""
    human.until("Sign them")
    human.type("y")
    human.until("New passphrase")
    human.type(PASSPHRASE)
    human.until("epeat for confirmation: ")
    human.type(PASSPHRASE)


def approve(human: Terminal) -> None:
    """Read the order, and approve it."""
    shown = human.until("Approve it")
    assert "REAL MONEY      on your own account at the exchange" in shown
    assert "BUY             0.001 BTC/USDT" in shown
    human.type("yes")
    human.until("assphrase: ")
    human.type(PASSPHRASE)


HUMAN: dict[str, Callable[[Terminal], None]] = {"policy sign": sign, "approve": approve}
"""What a person types at the commands that only a person may run."""


@pytest.mark.slow
def test_each_line_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    """Run in order, in one home."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    [policy] = blocks("toml")
    (home / "policy.toml").write_text(policy, encoding="utf-8")
    fake = FakeBinance()
    fake.archive_until = int(time.time()) - 86_400
    said: list[str] = []
    running: list[subprocess.Popen[bytes]] = []
    with serving(fake) as url:
        settings = {"HEYTRADERS_VENUE_URLS": f"binance={url}"}
        for line in commands():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                settings[name] = value
            elif line.endswith(" &"):
                running.append(start(line.removesuffix(" &"), home, settings))
            else:
                said.append(run(line, home, settings))
        for process in running:
            process.terminate()
            process.wait(30)
    everything = "\n".join(said)
    for expected in (
        '"source": "exchange"',
        "BINANCE:ETH/USDT",
        '"status": "FILLED"',
        "testnet main",
        '"paper": false',
        '"outcome": "approval_required"',
    ):
        assert expected in everything, expected
    assert "the-secret" not in everything
    assert PASSPHRASE not in everything
    [order] = fake.orders.values()
    assert (order.side, order.kind, order.amount, order.status) == ("BUY", "market", Decimal("0.001"), "filled")
    assert order.client_id.startswith("htm")


def start(line: str, home: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """Run a line of the page in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "heytraders_mcp", *shlex.split(line)[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HEYTRADERS_HOME": str(home), **settings},
        cwd=ROOT,
    )


def run(line: str, home: Path, settings: dict[str, str]) -> str:
    """Run a line of the page; returns its output."""
    program, *arguments = shlex.split(line)
    assert program == "heytraders-mcp"
    person = HUMAN.get(" ".join(arguments))
    if person is not None:
        with terminal(home, *arguments, **settings) as human:
            person(human)
            code, _ = human.end()
            assert code == 0, (line, human.seen)
            return human.seen
    done = subprocess.run(
        [sys.executable, "-m", "heytraders_mcp", *arguments],
        capture_output=True,
        text=True,
        input="the-key-0123456789\nthe-secret-0123456789\n",
        env={"PATH": os.environ["PATH"], "HEYTRADERS_HOME": str(home), **settings},
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_demo_runs_on_the_prices_of_an_exchange(tmp_path: Path) -> None:
    """Research, a paper order at the live price and a backtest on fetched candles; nothing is simulated."""
    fake = FakeBinance()
    with serving(fake) as url:
        settings = {"HEYTRADERS_VENUE_URLS": f"binance={url}", "HEYTRADERS_DATA": "exchange"}
        said = run("heytraders-mcp demo", tmp_path, settings)

    assert "embedded engine, market data: exchange" in said
    assert "paper order FILLED: buy 0.01 BTC/USDT" in said
    assert "buy-and-hold" in said
    assert "simulated data" not in said
    assert fake.count("klines") > 3
    assert not [request for request in fake.requests if fake.places(request)]
