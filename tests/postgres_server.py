"""A real PostgreSQL server for tests: in a temporary folder, on a free loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "segue", "s3cret%word"
START_S = 30


def postgres_programs() -> Path | None:
    """The folder of the newest installed server; None if there is none."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    folders += [Path(on_path).parent] if on_path else []
    return max(folders, key=lambda folder: folder.parent.name, default=None)


class PostgresServer:
    """A server that can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._as_user = _unprivileged()
        if self._as_user:
            shutil.chown(folder, self._as_user["user"], self._as_user["group"])
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._call(
            "initdb", "-D", self._data, "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C", "--no-sync", f"--pwfile={password}",
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        password = PASSWORD.replace("%", "%25")
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = self._folder / "log"
        self._call("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop it at once, as if the machine had failed."""
        self._call("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{time.monotonic_ns()}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.url(name)

    def _call(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        with (self._folder / "output").open("ab") as output:
            subprocess.run(
                command, check=True, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                cwd=self._folder, timeout=START_S, **self._as_user,
            )  # fmt: skip


def _unprivileged() -> dict[str, Any]:
    """As whom the server runs: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server that runs in a block; skips the test where none is installed."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: .ci/install-system-packages")
    folder = Path(tempfile.mkdtemp(prefix="segue-postgres-"))
    try:
        server = PostgresServer(programs, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
