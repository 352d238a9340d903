"""Values that an agent may write in place of an id to make a request leave its route."""

from __future__ import annotations

import itertools
from typing import Final

_TARGETS: Final = ("meta/health", "orders", "accounts/acc_2", "admin")
_CLIMBS: Final = (
    "../", "..\\", "..%2f", "..%2F", "%2e%2e/", "%2e%2e%2f", "..;/", "....//", "..%5c", "%252e%252e%252f", "..%c0%af",
    "..%ef%bc%8f", "\uff0e\uff0e/", "..\u2215", "./../",
)  # fmt: skip
_ODDITIES: Final = (
    ".", "..", "...", "", " ", "/", "\\", "//", "//evil.example", "///evil.example/x", "http://evil.example/x",
    "https:evil.example", "@evil.example", "a@evil.example", ":80", "a:b@c", "?", "#", "a?b=c", "a#b", "a;b", "a&b=c",
    "a%00", "a\x00", "a%0d%0aHost:evil", "a\r\nHost: evil.example", "a\nGET / HTTP/1.1", "a\tb", "a b", " a", "a ",
    "~", "~root", "$HOME", "${IFS}", "`id`", "$(id)", "|id", "a|b", "*", "[a]", "{a}", "{order_id}", "<a>", '"a"',
    "'a'",
    "a'--", "a\" OR 1=1", "a,b", "a=b", "a+b", "a!b", "a^b", "%", "%2", "%zz", "%25", "%u002e", "\u202ea", "a\u200b",
    "\ufeffa", "acc\u0000", "\u0430cc", "\uff41cc", "\u0130", "\u017f",
    "acc\u0301", "\ud83d\ude00", "a" * 129, "a" * 10_000, "../" * 100,
    "CON", "file:///etc/passwd", "/etc/passwd", "\\\\evil\\share", "c:\\windows", "0x7f.1", "::1/..", "-", "--help",
    "null", "None", "undefined", "NaN", "true", "1e9", "-1", "..", ".%00.", "%c0%ae%c0%ae/", "%e0%80%ae/", ".\u0338.",
    "a/b", "a//b", "a\\b", "a/", "/a", "a/.", "a/..", "a/./b", "orders/api-1/../../accounts", "sub_1/webhook",
    "sub_1/pause", "x/subscribe", "..%09/", "..\t/", "\t", "\n", "\x7f", "\x80", "\x85",
)  # fmt: skip
PATHS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        [
            *(climb * times + target for climb, times, target in itertools.product(_CLIMBS, (1, 3), _TARGETS)),
            *_ODDITIES,
        ]
    )
)
