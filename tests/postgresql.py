"""A PostgreSQL server for one test run: in a temporary folder, reached over a socket, deleted afterwards.

It needs the server's programs (`apt-get install postgresql`). PostgreSQL refuses to run as root, so root starts it as
the user `postgres`.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import sqlalchemy as sa

_PLACES: Final = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr/pgsql-*")
_ROOTS_USER: Final = "postgres"


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, if a server is installed. Not on Windows, which has no such sockets."""
    if sys.platform == "win32":
        return None
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(folder for place in _PLACES for folder in Path("/").glob(f"{place[1:]}/*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@contextmanager
def server() -> Generator[str]:
    """Run a server; gives the URL of its database.

    Raises:
        FileNotFoundError: No PostgreSQL server is installed here.
    """
    folder = programs()
    if folder is None:
        raise FileNotFoundError("no PostgreSQL server is installed (apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="heytraders-postgresql-"))
    user = _ROOTS_USER if os.geteuid() == 0 else getpass.getuser()
    if os.geteuid() == 0:
        shutil.chown(home, user)
    data, log = home / "data", home / "log"
    settings = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off -c max_connections=200"
    _run(folder / "initdb", "--pgdata", data, "--auth=trust", "--username", user, "--no-sync", "--encoding=UTF8")
    _run(folder / "pg_ctl", "start", "--wait", "--pgdata", data, "--log", log, "--options", settings)
    try:
        yield f"postgresql+psycopg://{user}@/postgres?host={quote(str(home), safe='')}"
    finally:
        _run(folder / "pg_ctl", "stop", "--wait", "--mode=immediate", "--pgdata", data)
        shutil.rmtree(home)


def schema_url(server_url: str, home: Path) -> str:
    """A URL for `home`: one schema of the server's database, always the same one, created on first use."""
    name = f"home_{hashlib.sha256(str(home).encode()).hexdigest()[:20]}"
    engine = sa.create_engine(server_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {name}"))
    engine.dispose()
    return f"{server_url}&options=-csearch_path%3D{name}"


def _run(*command: str | Path) -> None:
    user = _ROOTS_USER if os.geteuid() == 0 else None
    groups: list[int] | None = [] if user else None
    done = subprocess.run(
        [str(word) for word in command],
        user=user,
        group=user,
        extra_groups=groups,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
