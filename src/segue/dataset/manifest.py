"""``manifest.json``: description of a prepared dataset and checksums of its other files."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec

from segue.dataset.splits import Split
from segue.errors import DatasetError

FORMAT_VERSION = 2
"""Version of the dataset format. Datasets of any other version are refused."""

MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SEQUENCES = "sequences.arrow"
DATASET_FILES = (MANIFEST, ITEMS, SEQUENCES)
"""All files of a dataset's folder."""

_PREPARE_AGAIN = "prepare the dataset again"
_CHECK_PERMISSIONS = "check its permissions, or prepare the dataset again"
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 18


class FileRecord(msgspec.Struct, frozen=True):
    """The size of a file in bytes and a checksum of its content."""

    size: int
    checksum: str


class Counts(msgspec.Struct, frozen=True):
    """Numbers of sequences, events, items, and items in the catalogue."""

    sequences: int
    events: int
    items: int
    catalogue: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a prepared dataset.

    Attributes:
        format_version: version of the folder's format.
        segue_version: version of Segue that wrote it.
        fingerprint: checksum of items, sequences and split, independent of the source.
        source: ``format``, ``fingerprint`` and ``report`` of the source.
        options: the configuration that it was prepared with.
        counts: numbers of sequences, events and items.
        split: the parameters of the split.
        audit: the statistics and warnings of ``segue inspect``; see
            ``segue.preparation.audit``.
        files: size and checksum of the other files, by name.
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
    """The keys by which a manifest of any format version is recognised."""

    format_version: int
    files: dict[str, FileRecord]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``, indented and with the keys in a fixed order."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` and check the other files against it.

    Raises:
        DatasetError: there is no dataset, it has another format version, or one of its files
            is missing or altered.
    """
    manifest = _decode(folder)
    for name, record in manifest.files.items():
        _check_file(folder, name, record)
    return manifest


def is_dataset(folder: Path) -> bool:
    """Whether a folder has the manifest of a dataset of any format version.

    The content is checked because other programs write files called ``manifest.json`` too.
    """
    try:
        msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Outline)
    except (OSError, ValueError):  # ValueError: text that is not UTF-8 raises no DecodeError
        return False
    return True


def file_record(path: Path) -> FileRecord:
    """The current size and checksum of a file."""
    return FileRecord(path.stat().st_size, checksum(path))


def checksum(path: Path) -> str:
    """A fast checksum: of a complete file up to 16 MiB, of evenly spaced samples of a larger one.

    It lets a dataset of any size open in milliseconds. The manifest's fingerprint covers every
    byte.
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
        raise DatasetError(message, _CHECK_PERMISSIONS) from None
    try:
        version = msgspec.json.decode(data, type=_Version).format_version
        if version != FORMAT_VERSION:
            message = f"dataset {folder} has format version {version}, expected {FORMAT_VERSION}"
            raise DatasetError(message, _PREPARE_AGAIN)
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Without a readable manifest, ``prepare`` does not recognise a dataset and will not
        # replace the folder.
        message = f"{MANIFEST} of dataset {folder} is damaged: {error}"
        raise DatasetError(message, f"remove the folder, and {_PREPARE_AGAIN}") from None


def _check_file(folder: Path, name: str, expected: FileRecord) -> None:
    try:
        actual = file_record(folder / name)
    except FileNotFoundError:
        raise DatasetError(f"dataset {folder} has no {name}", _PREPARE_AGAIN) from None
    except OSError as error:
        message = f"cannot read {folder / name}: {error.strerror}"
        raise DatasetError(message, _CHECK_PERMISSIONS) from None
    if actual.size != expected.size:
        message = f"{name} of dataset {folder} has {actual.size} bytes, expected {expected.size}"
        raise DatasetError(message, _PREPARE_AGAIN)
    if actual != expected:
        raise DatasetError(
            f"{name} of dataset {folder} was altered after it was prepared", _PREPARE_AGAIN
        )
