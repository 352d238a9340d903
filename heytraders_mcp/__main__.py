"""Start the program: ``heytraders-mcp`` or ``python -m heytraders_mcp``."""

import sys
from pathlib import Path


def main() -> None:
    """Make the application folders importable, then hand over to the command line.

    In a checkout they already are: the editable install puts the repository root on the path.
    In a wheel they sit next to this file, so that nothing named ``server`` or ``tools`` lands in
    site-packages. First on the path, they also win over a folder of that name in the working directory.
    """
    here = Path(__file__).resolve().parent
    home = here if (here / "server").is_dir() else here.parent
    sys.path.insert(0, str(home))

    from server.cli import main as run

    run()


if __name__ == "__main__":
    main()
