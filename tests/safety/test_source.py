"""What our own source must not contain: ways to run foreign code, and ways past the gate."""

from __future__ import annotations

import ast
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("api", "engine", "heytraders_mcp", "prompts", "resources", "safety", "server", "tools")
FILES: Final = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

CALLS: Final = frozenset(
    {
        "eval", "exec", "compile", "__import__", "breakpoint", "os.system", "os.popen", "os.execv", "os.execve",
        "os.spawnv", "pty.spawn", "pickle.load", "pickle.loads", "marshal.load", "marshal.loads", "shelve.open",
        "yaml.load", "yaml.unsafe_load", "runpy.run_path", "runpy.run_module", "code.interact", "webbrowser.open",
    }
)  # fmt: skip
MODULES: Final = frozenset(
    {"pickle", "marshal", "shelve", "pty", "commands", "dill", "cloudpickle", "yaml", "telnetlib"}
)

APPROVING: Final = frozenset(
    {
        "safety.human.signing",
        "safety.human.in_force",
        "safety.sending.execution",
        "safety.ledger",
        "safety.gate",
        "safety.human.screen",
    }
)
"""Modules that sign, keep or send. Only the server's assembly and its command line know them."""


class Names(NamedTuple):
    """The names in a file, by where they are."""

    called: tuple[str, ...]
    """Dotted, with `shell=` where a call has that argument."""
    imported: tuple[str, ...]
    all: frozenset[str]


@cache
def text(path: Path) -> str:
    """A file with its names spelled as Python reads them: identifiers that look alike are the same."""
    return unicodedata.normalize("NFKC", path.read_text(encoding="utf-8"))


@cache
def words(path: Path) -> frozenset[str]:
    """The words of a file, in its code and elsewhere; one after a dot has it."""
    return frozenset(re.findall(r"\.?\w+", text(path)))


def mentioning(*names: str) -> list[Path]:
    """The files with every part of one of these names, as code or not. No other file can call or import it."""
    parts = [tuple(name.split(".")) for name in names]
    return [path for path in FILES if any(all(_said(word, path) for word in each) for each in parts)]


def _said(word: str, path: Path) -> bool:
    return word in words(path) or f".{word}" in words(path)


@cache
def named(path: Path) -> Names:
    """What a file names, read once for all tests."""
    called: list[str] = []
    imported: list[str] = []
    names: set[str] = set()
    for node in ast.walk(ast.parse(text(path), str(path))):
        names.update(name for word in ("id", "attr", "name") if isinstance(name := getattr(node, word, None), str))
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            called += [name, f"{name} shell="] if any(k.arg == "shell" for k in node.keywords) else [name]
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return Names(tuple(called), tuple(imported), frozenset(names))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def calls(path: Path) -> tuple[str, ...]:
    return named(path).called


def imports(path: Path) -> tuple[str, ...]:
    """Modules that a file imports, wherever the import is."""
    return named(path).imported


def users(*wanted: str) -> set[str]:
    """Files that call or import this name, as a whole or as its last part."""
    return {
        str(path.relative_to(ROOT))
        for path in mentioning(*wanted)
        for name in (*calls(path), *imports(path))
        if name in wanted or name.rpartition(".")[2] in wanted or name.split(".")[0] in wanted
    }


def test_all_of_our_source_is_looked_at() -> None:
    assert len(FILES) > 150


def test_nothing_runs_what_others_wrote() -> None:
    suspects = mentioning(*(name for name in CALLS if "." in name), *MODULES)
    suspects += [path for path in FILES if not CALLS.isdisjoint(words(path))]
    found = [f"{path}: {name}" for path in suspects for name in calls(path) if name in CALLS]
    found += [f"{path}: {name}" for path in suspects for name in imports(path) if name.split(".")[0] in MODULES]

    assert found == []


def test_processes_are_started_by_the_backtests_alone_and_never_through_a_shell() -> None:
    starting = users("subprocess", "create_subprocess_exec", "create_subprocess_shell", "Popen")

    assert {user for user in starting if not user.startswith("engine/jobs/")} == set()
    assert [f"{path}: {name}" for path in mentioning("shell") for name in calls(path) if name.endswith(" shell=")] == []


def test_the_service_the_exchanges_and_webhooks_are_each_called_from_one_module() -> None:
    assert users("httpx", "httpx2", "urllib3") == {"api/transport.py", "engine/live/delivery.py"}
    assert users("aiohttp", "ccxt") == {"engine/venues/exchange/session.py"}


def test_a_humans_word_is_booked_by_the_commands_that_ask_for_the_passphrase_alone() -> None:
    """The gate books the answer of a client's dialog, which `Ledger.claim` judges by the limit for dialogs."""
    assert users("settle_by_human") == {"safety/ledger/__init__.py", "server/cli/approve.py"}
    assert users("allow_questions") == {"server/cli/approve.py"}
    assert {path for path in users("ledger.release") if path.startswith(("safety", "server"))} == {"server/cli/halt.py"}
    assert users("ledger.store_policy") == {"server/cli/policy.py"}
    assert users("ledger.pin_approver") == {"server/cli/passphrase.py"}
    assert users("ledger.approve") == {"safety/gate/orders.py", "server/cli/approve.py"}


def test_what_agents_reach_imports_nothing_that_approves_or_sends() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in mentioning("safety")
        if path.relative_to(ROOT).parts[0] in {"tools", "resources", "prompts"}
        for name in imports(path)
        if any(name == module or name.startswith(f"{module}.") for module in APPROVING)
    ]

    assert found == []


def test_only_the_command_line_opens_the_signing_key() -> None:
    opening = users("unlock", "enrol", "change_passphrase")

    assert {path for path in opening if not path.startswith("server/cli/")} <= {"safety/human/signing.py"}


@pytest.mark.long
def test_only_the_executor_sends_what_must_be_sent_once() -> None:
    assert users("send_once") == {"api/client.py", "safety/sending/execution.py"}


@pytest.mark.parametrize("name", ["ORDERS_PLACE", "ARENA_POST", "ARENA_PROFILE_UPDATE"])
def test_only_the_executor_and_the_engine_know_a_request_that_must_be_sent_once(name: str) -> None:
    """A tool, a prompt or a command that named it could send it without the gate."""
    knowing = {str(path.relative_to(ROOT)) for path in mentioning(name) if name in named(path).all}

    assert {path for path in knowing if not path.startswith(("api/", "engine/routes/"))} == {
        "safety/sending/execution.py"
    }


def test_the_safety_layer_never_asks_which_service_answers() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for path in mentioning("source")
        if path.is_relative_to(ROOT / "safety")
        for node in ast.walk(ast.parse(text(path), str(path)))
        if isinstance(node, ast.Attribute) and node.attr == "source" and ast.unparse(node.value).endswith("client")
    }
    assert not asking
