"""Python imports this first in a worker process whose PYTHONPATH names this folder.

It writes the files whose functions the last job entered into the file that `WALK_FILES` names. The product does not
know that it is watched, and imports and preparation before the job do not count.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

_JOB: Final = str(Path("engine", "jobs", "slots.py"))
_files: Final[set[str]] = set()


def _entered(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    is_job = code.co_name == "work" and code.co_filename.endswith(_JOB)
    if event == "call":
        if is_job:
            _files.clear()
        if not code.co_name.startswith("<"):
            _files.add(code.co_filename)
    elif event == "return" and is_job:
        Path(os.environ["WALK_FILES"]).write_text("\n".join(_files), encoding="utf-8")


if "WALK_FILES" in os.environ:
    sys.setprofile(_entered)
    threading.setprofile(_entered)
