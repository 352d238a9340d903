"""Identifiers: shape, order, no repeats."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

from engine.store.database import new_id


def test_an_id_is_its_prefix_and_26_characters() -> None:
    assert re.fullmatch(r"bt_[0-9a-hjkmnp-tv-z]{26}", new_id("bt"))


def test_ids_sort_by_when_they_were_made() -> None:
    made = [new_id("x") for _ in range(5_000)]

    assert made == sorted(made)


def test_the_first_ten_characters_are_the_time() -> None:
    before = time.time_ns() // 1_000_000
    characters = new_id("x")[2:12]
    after = time.time_ns() // 1_000_000
    decoded = sum("0123456789abcdefghjkmnpqrstvwxyz".index(c) * 32 ** (9 - i) for i, c in enumerate(characters))

    assert before <= decoded <= after


def test_threads_make_no_two_alike() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(new_id, ["x"] * 4_000))

    assert len(set(made)) == len(made)
