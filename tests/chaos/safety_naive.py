"""The client that everybody writes first: retry on every error, remember nothing. It shows what the harness detects.

It writes what it believes to a file, one line per wish, so that the harness can compare its beliefs with the truth.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .safety_slots import Slot
from .safety_truth import SERVICE_PREFIX, Booked, Truth
from .safety_wishes import Wish, wish

ATTEMPTS: Final = 3
PATIENCE: Final = 0.4


def live(url: str, home: Path, seed: int, slot: Slot, _chance: random.Random) -> None:
    """Place wish after wish until killed. An unfinished wish is started again."""
    while True:
        wanted = wish(slot.begin(), seed)
        _note(home, wanted, _place(url, wanted))
        slot.next()


def _place(url: str, wanted: Wish) -> str | None:
    """The order's id, or `None` if the client believes that it failed."""
    for attempt in range(ATTEMPTS):
        try:
            return _post(url, wanted)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            time.sleep(0.02 * 2**attempt)
    return None


def _post(url: str, wanted: Wish) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        body = json.dumps({**wanted.order, "amount": float(wanted.order["amount"])})
        connection.request("POST", f"{SERVICE_PREFIX}/orders", body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return str(answer["data"]["order_id"])
    except TypeError as unexpected:
        raise ValueError("no order in the answer") from unexpected
    finally:
        connection.close()


def _note(home: Path, wanted: Wish, order_id: str | None) -> None:
    with (home / "beliefs.jsonl").open("a") as notes:
        notes.write(json.dumps([wanted.label, order_id]) + "\n")


def judge(home: Path, truth: Truth) -> tuple[dict[str, int], list[str]]:
    """How its beliefs differ from the truth."""
    exists = truth.by_label()
    notes = (home / "beliefs.jsonl").read_text().splitlines()
    beliefs: dict[str, str | None] = dict(json.loads(line) for line in notes if line.endswith("]"))
    figures = {
        "wishes": len(truth.arrived()),
        "orders": sum(map(len, exists.values())),
        "duplicated wishes": sum(len(orders) > 1 for orders in exists.values()),
        "extra orders": sum(len(orders) - 1 for orders in exists.values()),
        "wrongly failed": sum(order_id is None and label in exists for label, order_id in beliefs.items()),
        "wrong ids": sum(_is_wrong(order_id, exists.get(label, [])) for label, order_id in beliefs.items()),
    }
    wrong = ("duplicated wishes", "wrongly failed", "wrong ids")
    return figures, [f"{figures[name]} {name}" for name in wrong if figures[name]]


def _is_wrong(order_id: str | None, orders: list[Booked]) -> bool:
    """It believes in an order that does not exist."""
    return order_id is not None and order_id not in {booked.order_id for booked in orders}
