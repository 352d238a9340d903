"""Addresses that no webhook may be sent to while only `hooks.example.com` is allowed."""

from __future__ import annotations

from typing import Final

ALLOWED: Final = "https://hooks.example.com/in"

URLS: Final[tuple[str, ...]] = (
    "http://hooks.example.com/in", "ftp://hooks.example.com/in", "ws://hooks.example.com/in", "file:///etc/passwd",
    "gopher://hooks.example.com/_x", "javascript:alert(1)", "data:text/plain,x", "//hooks.example.com/in",
    "hooks.example.com/in", "https:/hooks.example.com", "https:hooks.example.com", "https://",
    "https://evil.example/in", "https://hooks.example.com.evil.example/in", "https://evilhooks.example.com/in",
    "https://sub.hooks.example.com/in", "https://example.com/in", "https://hooks.example.co/in",
    "https://hooks.example.com@evil.example/in", "https://user:pw@hooks.example.com/in",
    "https://hooks.example.com:pw@evil.example", "https://evil.example/?hooks.example.com",
    "https://evil.example#hooks.example.com", "https://evil.example\\@hooks.example.com/in",
    "https://hooks.example.com\\.evil.example/in", "https://hooks.example.com%2eevil.example/in",
    "https://hooks.example.com%00.evil.example/in", "https://hooks.example.com:444/in", "https://hooks.example.com:0/in",
    "https://hooks.example.com:99999/in", "https://hooks.example.com:80/in", "https://hooks.example.com:22/in",
    "https://127.0.0.1/in", "https://127.1/in", "https://2130706433/in", "https://0x7f000001/in", "https://0177.0.0.1/in",
    "https://0/in", "https://0.0.0.0/in", "https://[::1]/in", "https://[::]/in", "https://[::ffff:127.0.0.1]/in",
    "https://[::ffff:7f00:1]/in", "https://[fe80::1]/in", "https://[fc00::1]/in", "https://[64:ff9b::7f00:1]/in",
    "https://10.0.0.1/in", "https://172.16.0.1/in", "https://192.168.0.1/in", "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/in", "https://198.18.0.1/in", "https://224.0.0.1/in", "https://255.255.255.255/in",
    "https://8.8.8.8/in", "https://localhost/in", "https://localhost.localdomain/in", "https://metadata.google.internal/",
    "https://kubernetes.default.svc/", "https://printer.local/in", "https://intranet/in", "https://hooks.example.com./in",
    "https://xn--hoks-5na.example.com/in", "https://h\u043e\u043eks.example.com/in", "https://\uff48ooks.example.com/in",
    "https://hooks\u3002example\u3002com.evil.example/in", "https://hooks.example.com\u2024evil.example/in",
    "https://\u24d7ooks.evil.example/in", "https://127.0.0.1.nip.io/in", "https://localtest.me/in",
    "https://hooks.example.com\r\nHost: evil.example/in", "https://hooks.example.com\t.evil.example/in",
    " https://evil.example/in", "https://hooks.example.com /in", "https://hooks..example.com/in",
    "https://-hooks.example.com/in", "https://*.example.com/in", "https://{hooks.example.com}/in",
    "https://hooks.example.com/#in", "", "null", "https://" + "a" * 300 + ".example/in",
)  # fmt: skip
