"""Rules on publications and webhooks. R31 and R32."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, cast

from api.errors import show
from safety.exits import holds_known_secret
from safety.policy.case import SIGN, Case, Objection, deny, require, rule
from safety.policy.limits import Limits
from safety.terms.facts import RuleResult
from safety.terms.proposal import DeploymentTerms, PublicationTerms

_ADDRESS: Final = re.compile(
    r"https://([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)(?::443)?(?:[/?][!-\[\]-~]*)?", re.IGNORECASE
)
"""https; a host name with a dot, of ASCII letters, digits and hyphens; no user, other port, backslash or blank."""

_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_PRIVATE: Final = (
    "local",
    "localdomain",
    "localhost",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "arpa",
    "test",
    "invalid",
    "onion",
)

_NO_ADDRESS: Final = r"(?!0x[0-9a-fA-F]{40}\b)"
_KEYS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:ht|sk|pk|rk|ak)[_-](?:[A-Za-z0-9]+[_-])?[A-Za-z0-9]{12,}",
        r"\bgh[pousr]_[A-Za-z0-9]{20,}",
        r"\bAKIA[0-9A-Z]{12,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        rf"\b{_NO_ADDRESS}(?:0x)?(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{{32,}}\b",
        rf"(?<![A-Za-z0-9+]){_NO_ADDRESS}(?=[A-Za-z0-9+]*[0-9])(?=[A-Za-z0-9+]*[A-Z])(?=[A-Za-z0-9+]*[a-z])[A-Za-z0-9+]{{24,}}",
    )
)
"""API keys by their prefix, tokens, private keys, and runs too long for a word. Contract addresses do not match."""

_SQUEEZED: Final = 6
"""Known texts with this many letters and digits match despite characters in between; shorter ones only as words."""


def judge_webhook(url: str, *, has_secret: bool, limits: Limits) -> RuleResult:
    """Whether a webhook may deliver to `url` (R31).

    The service makes the call, so an address cannot be resolved and checked here. The list of hosts is the protection.

    Args:
        url: The caller's URL.
        has_secret: The caller gave a signing secret, which must come from the configuration instead.
        limits: The limits that count.
    """
    found = _webhook(url, limits, has_secret=has_secret)
    return RuleResult(WEBHOOK) if found is None else found(WEBHOOK)


WEBHOOK: Final = "R31_WEBHOOK"


def _webhook(url: str, limits: Limits, *, has_secret: bool) -> Objection | None:
    allowed = limits.webhook_hosts
    if allowed is None and not limits.public_webhooks:
        return None
    if has_secret:
        return deny("a webhook's secret never passes through a model", "Leave secret out; the user configures it")
    host = public_host(url)
    if host is None:
        return deny(f"{show(url)} is not a public https address", "Use https://HOST/PATH with a public host name")
    if allowed is None or host in allowed:
        return None
    return deny(f"host {show(host)} is not among the hosts that webhooks may call", SIGN)


def public_host(url: str) -> str | None:
    """The host of an address that may be public: https, a name rather than a number, port 443, nothing unusual."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return None
    host = match[1].lower()
    labels = host.split(".")
    if (
        _NUMBER.fullmatch(labels[-1])
        or labels[-1] in _PRIVATE
        or any(bad.startswith("-") or bad.endswith("-") for bad in labels)
    ):
        return None
    return host


@rule(WEBHOOK, "standing")
def webhook(case: Case) -> Objection | None:
    """Exact hosts that webhooks may call, over https."""
    url = case.action.webhook_url if isinstance(case.action, DeploymentTerms) else None
    return None if url is None else _webhook(url, case.limits, has_secret=False)


@rule("R32_PUBLISH", "publication")
def publish(case: Case) -> Objection | None:
    """Posts and profile changes need a human, and must not hold account data or keys."""
    if not case.limits.ask_to_publish or not isinstance(case.action, PublicationTerms):
        return None
    body: object = json.loads(case.action.body)
    if not isinstance(body, dict):
        return deny("the body is not an object of fields", "Correct the call")
    texts = list(_texts(cast("dict[str, object]", body)))
    if any(_has_key(text) or holds_known_secret(text) for text in texts):
        return deny("the text contains what looks like a key or a secret", "Leave it out")
    if any(_holds(text, case.facts.known_texts) for text in texts):
        return deny("the text contains an id or a balance of the account", "Leave it out")
    avatar = cast("dict[str, object]", body).get("avatar_url")
    if avatar is not None and public_host(str(avatar)) is None:
        return deny(f"avatar_url {show(str(avatar))} is not a public https address", "Use a public https address")
    return require("this becomes public under the user's name")


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, names of fields included, numbers as they are written."""
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _texts(inner)
    else:
        yield str(value)


def _folded(text: str) -> str:
    """Text with compatible forms unified, and case and invisible characters dropped."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in plain if unicodedata.category(c) not in {"Cf", "Cc", "Mn"} or c in "\n\t")


def _has_key(text: str) -> bool:
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return any(pattern.search(visible) for pattern in _KEYS)


def _squeezed(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _holds(text: str, known: Iterable[str]) -> bool:
    folded = _folded(text)
    squeezed = _squeezed(folded)
    for secret in map(_folded, known):
        short = _squeezed(secret)
        if len(short) >= _SQUEEZED and short in squeezed:
            return True
        if short and re.search(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", folded):
            return True
    return False
