"""The command line as a user runs it: its output and its exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from api.outputs import table_rows
from server import package_version
from server.cli import VERBS

from .shell import Done, run_here, run_process

Run = Callable[..., Done]

CSV = "time,open,high,low,close,volume\n" + "".join(
    f"2024-01-01T{hour:02d}:00:00Z,{100 + hour},{102 + hour},{99 + hour},{101 + hour},{10 + hour}\n"
    for hour in range(24)
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a verb with a temporary home folder."""

    def verb(*arguments: str, **settings: str) -> Done:
        return run_here(*arguments, env={"HEYTRADERS_HOME": str(tmp_path / "home"), **settings})

    return verb


def one_line(done: Done) -> str:
    """The message of a failed verb, which must be one line."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_help_and_version_know_every_verb(run: Run) -> None:
    told = run("--help").stdout

    assert all(verb in told and words in told for verb, words in VERBS.items())
    assert run_process("--version", env={}).stdout == f"heytraders-mcp {package_version()}\n"


def test_a_tool_that_is_switched_off_is_said_to_be(run: Run) -> None:
    said = one_line(run("call", "orders_place", HEYTRADERS_READ_ONLY="1"))

    assert "orders_place is not offered" in said
    assert "HEYTRADERS_READ_ONLY" in said


def test_an_unknown_verb_is_a_wrong_use() -> None:
    done = run_process("sevre", env={})

    assert done.returncode == 2
    assert "sevre" in done.stderr


def test_call_prints_the_result_as_json(run: Run) -> None:
    done = run("call", "market_tickers", "exchange=UPBIT", "limit=2")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["exchange"] for row in table_rows(result["tickers"])] == ["upbit", "upbit"]


def test_call_says_in_one_line_what_was_wrong(run: Run) -> None:
    assert "market_tickers(" in one_line(run("call", "market_tickers", "exchange=binanc"))
    assert "market_scan" in one_line(run("call", "market_scam"))
    assert "KEY=VALUE" in one_line(run("call", "market_tickers", "limit"))


def test_a_bad_setting_is_one_line_with_what_to_do(run: Run) -> None:
    said = one_line(run("call", "meta_health", HEYTRADERS_SEED="dice"))

    assert "HEYTRADERS_SEED" in said
    assert "999999999" in said


def test_candles_are_imported_listed_used_and_removed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV, encoding="utf-8")

    imported = run("data", "import", str(file), "--symbol", "BINANCE:BTC/USDT", "--timeframe", "1h")
    listed = run("data", "list")
    asked = run("call", "market_ohlcv", "symbol=BTC/USDT", "limit=1")
    removed = run("data", "remove", "BINANCE:BTC/USDT")

    assert "24 bars added" in imported.stdout, imported.stderr
    assert re.search(r"BINANCE:BTC/USDT\s+1h .* 24 bars", listed.stdout)
    assert json.loads(asked.stdout)["source"] == "imported"
    assert json.loads(asked.stdout)["candles"][0][4] == 124.0
    assert "24 bars" in removed.stdout
    assert "Nothing is imported" in run("data", "list").stdout


def test_a_wrong_row_is_named_and_nothing_is_imported(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV.replace("105,107,104,106", "105,107,104,-1"), encoding="utf-8")

    assert "line 7" in one_line(run("data", "import", str(file), "--symbol", "BTC/USDT", "--timeframe", "1h"))
    assert "Nothing is imported" in run("data", "list").stdout


def test_doctor_finds_a_healthy_installation_and_shows_no_key(run: Run) -> None:
    done = run("doctor")

    assert done.returncode == 0, done.stdout
    assert "embedded engine: status ok" in done.stdout


def test_doctor_tells_of_files_that_others_can_read_and_of_links(run: Run, tmp_path: Path) -> None:
    run("call", "safety_status")
    home = tmp_path / "home"
    (home / "engine.sqlite3").chmod(0o644)
    (home / "policy.toml").symlink_to(tmp_path / "elsewhere.toml")
    (tmp_path / "elsewhere.toml").write_text("", encoding="utf-8")
    done = run("doctor")

    assert done.returncode == 1
    assert f"BAD files      others can read or change {home}/engine.sqlite3; run: chmod 600" in done.stdout
    assert f"BAD files      {home}/policy.toml is a link to {tmp_path}/elsewhere.toml" in done.stdout


def test_doctor_finds_a_policy_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    run("policy", "show")
    policy = tmp_path / "home" / "policy.toml"
    policy.write_text("rules = [", encoding="utf-8")
    policy.chmod(0o600)

    done = run("doctor")

    assert done.returncode == 1
    assert "BAD policy" in done.stdout
    assert "policy.toml is not valid" in done.stdout


def test_doctor_and_the_log_name_a_misspelt_setting(run: Run) -> None:
    done, called = run("doctor", HEYTRADERS_READONLY="1"), run("call", "meta_health", HEYTRADERS_READONLY="1")

    assert done.returncode == 1
    assert "BAD settings   HEYTRADERS_READONLY is not a setting" in done.stdout
    assert "did you mean HEYTRADERS_READ_ONLY?" in called.stderr
    assert called.returncode == 0


def test_doctor_finds_what_is_broken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    key = "ht_live_canary_0123456789"
    done = run("doctor", HEYTRADERS_API_KEY=key, HEYTRADERS_BASE_URL="http://127.0.0.1:9/api/v1")

    assert done.returncode == 1
    assert "BAD home" in done.stdout
    assert "BAD backend" in done.stdout
    assert "…6789" in done.stdout
    assert key not in done.stdout + done.stderr


def test_a_script_that_is_not_utf_8_is_refused_in_words(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "latin.txt"
    script.write_bytes("# caf\u00e9\nemit_signal(close > 0, exit(TICKER))".encode("latin-1"))
    done = run("script", "check", str(script))

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "is not UTF-8: byte 0xe9 in line 1" in done.stderr


def test_a_call_that_takes_long_shows_its_progress(run: Run) -> None:
    terms = ("universe=BINANCE:BTC/USDT", "start_date=2024-01-01", "end_date=2024-01-10")
    done = run(
        "call",
        "backtest_and_poll",
        "strategy_type=dca",
        'parameters={"fixed_amount": 100, "interval": "daily"}',
        *terms,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"^ *\d+% \w", done.stderr, re.MULTILINE)
    assert json.loads(done.stdout)["status"] == "completed"


@pytest.mark.long
def test_the_demo_does_the_main_job_without_a_key_or_a_network(run: Run) -> None:
    done = run("demo", HEYTRADERS_API_KEY="ht_live_must_not_be_used")

    assert done.returncode == 0, done.stderr
    tools = (
        "meta_health market_tickers market_scan market_rank market_evaluate market_ohlcv docs_read order_preview "
        "place_with_confirmation order_intent safety_status backtest_and_poll live_subscribe "
        "live_unsubscribe accounts_balances"
    )
    assert [tool for tool in tools.split() if tool not in done.stdout] == []
    assert "The client shows its user:" in done.stdout
    assert "paper order FILLED" in done.stdout
    assert "ACKED" in done.stdout
    assert re.search(r"(entry|exit) +(buy|sell) +\w+/USDT +order api-", done.stdout)
    assert "simulated" in done.stdout
