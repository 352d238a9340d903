"""Settings are read once; an unusable setting is refused with advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import api.transport
from server.settings import HOSTED_URL, VARIABLES, BadSetting, Settings

KEY = "ht_live_0123456789abcdef"


def test_without_any_variable_everything_is_embedded_and_offered() -> None:
    settings = Settings.read({})

    assert not settings.hosted
    assert settings.toolsets == ("research", "trading", "live", "arena")
    assert not settings.read_only


def test_a_key_makes_it_hosted_and_never_shows() -> None:
    settings = Settings.read({"HEYTRADERS_API_KEY": KEY})

    assert settings.hosted
    assert settings.url == HOSTED_URL
    assert KEY not in repr(settings)


def test_a_base_url_alone_makes_it_hosted_so_that_an_agent_can_register() -> None:
    settings = Settings.read({"HEYTRADERS_BASE_URL": "http://127.0.0.1:8787/api/v1/"})

    assert settings.hosted
    assert settings.url == "http://127.0.0.1:8787/api/v1"


def test_the_default_url_is_the_clients() -> None:
    assert api.transport.HOSTED_URL == HOSTED_URL


def test_empty_variables_count_as_absent() -> None:
    assert Settings.read({"HEYTRADERS_API_KEY": " ", "HEYTRADERS_READ_ONLY": ""}) == Settings.read({})


def test_every_variable_is_read(tmp_path: Path) -> None:
    settings = Settings.read(
        {
            "HEYTRADERS_HOME": str(tmp_path),
            "HEYTRADERS_DATABASE_URL": "postgresql+psycopg://localhost/traders",
            "HEYTRADERS_TOOLSETS": "live, Research",
            "HEYTRADERS_READ_ONLY": "yes",
            "HEYTRADERS_AUTH_HEADER": "Bearer",
            "HEYTRADERS_AMOUNTS": "string",
            "HEYTRADERS_SEED": "11",
            "HEYTRADERS_WEBHOOK_LOOPBACK": "on",
            "HEYTRADERS_LOG_LEVEL": "debug",
        }
    )

    assert settings == Settings(
        home=tmp_path,
        database_url="postgresql+psycopg://localhost/traders",
        toolsets=("research", "live"),
        read_only=True,
        auth_header="bearer",
        amounts="string",
        seed=11,
        webhooks_to_loopback=True,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("name", "value", "suggestion"),
    [
        ("HEYTRADERS_TOOLSETS", "research,tradin", "Choose from research,trading,live,arena"),
        ("HEYTRADERS_TOOLSETS", ",", "Choose from research,trading,live,arena"),
        ("HEYTRADERS_READ_ONLY", "perhaps", "Set it to 1 or 0"),
        ("HEYTRADERS_WEBHOOK_LOOPBACK", "perhaps", "Set it to 1 or 0"),
        ("HEYTRADERS_AUTH_HEADER", "basic", "x-api-key or bearer"),
        ("HEYTRADERS_AMOUNTS", "float", "number or string"),
        ("HEYTRADERS_LOG_LEVEL", "loud", "DEBUG or INFO or WARNING or ERROR"),
        ("HEYTRADERS_SEED", "-1", "0 to 999999999"),
        ("HEYTRADERS_DATA", "real", "simulated or exchange"),
        ("HEYTRADERS_VENUE_URLS", "binance=http://example.com:9000", "127.0.0.1"),
        ("HEYTRADERS_VENUE_URLS", "kraken=http://127.0.0.1:9000", "127.0.0.1"),
        ("HEYTRADERS_BACKTEST_SLOTS", "0", "1 to 64"),
        ("HEYTRADERS_BACKTEST_MEMORY_MB", "64", "512 to 1048576"),
        ("HEYTRADERS_SEED", "\uff11\uff12", "0 to 999999999"),
        ("HEYTRADERS_BASE_URL", "http://hey-traders.com/api/v1", HOSTED_URL),
        ("HEYTRADERS_BASE_URL", "https://user:pass@hey-traders.com/api/v1", HOSTED_URL),
        ("HEYTRADERS_BASE_URL", "https://[broken", HOSTED_URL),
        ("HEYTRADERS_BASE_URL", "ftp://hey-traders.com", HOSTED_URL),
    ],
)
def test_a_bad_value_is_named_with_what_to_do(name: str, value: str, suggestion: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.read({name: value})

    assert name in refused.value.message
    assert suggestion in refused.value.suggestion


def test_a_broken_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.read({"HEYTRADERS_API_KEY": f"{KEY} {KEY}"})

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "spelling",
    ["https://hey-traders.com/api/v1//", "HTTPS://Hey-Traders.COM/api/v1", "https://hey-traders.com:443/api/v1/"],
)
def test_a_service_has_one_name_however_it_is_spelt(spelling: str) -> None:
    assert Settings.read({"HEYTRADERS_BASE_URL": spelling}).url == HOSTED_URL


@pytest.mark.parametrize(
    "spelling",
    [
        "https://hey-traders.com./api/v1",
        "https://hey-traders.com//api/v1",
        "https://hey-traders.com/x/../api/v1",
        "https://hey-traders.com/./api/v1",
        "https://hey-traders.com/%61pi/v1",
        "https://hey-traders.com/api/v1;a",
        "https://hey-tra\u200bders.com/api/v1",
        "https://h\uff45y-traders.com/api/v1",
    ],
)
def test_a_second_name_of_a_service_is_refused(spelling: str) -> None:
    with pytest.raises(BadSetting):
        Settings.read({"HEYTRADERS_BASE_URL": spelling})


def test_a_password_in_the_base_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.read({"HEYTRADERS_BASE_URL": f"https://someone:{KEY}/@{KEY}@hey-traders.com/api/v1"})

    assert "hey-traders.com" in refused.value.message
    assert KEY not in str(refused.value)


def test_a_misspelt_variable_is_named_with_what_was_meant_and_without_its_value() -> None:
    doubts = Settings.read({"HEYTRADERS_READONLY": "1", "HEYTRADER_API_KEY": KEY, "heytraders_home": "/x"}).doubts

    assert doubts == [
        "HEYTRADERS_READONLY is not a setting and has no effect; did you mean HEYTRADERS_READ_ONLY?",
        "HEYTRADER_API_KEY is not a setting and has no effect; did you mean HEYTRADERS_API_KEY?",
        "heytraders_home is not a setting and has no effect; did you mean HEYTRADERS_HOME?",
    ]
    assert KEY not in "".join(doubts)


def test_every_variable_that_is_read_is_known_and_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(HEYTRADERS_[A-Z_]+)`", readme, re.MULTILINE)) == set(VARIABLES)
    assert Settings.read(dict.fromkeys(VARIABLES, "")).doubts == []


@pytest.mark.parametrize(
    "named", ["desk", "./desk", "../desk", "${HOME}/desk", "$HOME/desk", "%APPDATA%/x", "~nobody-here/x"]
)
def test_a_home_that_depends_on_where_a_program_starts_is_refused(named: str) -> None:
    with pytest.raises(BadSetting, match="HEYTRADERS_HOME") as refused:
        Settings.read({"HEYTRADERS_HOME": named})

    assert "Write" in refused.value.suggestion


def test_a_home_below_the_users_folder_is_written_out() -> None:
    assert Settings.read({"HEYTRADERS_HOME": "~/desk"}).home == Path.home() / "desk"
