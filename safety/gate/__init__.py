"""The gate: `Gate` is what tools are handed, `Footing` what the server builds it on."""

from .footing import Footing
from .gate import Gate

__all__ = ["Footing", "Gate"]
