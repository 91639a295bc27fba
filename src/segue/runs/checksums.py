"""Checksums of the files of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from segue.errors import RunError
from segue.storage.array_header import check_arrays
from segue.storage.arrow_files import has_parquet_ends
from segue.storage.reading import JSON_BYTES, Problems, open_regular, regular_size

RESTORE_HINT = "restore the file from a copy, or train again"

RUN_PROBLEMS = Problems(RunError, RESTORE_HINT)

VALUES_BYTES = 1 << 31
"""Largest size of ``sequence_values.json``: one text per user."""

LARGE_FILE = 1 << 28
"""Size in bytes from which the structure of a file is checked before its checksum."""


def checksum(file: Path) -> str:
    """The BLAKE2b checksum of a file, in 32 hexadecimal digits.

    Raises:
        RunError: the file cannot be read, or is large and not of the format that its name says.
    """
    if regular_size(file, RUN_PROBLEMS) >= LARGE_FILE:
        _check_structure(file)
    with open_regular(file, RUN_PROBLEMS) as stream:
        digest = hashlib.blake2b()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()[:32]


def fingerprint_of(checksums: Mapping[str, str]) -> str:
    """One checksum for the files of a run, in 32 hexadecimal digits.

    Args:
        checksums: by the names of the files.
    """
    return hashlib.blake2b(repr(sorted(checksums.items())).encode()).hexdigest()[:32]


def _check_structure(file: Path) -> None:
    """Check a large file for its format first: its checksum would take minutes.

    Raises:
        RunError: it is not of the format that its name says.
    """
    if file.suffix == ".safetensors":
        check_arrays(file, RUN_PROBLEMS)
    elif file.suffix == ".parquet" and not has_parquet_ends(file, RUN_PROBLEMS):
        raise RUN_PROBLEMS.damaged(file, "it is not a Parquet file")
    elif file.suffix == ".json":
        limit = VALUES_BYTES if file.name == "sequence_values.json" else JSON_BYTES
        if file.stat().st_size > limit:
            raise RUN_PROBLEMS.damaged(file, f"expected at most {limit:,} bytes")
