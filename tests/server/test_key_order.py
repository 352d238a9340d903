"""Where the user's key comes from: the keyring, a private file, the environment, and last an agent's registration."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import keyring
import keyring.backend
import keyring.errors
import pytest
from pydantic import SecretStr

from safety.private_file import BadFile
from server.keys import LOGINS, FoundKey, SystemKeyring, find_key, forget_key, keep_key, keep_registered_key, signed_in
from server.settings import BadSetting, Settings

URL: Final = "https://hey-traders.com/api/v1"
KEY: Final = SecretStr("ht_live_0123456789abcdef")
OTHER: Final = SecretStr("ht_live_fedcba9876543210")


class Box:
    """A keyring in memory; unavailable if `there` is false."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.kept: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        """The secret."""
        return self.kept.get(name)

    def write(self, name: str, secret: str) -> bool:
        """Keep it."""
        if self.there:
            self.kept[name] = secret
        return self.there

    def forget(self, name: str) -> None:
        """Drop it."""
        self.kept.pop(name, None)


def shown(found: FoundKey | None) -> tuple[str, str] | None:
    """A found key in a comparable form."""
    return (found.key.get_secret_value(), found.origin) if found else None


def test_a_stored_key_comes_before_the_environment_and_that_before_a_registered_one(tmp_path: Path) -> None:
    box = Box()
    keep_registered_key(tmp_path, URL, "ht_prov_registered_by_an_agent")
    assert shown(find_key(tmp_path, URL, None, box)) == ("ht_prov_registered_by_an_agent", "registered")
    assert shown(find_key(tmp_path, URL, OTHER, box)) == (OTHER.get_secret_value(), "environment")

    keep_key(tmp_path, URL, KEY, in_file=True, keyring=box)
    assert shown(find_key(tmp_path, URL, OTHER, box)) == (KEY.get_secret_value(), "file")

    keep_key(tmp_path, URL, KEY, in_file=False, keyring=box)
    assert shown(find_key(tmp_path, URL, OTHER, box)) == (KEY.get_secret_value(), "keyring")


def test_a_key_in_the_keyring_is_in_no_file(tmp_path: Path) -> None:
    keep_key(tmp_path, URL, KEY, in_file=True, keyring=Box())
    keep_key(tmp_path, URL, KEY, in_file=False, keyring=Box())

    files = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()]
    assert files
    assert not [text for text in files if KEY.get_secret_value() in text]


def test_without_a_keyring_the_key_goes_into_a_file_of_mode_0600(tmp_path: Path) -> None:
    origin = keep_key(tmp_path, URL, KEY, in_file=False, keyring=Box(there=False))

    assert origin == "file"
    assert stat.S_IMODE((tmp_path / LOGINS).stat().st_mode) == 0o600
    assert shown(find_key(tmp_path, URL, None)) == (KEY.get_secret_value(), "file")


def test_a_stored_key_is_for_its_own_url_only(tmp_path: Path) -> None:
    box = Box()
    keep_key(tmp_path, URL, KEY, in_file=False, keyring=box)

    assert find_key(tmp_path, "https://evil.example/api/v1", None, box) is None
    assert find_key(tmp_path, f"{URL}.evil.example", None, box) is None
    assert not signed_in(tmp_path, "https://evil.example/api/v1")


def test_a_stored_key_that_cannot_be_read_is_not_replaced_by_another(tmp_path: Path) -> None:
    box = Box()
    keep_key(tmp_path, URL, KEY, in_file=False, keyring=box)
    box.kept.clear()

    with pytest.raises(BadSetting, match="no longer holds a key") as refused:
        find_key(tmp_path, URL, OTHER, box)

    assert "login" in refused.value.suggestion


def test_a_file_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    keep_key(tmp_path, URL, KEY, in_file=True)
    (tmp_path / LOGINS).chmod(0o640)

    with pytest.raises(BadFile, match="can be read by others"):
        find_key(tmp_path, URL, None)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00", '"key"'])
def test_a_damaged_file_is_told_and_not_taken_for_an_empty_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / LOGINS
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)

    with pytest.raises(BadSetting, match=str(path)):
        signed_in(tmp_path, URL)


def test_forgetting_leaves_nothing(tmp_path: Path) -> None:
    box = Box()
    keep_key(tmp_path, URL, KEY, in_file=False, keyring=box)

    assert forget_key(tmp_path, URL, box) == "keyring"
    assert forget_key(tmp_path, URL, box) is None
    assert not box.kept
    assert json.loads((tmp_path / LOGINS).read_text(encoding="utf-8")) == {}


def test_a_stored_key_makes_the_server_a_hosted_one(tmp_path: Path) -> None:
    keep_key(tmp_path, URL, KEY, in_file=True)

    assert Settings.read({"HEYTRADERS_HOME": str(tmp_path)}).hosted
    elsewhere = Settings.read({"HEYTRADERS_HOME": str(tmp_path), "HEYTRADERS_BASE_URL": "https://else.example/v1"})
    assert not elsewhere.signed_in


class Memory(keyring.backend.KeyringBackend):
    """A backend of the keyring library, in memory."""

    priority = 5  # pyright: ignore[reportAssignmentType, reportUnannotatedClassAttribute] - as the library's backends do

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.answering = threading.Event()
        self.answering.set()

    def get_password(self, service: str, username: str) -> str | None:
        """The secret, once the keyring is unlocked."""
        self.answering.wait(30)
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it."""
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Drop it."""
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not there")


@pytest.fixture
def memory() -> Generator[Memory]:
    """The keyring library with an in-memory backend, for the duration of a test."""
    before = keyring.get_keyring()
    backend = Memory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_the_systems_keyring_keeps_reads_and_forgets(memory: Memory) -> None:
    system = SystemKeyring()

    assert system.write(URL, "secret-0123456789")
    assert system.read(URL) == "secret-0123456789"
    assert list(memory.kept) == [("heytraders-mcp", URL)]
    system.forget(URL)
    system.forget(URL)
    assert system.read(URL) is None


def test_a_keyring_that_does_not_answer_is_not_waited_for(memory: Memory) -> None:
    memory.answering.clear()
    begun = time.monotonic()

    with pytest.raises(BadSetting, match=r"no answer within 0\.1 s") as refused:
        SystemKeyring(patience=0.1).read(URL)

    assert time.monotonic() - begun < 5
    assert "--file" in refused.value.suggestion
    memory.answering.set()


@pytest.mark.usefixtures("memory")
def test_a_machine_without_a_keyring_says_so(tmp_path: Path) -> None:
    import keyring.backends.fail

    keyring.set_keyring(keyring.backends.fail.Keyring())

    assert SystemKeyring().write(URL, "secret-0123456789") is False
    assert SystemKeyring().read(URL) is None
    assert keep_key(tmp_path, URL, KEY, in_file=False) == "file"
