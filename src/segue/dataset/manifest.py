"""``manifest.json``: what a prepared dataset is, and what its other files must be."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec

from segue.dataset.splits import Split
from segue.errors import DatasetError

FORMAT_VERSION = 1
"""Of the folder as a whole; a reader accepts its own version only."""

MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SEQUENCES = "sequences.arrow"
DATASET_FILES = (MANIFEST, ITEMS, SEQUENCES)
"""All that the folder of a dataset holds."""

_PREPARE_AGAIN = "prepare the dataset again"
_MAY_READ = "check that you may read it, or prepare the dataset again"
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 18


class FileRecord(msgspec.Struct, frozen=True):
    """What a file must be: its size in bytes, and a checksum of its content."""

    size: int
    checksum: str


class Counts(msgspec.Struct, frozen=True):
    """How much there is: sequences, events, items known, and items in the catalogue."""

    sequences: int
    events: int
    items: int
    catalogue: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a prepared dataset is.

    Attributes:
        format_version: of the folder's format.
        segue_version: that wrote it.
        fingerprint: of the items, sequences and split, whatever they were prepared from.
        source: the source's ``format``, ``fingerprint`` and ``report``.
        options: the configuration that it was prepared with.
        counts: how much there is.
        split: the rule that gave each event its part.
        audit: what ``segue inspect`` shows; see ``segue.dataset.audit``.
        files: the other files by name.
    """

    format_version: int
    segue_version: str
    fingerprint: str
    source: dict[str, Any]
    options: dict[str, Any]
    counts: Counts
    split: Split
    audit: dict[str, Any]
    files: dict[str, FileRecord]


class _Version(msgspec.Struct):
    format_version: int


class _Outline(msgspec.Struct):
    """What makes a manifest one of ours, of whatever format version."""

    format_version: int
    files: dict[str, FileRecord]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``, readable and with the keys in a fixed order."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` and check that the other files are the ones it was written with.

    Raises:
        DatasetError: no dataset there, one of another format version, or one with a file
            that is missing or altered.
    """
    manifest = _decode(folder)
    for name, record in manifest.files.items():
        _check_file(folder, name, record)
    return manifest


def is_dataset(folder: Path) -> bool:
    """Whether a folder has the manifest of a dataset, whatever its format version.

    A ``manifest.json`` alone does not tell: other programs write files of that name.
    """
    try:
        msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Outline)
    except (OSError, ValueError):  # text that is not UTF-8 is no DecodeError
        return False
    return True


def file_record(path: Path) -> FileRecord:
    """Describe a file as it is now."""
    return FileRecord(path.stat().st_size, checksum(path))


def checksum(path: Path) -> str:
    """A quick checksum: of the whole of a file up to 16 MiB, of even samples of a larger one.

    So that opening a dataset of any size takes milliseconds; the manifest's fingerprint
    covers every byte.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
    step = max(math.ceil((size - _SAMPLE_BYTES) / (_SAMPLES - 1)), _SAMPLE_BYTES)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _decode(folder: Path) -> Manifest:
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}", "give the folder that prepare wrote")
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        hint = "give the folder that prepare wrote, or prepare one"
        raise DatasetError(f"{folder} is not a prepared dataset: no {MANIFEST}", hint) from None
    except OSError as error:
        message = f"cannot read {folder / MANIFEST}: {error.strerror}"
        raise DatasetError(message, _MAY_READ) from None
    try:
        version = msgspec.json.decode(data, type=_Version).format_version
        if version != FORMAT_VERSION:
            message = f"dataset {folder} has format version {version}, expected {FORMAT_VERSION}"
            raise DatasetError(message, _PREPARE_AGAIN)
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Without its manifest nothing says that the folder may be replaced.
        message = f"{MANIFEST} of dataset {folder} is damaged: {error}"
        raise DatasetError(message, f"remove the folder, and {_PREPARE_AGAIN}") from None


def _check_file(folder: Path, name: str, expected: FileRecord) -> None:
    try:
        found = file_record(folder / name)
    except FileNotFoundError:
        raise DatasetError(f"dataset {folder} has no {name}", _PREPARE_AGAIN) from None
    except OSError as error:
        message = f"cannot read {folder / name}: {error.strerror}"
        raise DatasetError(message, _MAY_READ) from None
    if found.size != expected.size:
        message = f"{name} of dataset {folder} has {found.size} bytes, expected {expected.size}"
        raise DatasetError(message, _PREPARE_AGAIN)
    if found != expected:
        raise DatasetError(f"{name} of dataset {folder} was altered", _PREPARE_AGAIN)
