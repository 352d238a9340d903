"""A real `heytraders-mcp engine`: the document's commands in a real shell, where only host, key and ids change, and
who gets in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from . import curl_examples as examples

MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]

ACCOUNTS = {
    "poly-acc-456": "paper-polymarket",
    "lighter-acc-789": "paper-lighter",
    "acc-123": "paper-binance",
    "acc-456": "paper-binancefuturesusd",
}
"""Longer names first, since some contain others."""
OF_EXAMPLE = {"open orders on Lighter": "paper-lighter"}
"""The value of `{account_id}`; other commands use the Polymarket account."""


@dataclass
class Shell:
    """A shell on a machine where an engine runs."""

    base: str
    key: str
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def run(self, command: str) -> str:
        """The output of a command."""
        done = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": os.environ["PATH"], "API_KEY": self.key, "HEYTRADERS_API_KEY": self.key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def data(self, command: str, ids: dict[str, str] | None = None) -> dict[str, Any]:
        """The data of a command that must succeed."""
        envelope = json.loads(self.run(self.filled(command, ids or {})))
        assert envelope["success"] is True, envelope
        assert envelope.keys() == {"success", "data", "error", "meta"}
        data: dict[str, Any] = envelope["data"]
        return data

    def filled(self, command: str, ids: dict[str, str]) -> str:
        """A command of the document with host and placeholders filled in."""
        filled = command.replace(examples.HOSTED, self.base)
        for placeholder, value in {**self.ids, **ids}.items():
            filled = filled.replace(placeholder, value)
        assert not re.search(r"\.\.\.&|\{\w*id\}|RESULT_ID_FROM|Token ID", filled), filled
        return filled

    def order(self, account: str, exchange: str, **order: Any) -> dict[str, Any]:
        """Place an additional order."""
        body = json.dumps({"account_id": account, "exchange": exchange, "side": "buy", **order})
        return self.data(f"curl -H 'X-API-Key: {self.key}' -d '{body}' {self.base}/orders")

    def prepare(self) -> None:
        """Find a prediction market, then finish a backtest and create a subscription to fill in."""
        tickers = self.data(f"curl '{self.base}/market/tickers?exchange=polymarket&limit=500'")["tickers"]
        token = min(tickers, key=lambda ticker: abs(ticker["price"] - 0.5))["symbol"]
        printed = self.run(self.workflow())
        made = self.data(f"curl -X POST -H 'X-API-Key: {self.key}' {self.base}/live-strategies/macd-momentum/subscribe")
        self.ids = {
            **ACCOUNTS,
            "99244664...": token,
            "21798... (Token ID)": token,
            "RESULT_ID_FROM_BACKTEST": _result_id(printed),
            "{result_id}": _result_id(printed),
            "{id}": made["subscription_id"],
            "{account_id}": "paper-polymarket",
        }

    def workflow(self) -> str:
        """The document's script. It polls five times a second instead of every five seconds."""
        return examples.WORKFLOW.replace(examples.HOSTED, self.base).replace("sleep 5", "sleep 0.2")


