"""Logging in and out, and adding the server to a client's configuration: no key is ever shown or written there."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from server.clients import ClientConfig, ClientName, client_config, entry, merged
from server.settings import BadSetting
from tests.api.conftest import FakeService, service
from tests.server.cli.shell import ROOT, Done, run_here, run_process

__all__ = ["service"]

KEY: Final = "ht_live_canary_0123456789"
Run = Callable[..., Done]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without a keyring."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "user"),
        "HEYTRADERS_HOME": str(tmp_path / "home"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a verb with piped input."""

    def verb(*arguments: str, piped: str = "", **settings: str) -> Done:
        return run_here(*arguments, env={**environment, **settings}, typed=piped)

    return verb


@pytest.mark.long
def test_a_piped_key_is_kept_used_and_forgotten_without_being_shown(
    environment: dict[str, str], tmp_path: Path
) -> None:
    # Processes, since the keyring is chosen once in a process.
    unreachable = {**environment, "HEYTRADERS_BASE_URL": "http://127.0.0.1:9/api/v1"}

    done = run_process("login", env=unreachable, typed=f"{KEY}\n")
    doctor = run_process("doctor", env=unreachable)
    again = run_process("logout", env=unreachable)
    twice = run_process("logout", env=unreachable)

    assert done.returncode == 0, done.stderr
    assert "…6789" in done.stdout
    assert "could not be checked" in done.stdout
    assert stat.S_IMODE((tmp_path / "home" / "login.json").stat().st_mode) == 0o600
    assert "…6789" in doctor.stdout
    assert "private file" in again.stdout
    assert "No key was stored" in twice.stdout
    assert KEY not in "".join(each.stdout + each.stderr for each in (done, doctor, again, twice))


async def test_a_key_that_the_service_refuses_is_not_stored(
    service: FakeService, environment: dict[str, str], tmp_path: Path
) -> None:
    service.fails(401, "INVALID_API_KEY", f"{KEY} is unknown")
    done = await _login_over_a_terminal(environment, service.url)

    assert done.returncode == 1
    assert "INVALID_API_KEY" in done.stdout
    assert KEY not in done.stdout
    assert not (tmp_path / "home" / "login.json").exists()


async def test_what_is_typed_is_not_echoed_and_the_service_says_what_it_is_for(
    service: FakeService, environment: dict[str, str], tmp_path: Path
) -> None:
    service.succeeds({"agent_id": "ag_1", "scopes": ["research", "read", "trade"]})
    done = await _login_over_a_terminal(environment, service.url)

    assert done.returncode == 0
    assert "research, read, trade" in done.stdout
    assert "policy sign" in done.stdout
    assert KEY not in done.stdout
    assert service.requests[0].headers["x-api-key"] == KEY
    assert json.loads((tmp_path / "home" / "login.json").read_text(encoding="utf-8")) == {service.url: KEY}


async def _login_over_a_terminal(environment: dict[str, str], url: str) -> subprocess.CompletedProcess[str]:
    """Type the key into a real terminal, and return all its output."""
    import anyio.to_thread

    return await anyio.to_thread.run_sync(_typed, {**environment, "HEYTRADERS_BASE_URL": url})


def _typed(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "heytraders_mcp", "login"], environment)  # noqa: S606
    shown = b""
    while b"API key for" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, f"{KEY}\n".encode())
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # Linux ends a terminal whose program has gone with EIO
        pass
    os.close(terminal)
    return subprocess.CompletedProcess([], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode())


@pytest.mark.parametrize("typed", ["", "   ", "two words", "schlüssel-ohne-ascii", f"{KEY}\x07x"])
def test_what_cannot_be_a_key_is_refused_without_being_repeated(run: Run, typed: str) -> None:
    done = run("login", piped=f"{typed}\n")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not typed.strip() or typed not in done.stderr


def test_no_option_takes_a_key(run: Run) -> None:
    assert run("login", KEY).returncode == 2
    assert run("login", "--key", KEY).returncode == 2


