"""An exchange in this process: it keeps the true orders and lists them as a test sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx

Row = dict[str, Any]


def at(moment: float) -> str:
    """ISO 8601 UTC, whole seconds."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Venue:
    """The service.

    Attributes:
        now: The service's clock.
        rows: Orders, newest first.
        subscriptions: The subscriptions that it lists.
        echoes: Whether listings show labels.
        fails: Which calls, as `METHOD path`, answer with status 500.
        page: Maximum rows of a page.
        says_total: Whether a page contains the total number of rows.
        says_limit: Whether a page contains its maximum number of rows.
        heard: `METHOD path` of every call.
        on_page: Called with the offset before each page.
        answers: Fixed answers.
    """

    now: Callable[[], float]
    rows: list[Row] = field(default_factory=list[Row])
    subscriptions: list[Row] = field(default_factory=list[Row])
    echoes: bool = True
    fails: Callable[[str], bool] = lambda _: False
    page: int = 200
    says_total: bool = True
    says_limit: bool = True
    heard: list[str] = field(default_factory=list[str])
    on_page: Callable[[int], None] = lambda _: None
    answers: dict[str, httpx.Response] = field(default_factory=dict[str, httpx.Response])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As an ASGI application."""
        body = (await receive()).get("body", b"")
        answer = self.answer(scope["method"], scope["path"].removeprefix("/api/v1"), scope["query_string"], body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def answer(self, method: str, path: str, query: bytes, body: bytes) -> httpx.Response:
        """The service's answer."""
        name = f"{method} {path}"
        self.heard.append(name)
        if self.fails(name):
            return self._say(500, None)
        if name in self.answers:
            return self.answers[name]
        asked = {key: values[-1] for key, values in parse_qs(query.decode()).items()}
        if name == "GET /orders":
            return self._say(200, self._page(asked))
        if path.endswith("/open-orders"):
            return self._say(200, {"orders": [self._shown(r) for r in self.rows if r["status"] == "OPEN"]})
        if name == "GET /live-strategies/subscriptions":
            return self._say(200, {"subscriptions": self.subscriptions})
        if name == "POST /orders":
            return self._say(200, self._shown(self.books(json.loads(body))))
        return self._say(404, None)

    def books(self, order: Row, **fields: Any) -> Row:
        """Create an order."""
        made = {
            "status": "OPEN",
            "created_at": at(self.now()),
            **order,
            "order_id": f"api-{len(self.rows) + 1}",
            **fields,
        }
        self.rows.insert(0, made)
        return made

    def _page(self, asked: dict[str, str]) -> Row:
        offset, limit = int(asked.get("offset", 0)), min(int(asked["limit"]), self.page)
        self.on_page(offset)
        found = [row for row in self.rows if row["account_id"] == asked.get("account_id", row["account_id"])]
        shown = [self._shown(row) for row in found[offset : offset + limit]]
        told = {"total": len(found)} if self.says_total else {}
        told |= {"limit": limit} if self.says_limit else {}
        return {"orders": shown, "offset": offset, **told}

    def _shown(self, row: Row) -> Row:
        return row if self.echoes else {key: value for key, value in row.items() if key != "label"}

    def _say(self, status: int, data: object) -> httpx.Response:
        error = None if status < 400 else {"code": "INTERNAL_ERROR", "message": "no", "suggestion": ""}
        told = {"success": status < 400, "data": data, "error": error, "meta": {"timestamp": at(self.now())}}
        return httpx.Response(status, json=told)
