"""Secrets kept on this machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from safety.private_file import BadFile
from server.keys import http_token, keep_registered_key, last_four, registered_key

KEY = "ht_prov_0123456789abcdef"


def test_a_registered_key_is_kept_private_and_bound_to_its_source(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    path = keep_registered_key(home, "https://hey-traders.com/api/v1", KEY)

    kept = registered_key(home, "https://hey-traders.com/api/v1")
    assert kept is not None
    assert kept.get_secret_value() == KEY
    assert registered_key(home, "https://elsewhere.example/api/v1") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in home.iterdir()] == [path.name]


def test_keys_of_two_sources_are_kept_side_by_side(tmp_path: Path) -> None:
    keep_registered_key(tmp_path, "one", KEY)
    keep_registered_key(tmp_path, "two", f"{KEY}2")

    kept = [registered_key(tmp_path, source) for source in ("one", "two")]
    assert [key.get_secret_value() for key in kept if key] == [KEY, f"{KEY}2"]


def test_the_http_token_is_made_once_with_256_bits(tmp_path: Path) -> None:
    token = http_token(tmp_path)

    assert len(token.get_secret_value()) >= 43
    assert http_token(tmp_path).get_secret_value() == token.get_secret_value()
    assert stat.S_IMODE((tmp_path / "http-token").stat().st_mode) == 0o600


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    http_token(tmp_path)
    (tmp_path / "http-token").chmod(0o644)

    with pytest.raises(BadFile) as refused:
        http_token(tmp_path)

    assert "chmod 600" in refused.value.suggestion


def test_a_home_that_is_a_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")

    with pytest.raises(BadFile) as refused:
        http_token(tmp_path / "home")

    assert "HEYTRADERS_HOME" in refused.value.suggestion


def test_only_the_end_of_a_long_key_is_ever_shown() -> None:
    assert last_four(KEY) == "…cdef"
    assert last_four("short") == "…"