def test_install_enters_the_server_and_leaves_the_rest_and_a_copy(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    before = json.dumps({"mcpServers": {"other": {"command": "x"}}, "theme": "ünder"})
    path.write_text(before, encoding="utf-8")
    path.chmod(0o640)

    done = run("install", "--client", "cursor", HEYTRADERS_API_KEY=KEY, HEYTRADERS_TOOLSETS="research")

    assert done.returncode == 0, done.stderr
    after: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert after["theme"] == "ünder"
    assert after["mcpServers"]["other"] == {"command": "x"}
    assert after["mcpServers"]["heytraders"]["env"] == {
        "HEYTRADERS_HOME": str(tmp_path / "home"),
        "HEYTRADERS_TOOLSETS": "research",
    }
    [copy] = path.parent.glob("*.bak")
    assert copy.read_text(encoding="utf-8") == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert KEY not in path.read_text(encoding="utf-8") + done.stdout
    assert "left out" in done.stdout


def test_install_enters_which_data_to_use(run: Run, tmp_path: Path) -> None:
    done = run("install", "--client", "cursor", "--data", "exchange")
    entered = json.loads((tmp_path / "user" / ".cursor" / "mcp.json").read_text(encoding="utf-8"))
    again = run("install", "--client", "cursor", "--data", "simulated")
    changed = json.loads((tmp_path / "user" / ".cursor" / "mcp.json").read_text(encoding="utf-8"))
    refused = run("install", "--client", "cursor", "--data", "real")

    assert (done.returncode, again.returncode, refused.returncode) == (0, 0, 2)
    assert entered["mcpServers"]["heytraders"]["env"]["HEYTRADERS_DATA"] == "exchange"
    assert changed["mcpServers"]["heytraders"]["env"]["HEYTRADERS_DATA"] == "simulated"


def test_what_is_entered_starts_this_installation(run: Run, environment: dict[str, str]) -> None:
    shown = run("install", "--client", "claude-desktop", "--print").stdout
    added = json.loads(shown.partition("\n")[2])["mcpServers"]["heytraders"]

    done = subprocess.run(
        [added["command"], *added["args"], "--version"], capture_output=True, text=True, env=environment, check=True
    )

    assert done.stdout.startswith("heytraders-mcp ")
    assert not Path(environment["HOME"]).exists()


def test_an_entry_for_a_server_elsewhere_becomes_one_for_this_installation() -> None:
    config = ClientConfig(Path("mcp.json"), ("mcpServers",), typed=True)
    old = {"type": "http", "url": "https://h.example/mcp", "headers": {"X": "1"}, "env": {"A": "1"}, "timeout": 9}

    text = merged(json.dumps({"mcpServers": {"heytraders": old}}), config, entry(config, {}))

    added = json.loads(text)["mcpServers"]["heytraders"]
    assert {name: added[name] for name in ("type", "env", "timeout")} == {
        "type": "stdio",
        "env": {"A": "1"},
        "timeout": 9,
    }
    assert not {"url", "headers"} & added.keys()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("name", ["claude-desktop", "claude-code", "openclaw", "cursor", "vscode"])
def test_every_client_gets_an_entry_without_a_key(name: Any, platform: str, tmp_path: Path) -> None:
    secrets = {
        "HEYTRADERS_API_KEY": KEY,
        "HEYTRADERS_DATABASE_URL": f"postgresql://u:{KEY}@h/d",
        "HEYTRADERS_WEBHOOK_SECRET": KEY,
    }
    config = client_config(name, tmp_path, {}, platform)

    text = merged(None, config, entry(config, secrets))

    assert config.path.is_relative_to(tmp_path)
    assert KEY not in text
    place = json.loads(text)
    for step in config.table:
        place = place[step]
    assert place["heytraders"]["args"] == ["-m", "heytraders_mcp"]


@pytest.mark.parametrize("text", ["{'a': 1}", "[]", '{"mcpServers": []}', '{"mcpServers": 7}', "5", "[" * 9_000])
def test_a_configuration_without_a_place_for_servers_is_left_alone(text: str) -> None:
    with pytest.raises(BadSetting, match="is not JSON with an object at") as refused:
        merged(text, ClientConfig(Path("mcp.json"), ("mcpServers",)), {})

    assert "--print" in refused.value.suggestion


JSONC = """// what I use
{
  /* servers */
  "mcpServers": {
    "other": { "command": "x", "url": "http://a//b" }, // keep, "this": {
    "heytraders": {
      "command": "/old/python",
      "args": ["-m", "old"],
      "disabled": true, // for now
      "env": {"HEYTRADERS_READ_ONLY": "1", "OTHER": "y",},
    },
  },
  "theme": "dark", // last
}
"""


def test_install_keeps_comments_and_what_an_entry_has(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_text(JSONC, encoding="utf-8")

    done = run("install", "--client", "cursor", HEYTRADERS_TOOLSETS="research")

    assert done.returncode == 0, done.stderr
    after = path.read_text(encoding="utf-8")
    begin, end = JSONC.index('{\n      "command": "/old'), JSONC.index("},\n  },\n") + 1
    assert after.startswith(JSONC[:begin])
    assert after.endswith(JSONC[end:])
    entry = json.loads(after[begin : len(after) - len(JSONC[end:])])
    assert entry["env"] == {
        "HEYTRADERS_READ_ONLY": "1",
        "OTHER": "y",
        "HEYTRADERS_HOME": str(tmp_path / "home"),
        "HEYTRADERS_TOOLSETS": "research",
    }
    assert entry["disabled"] is True
    assert entry["command"] != "/old/python"
    assert 'cursor will not start it as long as the entry contains "disabled": true' in done.stdout
    assert "starts heytraders now" not in done.stdout


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"disabled": True}, '"disabled": true'),
        ({"enabled": False}, '"enabled": false'),
        ({"disabled": False, "enabled": True}, None),
        ({"disabled": "yes"}, '"disabled": "yes"'),
    ],
)
@pytest.mark.parametrize("client", get_args(ClientName))
def test_an_entry_that_is_switched_off_stays_off_and_install_says_so(
    run: Run, tmp_path: Path, client: ClientName, fields: dict[str, object], told: str | None
) -> None:
    config = client_config(client, tmp_path / "user", {}, sys.platform)
    written: dict[str, Any] = {"heytraders": {"command": "x", **fields}}
    for name in reversed(config.table):
        written = {name: written}
    config.path.parent.mkdir(parents=True, exist_ok=True)
    config.path.write_text(json.dumps(written), encoding="utf-8")

    done = run("install", "--client", client)

    assert done.returncode == 0, done.stderr
    assert ("starts heytraders now" in done.stdout) is (told is None)
    assert (f"the entry contains {told}. To enable it, delete that field." in done.stdout) is (told is not None)
    place: Any = json.loads(config.path.read_text(encoding="utf-8"))
    for name in (*config.table, "heytraders"):
        place = place[name]
    assert {name: place[name] for name in fields} == fields


