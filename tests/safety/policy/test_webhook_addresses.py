"""Webhooks call exact hosts that a human has allowed, over https, and no look-alikes."""

from __future__ import annotations

from typing import Final

import pytest

from safety.policy.evaluation import LIVE
from safety.policy.limits import Limits
from safety.policy.publishing import judge_webhook
from safety.terms.facts import Outcome

HOST: Final = "hooks.example.com"
ALLOWED: Final = Limits(webhook_hosts=frozenset({HOST}))

REFUSED: Final = [
    # another scheme
    "http://hooks.example.com/x",
    "ftp://hooks.example.com/x",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "//hooks.example.com/x",
    "hooks.example.com",
    # a user, another port
    "https://hooks.example.com@evil.example/x",
    "https://user:secret@hooks.example.com/x",
    "https://evil.example#@hooks.example.com/x",
    "https://evil.example\\@hooks.example.com/x",
    "https://hooks.example.com:8443/x",
    "https://hooks.example.com:80/x",
    "https://hooks.example.com:/x",
    "https://hooks.example.com:443@evil.example/",
    # another host
    "https://evil.example/x",
    "https://hooks.example.com.evil.example/x",
    "https://evilhooks.example.com/x",
    "https://a.hooks.example.com/x",
    "https://example.com/x",
    "https://hooks.example.com./x",
    "https://hooks.example.co/x",
    "https://hooks-example.com/x",
    "https://hooks.example.com%2eevil.example/x",
    "https://hooks.example.com%00.evil.example/x",
    # look-alikes
    "https://h\u043eoks.example.com/x",
    "https://xn--hoks-1we.example.com/x",
    "https://\uff48ooks.example.com/x",
    "https://hooks\u3002example\u3002com/x",
    "https://hooks.example.com\u2044.evil.example/x",
    "https://hooks.ex\u00adample.com/x",
    # addresses in numbers
    "https://127.0.0.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://0x7f.1/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::ffff:7f00:1]/x",
    "https://[fe80::1%25eth0]/x",
    "https://10.0.0.1/x",
    "https://172.16.0.1/x",
    "https://192.168.0.1/x",
    "https://100.64.0.1/x",
    "https://169.254.169.254/latest/meta-data/",
    "https://0.0.0.0/x",
    "https://224.0.0.1/x",
    # names of this machine and of private networks
    "https://localhost/x",
    "https://localhost.localdomain/x",
    "https://metadata.google.internal/x",
    "https://router.lan/x",
    "https://printer.local/x",
    "https://1.0.0.127.in-addr.arpa/x",
    # unusual writing
    " https://hooks.example.com/x",
    "https://hooks.example.com/x ",
    "https://hooks.example.com/x\r\nHost: evil.example",
    "https://hooks.example.com/x\ty",
    "https:\\\\hooks.example.com\\x",
    "https:/hooks.example.com/x",
    "https:///hooks.example.com/x",
    "https://hooks.example.com\n.evil.example/x",
    "https://-hooks.example.com/x",
    "https://hooks..example.com/x",
    "https://" + "a" * 64 + ".example.com/x",
    "https://",
    "https://?x",
    "",
]

TAKEN: Final = [
    "https://hooks.example.com",
    "https://hooks.example.com/",
    "https://hooks.example.com/a/b?c=d&e=%20",
    "https://hooks.example.com:443/x",
    "https://HOOKS.Example.com/x",
    "https://hooks.example.com?x=1",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_not_exactly_an_allowed_host_is_refused(url: str) -> None:
    assert judge_webhook(url, has_secret=False, limits=ALLOWED).outcome is Outcome.DENY


@pytest.mark.parametrize("url", TAKEN)
def test_an_allowed_host_is_taken(url: str) -> None:
    assert judge_webhook(url, has_secret=False, limits=ALLOWED).outcome is Outcome.PASS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "router.lan", "2130706433", "intranet"])
def test_a_private_host_is_refused_even_if_it_was_allowed(host: str) -> None:
    allowed = Limits(webhook_hosts=frozenset({host}))

    assert judge_webhook(f"https://{host}/x", has_secret=False, limits=allowed).outcome is Outcome.DENY


@pytest.mark.parametrize("url", TAKEN)
def test_no_host_is_allowed_before_anybody_has_signed(url: str) -> None:
    finding = judge_webhook(url, has_secret=False, limits=LIVE)

    assert finding.outcome is Outcome.DENY
    assert finding.rule == "R31_WEBHOOK"
    assert HOST in finding.reason


def test_a_secret_that_came_through_a_model_is_refused() -> None:
    finding = judge_webhook("https://hooks.example.com/x", has_secret=True, limits=ALLOWED)

    assert finding.outcome is Outcome.DENY
    assert "secret" in finding.reason


ODD: Final = ["https://-a.b.org/", "https://a-.b.org/", "https://a.b-.org/", "https://a.b.5/", "https://a.b.internal/"]


@pytest.mark.parametrize("url", [*ODD, *(url for url in REFUSED if "example" not in url and "evil" not in url)])
def test_any_public_host_is_still_a_public_host(url: str) -> None:
    anywhere = Limits(public_webhooks=True)

    assert judge_webhook(url, has_secret=False, limits=anywhere).outcome is Outcome.DENY
    assert judge_webhook("https://anybody.example.org/x", has_secret=False, limits=anywhere).outcome is Outcome.PASS
    assert judge_webhook("https://anybody.example.org/x", has_secret=True, limits=anywhere).outcome is Outcome.DENY


def test_without_a_limit_an_address_of_the_embedded_engine_may_be_anything() -> None:
    finding = judge_webhook("http://127.0.0.1:9000/x", has_secret=True, limits=Limits())

    assert finding.outcome is Outcome.PASS


def test_the_corpus_has_sixty_addresses() -> None:
    assert len(set(REFUSED)) >= 60
