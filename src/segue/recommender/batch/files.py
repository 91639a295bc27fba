"""Files of a batch: how errors of the input read, and the fingerprint of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from segue.errors import RequestError
from segue.storage.reading import Problems, open_regular

INPUT_PROBLEMS = Problems(
    RequestError,
    "give a Parquet file or JSON lines with a row per request, or a prepared dataset",
)


def file_fingerprint(path: Path) -> dict[str, Any]:
    """The size and the BLAKE2b checksum of a file's content.

    Raises:
        RequestError: it cannot be read.
    """
    digest, n_bytes = hashlib.blake2b(digest_size=16), 0
    with open_regular(path, INPUT_PROBLEMS) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            n_bytes += len(block)
    return {"bytes": n_bytes, "blake2b": digest.hexdigest()}


def file_stamp(path: Path) -> tuple[int, int, int]:
    """What differs if a file was written or replaced: its number, size and time.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise INPUT_PROBLEMS.cannot_read(path, error) from None
    return status.st_ino, status.st_size, status.st_mtime_ns
