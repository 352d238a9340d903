"""The verb that runs live strategies without a client: as a process and as a service file."""

from __future__ import annotations

import json
import os
import plistlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.cli.run import service_file
from server.settings import BadSetting

from .shell import ROOT, Done, run_here


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "HEYTRADERS_HOME": str(home / "desk"), **more}


def verb(home: Path, *arguments: str, **more: str) -> Done:
    return run_here(*arguments, env=environment(home, **more))


def call(home: Path, *arguments: str) -> dict[str, Any]:
    done = verb(home, "call", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_runs_strategies_until_a_signal_and_clients_are_told(tmp_path: Path, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "heytraders_mcp", "run"]
    given = {"PATH": os.environ["PATH"], **environment(tmp_path)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given, cwd=ROOT) as run:
        assert run.stderr is not None
        first = run.stderr.readline()
        made = call(tmp_path, "live_subscribe", "strategy_id=rsi-reversion")
        checked = verb(tmp_path, "doctor").stdout
        run.send_signal(number)
        output, rest = run.communicate(timeout=20)
    listed = call(tmp_path, "live_subscriptions_list")["subscriptions"]

    assert first == f"Process {run.pid} runs the live strategies of {tmp_path / 'desk'}. Ctrl-C stops it.\n"
    assert made["runner"].startswith(f"Process {run.pid} runs it (last seen ")
    assert made["runner"].endswith("and continues when this client ends.")
    assert f"process {run.pid} runs strategies and continues when clients end" in checked
    assert (run.returncode, output, rest) == (0, "", "Stopping; the strategies wait for the next process.\n")
    assert str(run.pid) not in str(listed)


def test_run_refuses_where_a_hosted_service_runs_the_strategies(tmp_path: Path) -> None:
    done = verb(tmp_path, "run", HEYTRADERS_API_KEY="hey_live_0123456789abcdef0123456789abcdef")

    assert done.returncode == 1
    assert "runs live strategies itself" in done.stderr
    assert "heytraders-mcp logout" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")
def test_install_writes_the_unit_that_print_shows(tmp_path: Path) -> None:
    shown = verb(tmp_path, "run", "--print", HEYTRADERS_DATA="exchange")
    before = sorted(tmp_path.rglob("*.service"))
    told = verb(tmp_path, "run", "--install", HEYTRADERS_DATA="exchange")

    unit = tmp_path / ".config" / "systemd" / "user" / "heytraders-live.service"
    assert before == []
    assert unit.read_text() == shown.stdout
    assert f'ExecStart="{sys.executable}" "-m" "heytraders_mcp" "run"\n' in shown.stdout
    assert 'Environment="HEYTRADERS_DATA=exchange"\n' in shown.stdout
    assert f'Environment="HEYTRADERS_HOME={tmp_path / "desk"}"\n' in shown.stdout
    assert told.stdout.startswith(f"Wrote {unit}. Start it with: systemctl --user enable --now heytraders-live")


def test_a_secret_is_never_written_into_a_service_file(tmp_path: Path) -> None:
    done = verb(tmp_path, "run", "--install", HEYTRADERS_DATABASE_URL="postgresql://desk:hunter2@127.0.0.1/desk")

    assert done.returncode == 1
    assert "HEYTRADERS_DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stderr
    assert not list(tmp_path.rglob("*.service"))


def test_a_unit_escapes_what_systemd_would_expand(tmp_path: Path) -> None:
    _, unit, _ = service_file("linux", tmp_path, {"HEYTRADERS_HOME": '/a %h/$b "c"'})

    assert 'Environment="HEYTRADERS_HOME=/a %%h/$b \\"c\\""\n' in unit


def test_a_launchd_agent_starts_with_the_login_and_restarts_after_a_crash(tmp_path: Path) -> None:
    path, content, start = service_file("darwin", tmp_path, {"HEYTRADERS_HOME": "/desk & <home>"})

    agent = plistlib.loads(content.encode())
    assert path == tmp_path / "Library" / "LaunchAgents" / "com.hey-traders.live.plist"
    assert agent["ProgramArguments"] == [sys.executable, "-m", "heytraders_mcp", "run"]
    assert agent["EnvironmentVariables"] == {"HEYTRADERS_HOME": "/desk & <home>"}
    assert (agent["RunAtLoad"], agent["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert start.startswith("launchctl bootstrap gui/$(id -u) ")


def test_other_systems_are_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="no service file for win32"):
        service_file("win32", tmp_path, {})
