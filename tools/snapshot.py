"""The committed tool surface: one JSON file a tool, so that a change of what agents see is a diff in a review.

`python -m tools.snapshot` writes the files, `--check` compares. The server reads them when it starts, which spares
it building the API models.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from .surface import exposed

FOLDER = files(__package__ or "tools") / "surface"


def load(name: str) -> dict[str, Any]:
    """The definition of one tool: name, title, description, annotations and both schemas."""
    definition: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return definition


def rendered() -> dict[str, str]:
    """The content of every file, by its name, built from the rows and the models."""
    from .schemas import definition

    return {f"{row.name}.json": json.dumps(definition(row), indent=2, ensure_ascii=False) + "\n" for row in exposed()}


def differences() -> list[str]:
    """The files that are missing, stale or left over."""
    folder = Path(str(FOLDER))
    wanted = rendered()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write() -> None:
    """Bring the folder to what the rows and models say."""
    folder = Path(str(FOLDER))
    folder.mkdir(exist_ok=True)
    wanted = rendered()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare and name what differs."""
    changed = differences()
    if "--check" not in arguments:
        write()
        sys.stdout.write(f"{len(changed)} changed\n")
        return 0
    if changed:
        sys.stderr.write(f"{', '.join(changed)}: not what the code says; run `python -m tools.snapshot`\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
