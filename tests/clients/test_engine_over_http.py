"""`heytraders-mcp engine`: the API document's requests, with only the host changed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """Base URL and key of a running engine."""
    environment = {"HEYTRADERS_HOME": str(tmp_path_factory.mktemp("home"))}
    with subprocess.Popen(
        [sys.executable, "-m", "heytraders_mcp", "engine", "--port", "0"],
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stderr is not None
        said = "".join(process.stderr.readline() for _ in range(3))
        try:
            yield re.findall(r"on (http\S+) ", said)[0], re.findall(r"only: (\S+)", said)[0]
        finally:
            process.kill()


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
    [("Host", "rebound.example", 421), ("Origin", "https://evil.example", 403), ("Origin", "null", 403)],
)
def test_a_page_of_another_site_cannot_reach_the_engine(
    engine: tuple[str, str], header: str, value: str, status: int
) -> None:
    base, _ = engine

    answered = httpx2.post(f"{base}/meta/register", json={"display_name": "Probe"}, headers={header: value})

    assert answered.status_code == status