def _result_id(printed: str) -> str:
    return re.findall(r"^Result ID: (\S+)$", printed, re.MULTILINE)[0]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """Base URL and key of a running engine on a separate home."""
    command = [sys.executable, "-m", "heytraders_mcp", "engine", "--port", "0"]
    environment = {"HEYTRADERS_HOME": str(tmp_path_factory.mktemp("curl")), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env=environment, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stderr is not None
        said = "".join(process.stderr.readline() for _ in range(3))
        try:
            yield re.findall(r"on (http\S+) ", said)[0], re.findall(r"only: (\S+)", said)[0]
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def shell(engine: tuple[str, str]) -> Shell:
    """A shell on the engine's machine."""
    if MISSING:
        pytest.skip(f"the document's commands need {', '.join(MISSING)}")
    made = Shell(*engine)
    made.prepare()
    return made


@pytest.mark.parametrize("name", [name for name in examples.JSON if not name.startswith("cancel")])
def test_a_command_succeeds(shell: Shell, name: str) -> None:
    ids = {"{account_id}": OF_EXAMPLE.get(name, "paper-polymarket")}
    if name == "open orders":
        for account in ("paper-polymarket", "paper-hyperliquid"):
            assert "orders" in shell.data(examples.JSON[name], {"{account_id}": account})

    assert shell.data(examples.JSON[name], ids)


def test_an_order_is_cancelled_by_its_internal_id(shell: Shell) -> None:
    placed = shell.order("paper-binance", "binance", symbol="BTC/USDT", order_type="limit", amount="0.02", price="1000")

    cancelled = shell.data(examples.JSON["cancel by internal id"], {"{order_id}": placed["order_id"]})
    assert (cancelled["status"], cancelled["order_id"]) == ("CANCELLED", placed["order_id"])


def test_an_order_is_cancelled_by_its_exchange_order_id(shell: Shell) -> None:
    placed = shell.order("paper-lighter", "lighter", symbol="BTC/USDT", order_type="limit", amount="0.02", price="1000")
    ids = {"{exchange_order_id}": placed["exchange_order_id"], "account_id=...": "account_id=paper-lighter"}

    cancelled = shell.data(examples.JSON["cancel by exchange id"], ids)
    assert (cancelled["status"], cancelled["order_id"]) == ("CANCELLED", placed["order_id"])


@pytest.mark.parametrize("name", examples.MARKDOWN)
def test_a_document_is_raw_markdown(shell: Shell, name: str) -> None:
    assert shell.run(shell.filled(examples.MARKDOWN[name], {})).startswith("# ")


@pytest.mark.parametrize("name", examples.PROSE)
def test_what_a_sentence_says_works_as_a_command(shell: Shell, name: str) -> None:
    assert shell.data(examples.PROSE[name])


@pytest.mark.long
def test_the_complete_workflow_runs_to_its_metrics(shell: Shell) -> None:
    printed = shell.run(shell.workflow())

    metrics = json.loads(printed[printed.index("{") :])
    assert re.search(r"^Backtest ID: bt_\w+$", printed, re.MULTILINE)
    assert "Status: completed" in printed
    assert _result_id(printed)
    assert {"total_return_pct", "max_drawdown", "sharpe_ratio", "win_rate", "num_trades"} <= metrics.keys()
    assert isinstance(metrics["total_return_pct"], float)


def test_health_and_tickers_need_no_key(engine: tuple[str, str]) -> None:
    base, _ = engine

    assert httpx2.get(f"{base}/meta/health").json()["success"] is True
    assert httpx2.get(f"{base}/market/tickers?limit=1").json()["data"]["tickers"]


def test_documents_are_markdown_for_those_who_accept_it(engine: tuple[str, str]) -> None:
    base, _ = engine
    answered = httpx2.get(f"{base}/docs/api-reference", headers={"Accept": "text/markdown"})

    assert answered.headers["content-type"].startswith("text/markdown")
    assert answered.text.startswith("# ")


def test_the_printed_key_opens_what_needs_one(engine: tuple[str, str]) -> None:
    base, key = engine
    url = f"{base}/market/ohlcv?symbol=BTC/USDT&timeframe=1h&limit=1"

    assert httpx2.get(url).status_code == 401
    assert len(httpx2.get(url, headers={"X-API-Key": key}).json()["data"]["candles"]) == 1


def test_a_registered_key_has_research_only(engine: tuple[str, str]) -> None:
    base, _ = engine
    body = {"display_name": "My Bot", "risk_profile": "moderate"}

    assert httpx2.post(f"{base}/meta/register", json=body).json()["data"]["scopes"] == ["research"]


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "rebound.example", 421),
        ("Host", "127.0.0.1.evil.example:80", 421),
        ("Host", "localhost", 421),
        ("Origin", "https://evil.example", 403),
        ("Origin", "http://localhost:1.evil.example", 403),
        ("Origin", "", 403),
        ("Origin", "null", 403),
    ],
)
def test_a_page_of_another_site_cannot_reach_the_engine(
    engine: tuple[str, str], header: str, value: str, status: int
) -> None:
    base, _ = engine

    answered = httpx2.post(f"{base}/meta/register", json={"display_name": "Probe"}, headers={header: value})

    assert answered.status_code == status
    assert f"The {header} header must be" in answered.text
