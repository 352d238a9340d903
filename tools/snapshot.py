"""The committed tool surface: one JSON file a tool, so that a change of what agents see is a diff in a review.

`python -m tools.snapshot` writes the files and the README's table, `--check` compares. The server reads them when it
starts, which spares it building the API models.
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


def rendered() -> dict[Path, str]:
    """What every generated file should hold, built from the rows and the models."""
    from . import readme
    from .schemas import definitions

    folder = Path(str(FOLDER))
    built = {folder / f"{name}.json": _json(definition) for name, definition in definitions(exposed()).items()}
    if readme.README.exists():
        built[readme.README] = readme.rendered(readme.README.read_text(encoding="utf-8"))
    return built


def differences() -> list[Path]:
    """The files that are missing, stale or left over."""
    wanted = rendered()
    left_over = set(Path(str(FOLDER)).glob("*.json")).difference(wanted)
    stale = {path for path, content in wanted.items() if not path.exists() or path.read_text("utf-8") != content}
    return sorted(left_over | stale)


def write() -> None:
    """Bring the files to what the rows and models say."""
    wanted = rendered()
    for path in differences():
        if path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare and name what differs."""
    changed = [path.name for path in differences()]
    if "--check" not in arguments:
        write()
        sys.stdout.write(f"{len(changed)} files changed\n")
        return 0
    if changed:
        sys.stderr.write(f"{', '.join(changed)}: not what the code says; run `python -m tools.snapshot`\n")
    return 1 if changed else 0


def _json(definition: dict[str, Any]) -> str:
    return json.dumps(definition, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
