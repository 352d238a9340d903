"""Where orders may go."""

from __future__ import annotations

from typing import cast

import pytest

from api.errors import Denied
from safety import may_place
from safety.mode import Backend


def test_orders_go_to_the_embedded_engine() -> None:
    may_place("embedded")


@pytest.mark.parametrize("backend", ["hosted", "Embedded", "", None, "embedded "])
def test_anything_else_is_denied(backend: object) -> None:
    with pytest.raises(Denied) as stopped:
        may_place(cast("Backend", backend))

    assert "signed by a human" in stopped.value.message
    assert "embedded engine" in stopped.value.suggestion