@pytest.mark.parametrize(
    "before",
    [
        "",
        "{}",
        "{ }\n",
        "{\n  // nothing yet\n}\n",
        '{"a": 1}',
        '{\n  "a": [1, 2,], // two\n}\n',
        '{"mcpServers": {}}',
        '{"mcpServers": {"b": {"command": "c",}, },}',
        '{\r\n  "mcpServers": {\r\n  }\r\n}\r\n',
        '\ufeff{"a": "// no comment, }"}',
    ],
)
def test_install_adds_to_any_configuration_and_a_second_time_changes_nothing(
    run: Run, tmp_path: Path, before: str
) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(before.encode())

    first = run("install", "--client", "cursor")
    once = path.read_bytes().decode()
    run("install", "--client", "cursor")

    assert first.returncode == 0, first.stderr
    assert path.read_bytes().decode() == once
    bare = re.sub(r",(\s*[}\]])", r"\1", re.sub(r"// (nothing yet|two)", "", once))
    whole = json.loads(bare)
    assert whole["mcpServers"]["heytraders"]["args"] == ["-m", "heytraders_mcp"]
    assert {"a", "b"} & {*whole, *whole["mcpServers"]} == {name for name in ("a", "b") if f'"{name}"' in before}


@pytest.mark.parametrize("before", ["[1]", '{"mcpServers": 1}', '{"mcpServers": []}', "{", '{"a": }', b"\xff\xfe"])
def test_a_configuration_that_cannot_be_read_is_left_alone(run: Run, tmp_path: Path, before: str | bytes) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(before if isinstance(before, bytes) else before.encode())

    done = run("install", "--client", "cursor")

    assert done.returncode == 1
    assert "--print" in done.stderr
    assert path.read_bytes() == (before if isinstance(before, bytes) else before.encode())
