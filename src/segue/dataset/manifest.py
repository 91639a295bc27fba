"""``manifest.json``: description of a prepared dataset and checksums of its other files."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec

from segue.dataset.manifest_schema import Audit, Counts, FileRecord, Options, Source
from segue.dataset.splits import Split
from segue.errors import DatasetError
from segue.storage.reading import (
    Problems,
    exists,
    is_folder,
    open_regular,
    read_bytes,
    read_json,
    regular_size,
    typed,
)

FORMAT_VERSION = 2
"""Version of the dataset format. Datasets of any other version are refused."""

MANIFEST = "manifest.json"
ITEMS = "items.parquet"
SEQUENCES = "sequences.arrow"
DATASET_FILES = (MANIFEST, ITEMS, SEQUENCES)
"""All files of a dataset's folder."""

_PREPARE_AGAIN = "prepare the dataset again"
DATASET_PROBLEMS = Problems(DatasetError, _PREPARE_AGAIN)
_MANIFEST_PROBLEMS = Problems(DatasetError, f"remove the folder, and {_PREPARE_AGAIN}")
"""Without a readable manifest, ``prepare`` does not recognise a dataset and will not replace the
folder."""

_SAMPLES, _SAMPLE_BYTES = 64, 1 << 18


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
        DatasetError: there is no dataset, it has another format version, its manifest has other
            keys or types, or one of its files is missing or altered.
    """
    manifest = _read(folder)
    for name in (ITEMS, SEQUENCES):
        _check_file(folder, name, manifest.files[name])
    return manifest


def is_dataset(folder: Path) -> bool:
    """Whether a folder has the manifest of a dataset of any format version.

    The content is checked because other programs write files called ``manifest.json`` too.
    """
    try:
        data = read_bytes(folder / MANIFEST, _MANIFEST_PROBLEMS)
        msgspec.json.decode(data, type=_Outline)
    except (DatasetError, ValueError, RecursionError):
        return False  # ValueError: text that is not UTF-8 raises no DecodeError
    return True


def file_record(path: Path) -> FileRecord:
    """The current size and checksum of a file."""
    return FileRecord(regular_size(path, DATASET_PROBLEMS), checksum(path))


def checksum(path: Path) -> str:
    """A fast checksum: of a complete file up to 16 MiB, of evenly spaced samples of a larger one.

    It lets a dataset of any size open in milliseconds. The manifest's fingerprint covers every
    byte.
    """
    size = regular_size(path, DATASET_PROBLEMS)
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
    step = max(math.ceil((size - _SAMPLE_BYTES) / (_SAMPLES - 1)), _SAMPLE_BYTES)
    with open_regular(path, DATASET_PROBLEMS) as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _read(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not is_folder(folder):
        raise DatasetError(f"there is no folder {folder}", "give the folder that prepare wrote")
    if not exists(path):
        hint = "give the folder that prepare wrote, or prepare one"
        raise DatasetError(f"{folder} is not a prepared dataset: no {MANIFEST}", hint)
    content = read_json(path, _MANIFEST_PROBLEMS)
    version = content.get("format_version")
    if isinstance(version, int) and version != FORMAT_VERSION:
        message = f"dataset {folder} has format version {version}, expected {FORMAT_VERSION}"
        raise DatasetError(message, _PREPARE_AGAIN)
    return manifest_of(content, path, _MANIFEST_PROBLEMS)


def manifest_of(content: Any, path: Path, problems: Problems) -> Manifest:
    """The manifest in a JSON value, with all keys that are read present and of their types.

    Args:
        content: the value.
        path: the file that it is in, for messages.
        problems: the error to raise.

    Raises:
        problems.error: it is not a manifest of this version, or contradicts itself.
    """
    manifest = typed(content, Manifest, path, problems)
    # The manifest keeps all keys of these objects; their types are those of the schema.
    for name, kind in {"source": Source, "options": Options, "audit": Audit}.items():
        typed(content[name], kind, path, problems)
    if manifest.counts.catalogue > manifest.counts.items:
        reason = (
            f"{manifest.counts.catalogue:,} of {manifest.counts.items:,} items in the catalogue"
        )
        raise problems.damaged(path, reason)
    if manifest.files.keys() != {ITEMS, SEQUENCES}:
        reason = f"its files are {', '.join(sorted(manifest.files))}, expected {ITEMS}, {SEQUENCES}"
        raise problems.damaged(path, reason)
    return manifest


def _check_file(folder: Path, name: str, expected: FileRecord) -> None:
    path = folder / name
    if not exists(path):
        raise DatasetError(f"dataset {folder} has no {name}", _PREPARE_AGAIN)
    size = regular_size(path, DATASET_PROBLEMS)
    if size != expected.size:
        message = f"{name} of dataset {folder} has {size} bytes, expected {expected.size}"
        raise DatasetError(message, _PREPARE_AGAIN)
    if checksum(path) != expected.checksum:
        raise DatasetError(
            f"{name} of dataset {folder} was altered after it was prepared", _PREPARE_AGAIN
        )
