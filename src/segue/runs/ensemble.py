"""The folder ``ensemble/`` of a run: the members beside the transformer, and all weights.

======================  ============================================================
``ensemble.json``       the index: weights, kinds, parameters and checksums
``NAME.safetensors``    the arrays of the member of that name, by kind as below
======================  ============================================================

=============  ============  ======================  ===========================================
kind           array         shape and dtype         contents
=============  ============  ======================  ===========================================
``item-item``  ``indptr``    (vocabulary + 1) int64  row i of the item-item matrix is from
                                                     ``indptr[i]`` to ``indptr[i + 1]``
               ``indices``   (entries) int32         the item of each entry
               ``data``      (entries) float32       its weight
               ``counts``    (vocabulary) int64      training counts, which order ties
               ``divisors``  (vocabulary) float64    what each row is divided by; optional
``puresvd``    ``vectors``   (vocabulary, dim)       item vectors in float32
``item-bias``  ``vectors``   (vocabulary, 1)         scores that no request changes, in float32
=============  ============  ======================  ===========================================

A member of the kind ``transformer`` has no file here: it is the run in ``second/`` of the run
folder, and its checksum is that of the card of this run.

The index is written last, and has the checksums of the other files. So a folder without it has no
ensemble, and one whose files are not all of the same writing is refused. A reader refuses kinds
that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np

from segue.errors import RunError, StorageError
from segue.runs.checksums import RUN_PROBLEMS, checksum
from segue.storage.array_files import (
    ArraysMismatchError,
    ArrayType,
    read_host_arrays,
    write_arrays,
)
from segue.storage.array_header import check_arrays
from segue.storage.atomic import replace_file
from segue.storage.reading import exists, one_line, read_json, typed
from segue.tokens import INDEX_DTYPE

FORMAT_VERSION = 1
"""Version of ``ensemble.json``. An index of another version is refused."""

MAX_MEMBERS = 16
MAX_ENTRIES = 50_000_000
"""Entries of an item-item matrix: 400 MB."""

Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""In nats. Bounds keep every score within float32."""
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
Parameters = dict[str, str | int | float | bool | None]
Decay = Annotated[float, msgspec.Meta(ge=1e-6, le=1e15)]


class StoredHistoryWeights(msgspec.Struct, frozen=True):
    """The fields of ``segue.baselines.item_item.HistoryWeights``."""

    length: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    power: Annotated[float, msgspec.Meta(ge=0, le=30)] = 0.0
    half_life: Decay | None = None
    half_life_s: Decay | None = None
    distinct: bool = False


class StoredMember(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A member in the index.

    Attributes:
        name: its name, distinct in the ensemble, and the stem of its file.
        checksum: of its file.
        weight: in nats.
        parameters: those of its fit, for display.
    """

    name: Name
    checksum: str = ""
    weight: Weight
    parameters: Parameters = {}


class StoredItemItem(StoredMember, frozen=True, kw_only=True, tag="item-item"):
    """A sparse member: an item-item matrix and the weights of the history's events."""

    scale: Annotated[float, msgspec.Meta(ge=1e-30, le=1e30)]
    history_weights: StoredHistoryWeights


class StoredPureSVD(StoredMember, frozen=True, kw_only=True, tag="puresvd"):
    """A dense member with the sum of the history's item vectors as its state."""


class StoredItemBias(StoredMember, frozen=True, kw_only=True, tag="item-bias"):
    """A dense member with scores that no request changes."""


class StoredTransformer(StoredMember, frozen=True, kw_only=True, tag="transformer"):
    """A dense member: the transformer of the run in ``second/``."""


AnyStoredMember: TypeAlias = StoredItemItem | StoredPureSVD | StoredItemBias | StoredTransformer
Arrays: TypeAlias = Mapping[str, np.ndarray]


class EnsembleIndex(msgspec.Struct, frozen=True):
    """``ensemble.json``.

    Attributes:
        encoder_weight: factor on the scores of the transformer; 0 leaves it out.
        members: the members beside the transformer.
    """

    encoder_weight: Weight
    members: Annotated[list[AnyStoredMember], msgspec.Meta(max_length=MAX_MEMBERS)]
    format_version: int = FORMAT_VERSION


class EnsembleFolder:
    """The files of an ensemble: their paths, and methods that read, write and verify them."""

    def __init__(self, path: Path, second: Path) -> None:
        """Set the paths; nothing is read or created.

        Args:
            path: the folder.
            second: the run folder of the second transformer.
        """
        self.path = path
        self.index = path / "ensemble.json"
        self._second = second

    def exists(self) -> bool:
        """Whether there is an ensemble."""
        return exists(self.index)

    def file(self, member: StoredMember) -> Path:
        """The file with the arrays of a member, or the card of the run that it is."""
        if isinstance(member, StoredTransformer):
            return self._second / "card.json"
        return self.path / f"{member.name}.safetensors"

    def write(
        self, members: Sequence[tuple[AnyStoredMember, Arrays]], encoder_weight: float
    ) -> None:
        """Replace the ensemble: each file atomically, the index last.

        Files of earlier members are removed at the end. Equal members give equal bytes.

        Args:
            members: entries of the index, whose checksums are set here, and arrays.
            encoder_weight: as in ``EnsembleIndex``.

        Raises:
            RunError: a name, a weight or the size of a member is not possible.
            StorageError: no space or no permission; an existing index is unchanged.
        """
        _check_written(EnsembleIndex(encoder_weight, [entry for entry, _ in members]))
        for entry, arrays in members:
            _check_entries(len(arrays.get("data", ())), entry.name)
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            message = f"cannot create {self.path}: {error.strerror}"
            raise StorageError(message, "free some space or remove what is in its place") from None
        stored = []
        for entry, arrays in members:
            file = self.file(entry)
            if not isinstance(entry, StoredTransformer):
                replace_file(file, lambda partial, arrays=arrays: write_arrays(partial, arrays))
            stored.append(msgspec.structs.replace(entry, checksum=checksum(file)))
        content = msgspec.json.encode(EnsembleIndex(encoder_weight, stored))
        text = msgspec.json.format(content, indent=2) + b"\n"
        replace_file(self.index, lambda partial: partial.write_bytes(text))
        self._remove_all_but({self.index, *map(self.file, stored)})

    def remove(self) -> None:
        """Remove the ensemble, the index first; without one, do nothing."""
        with suppress(FileNotFoundError):
            self.index.unlink()
        self._remove_all_but(set())

    def read(self) -> EnsembleIndex:
        """Read the index.

        Raises:
            RunError: it is missing, damaged or of another format version.
        """
        content = read_json(self.index, RUN_PROBLEMS)
        if content.get("format_version") != FORMAT_VERSION:
            version = one_line(repr(content.get("format_version")), 50)
            reason = f"it has the format version {version}, expected {FORMAT_VERSION}"
            raise RUN_PROBLEMS.damaged(self.index, reason)
        index = typed(content, EnsembleIndex, self.index, RUN_PROBLEMS)
        if (problem := _problem(index)) is not None:
            raise RUN_PROBLEMS.damaged(self.index, problem)
        return index

    def verify(self, hint: str = RUN_PROBLEMS.hint) -> EnsembleIndex:
        """Read the index and compare the checksums in it with the files of the members.

        Args:
            hint: what to do about a file with another checksum.

        Raises:
            RunError: a file is missing, damaged, or not the one that was written with the index.
        """
        index = self.read()
        for member in index.members:
            file = self.file(member)
            if checksum(file) != member.checksum:
                message = f"{file} is not the file that this run wrote: its checksum differs"
                raise RunError(message, hint)
        return index

    def read_arrays(self, member: AnyStoredMember, vocabulary_size: int) -> dict[str, np.ndarray]:
        """Read and check the arrays of a member.

        Raises:
            RunError: they are damaged, or belong to another number of items.
        """
        file = self.file(member)
        shapes = check_arrays(file, RUN_PROBLEMS)
        like = _expected(member, shapes, vocabulary_size)
        try:
            arrays = read_host_arrays(file, like, RUN_PROBLEMS, finite=True)
        except ArraysMismatchError as error:
            raise RUN_PROBLEMS.cannot_read(file, error) from None
        if isinstance(member, StoredItemItem):
            _check_matrix(arrays, file)
        return arrays

    def summary(self) -> dict[str, Any]:
        """The index with the size of each member, as plain JSON values.

        Each member has ``entries`` (stored numbers of its matrix or vectors, or parameters) and
        ``bytes`` (size of the file with them) in place of its checksum.

        Raises:
            RunError: a file is missing or damaged.
        """
        index = self.read()
        members = []
        for member in index.members:
            values = msgspec.to_builtins(member)
            del values["checksum"]
            members.append(values | self._size(member))
        return {"encoder_weight": index.encoder_weight, "members": members}

    def _size(self, member: AnyStoredMember) -> dict[str, int]:
        is_transformer = isinstance(member, StoredTransformer)
        file = self._second / "weights.safetensors" if is_transformer else self.file(member)
        shapes = check_arrays(file, RUN_PROBLEMS)
        counted = shapes.values() if is_transformer else [shapes.get("data", shapes.get("vectors"))]
        entries = sum(int(np.prod(shape, dtype=np.int64)) for shape in counted if shape)
        return {"entries": entries, "bytes": file.stat().st_size}

    def _remove_all_but(self, kept: set[Path]) -> None:
        """Remove the files of earlier writings. One that cannot be removed does no harm."""
        with suppress(OSError):
            for file in set(self.path.iterdir()) - kept:
                file.unlink()
            if not kept:
                self.path.rmdir()


def _check_written(index: EnsembleIndex) -> None:
    """Check an index before it is written.

    Raises:
        RunError: it would be refused when it is read.
    """
    try:  # constructors do not check types and bounds
        msgspec.convert(msgspec.to_builtins(index), EnsembleIndex)
        problem = _problem(index)
    except msgspec.ValidationError as error:
        problem = one_line(error)
    if problem is not None:
        message = f"the ensemble cannot be stored: {problem}"
        raise RunError(message, "see segue.runs.ensemble for what can be stored")


def _problem(index: EnsembleIndex) -> str | None:
    """What is wrong with an index beyond its types."""
    names = [member.name for member in index.members]
    if len(set(names)) < len(names):
        return f"two members have the same name, among {', '.join(names)}"
    if not index.encoder_weight and all(isinstance(m, StoredItemItem) for m in index.members):
        return "encoder_weight is 0, but no member scores all items"
    return None


def _check_entries(n_entries: int, name: str) -> None:
    if n_entries > MAX_ENTRIES:
        raise RunError(
            f"member {name} has {n_entries:,} entries, expected at most {MAX_ENTRIES:,}",
            "keep fewer neighbours per item",
        )


def _expected(
    member: AnyStoredMember, shapes: Mapping[str, tuple[int, ...]], vocabulary_size: int
) -> dict[str, ArrayType]:
    """The expected shapes and dtypes of the arrays of a member.

    Only the number of entries, the number of dimensions and the presence of divisors are taken
    from the file.
    """
    if not isinstance(member, StoredItemItem):
        dim = 1 if isinstance(member, StoredItemBias) else (*shapes.get("vectors", ()), 1, 1)[1]
        return {"vectors": ArrayType((vocabulary_size, dim), np.float32)}
    n_entries = (*shapes.get("data", ()), 0)[0]
    _check_entries(n_entries, member.name)
    expected = {
        "indptr": ArrayType((vocabulary_size + 1,), np.int64),
        "indices": ArrayType((n_entries,), INDEX_DTYPE),
        "data": ArrayType((n_entries,), np.float32),
        "counts": ArrayType((vocabulary_size,), np.int64),
    }
    if "divisors" in shapes:
        expected["divisors"] = ArrayType((vocabulary_size,), np.float64)
    return expected


def _check_matrix(arrays: Arrays, file: Path) -> None:
    """Check that the rows are in order, items within the vocabulary, and scores finite."""
    indptr, indices = arrays["indptr"], arrays["indices"]
    vocabulary_size, divisors = len(indptr) - 1, arrays.get("divisors")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        reason = f"indptr does not rise from 0 to the {len(indices):,} entries"
    elif len(indices) and not 0 <= indices.min() <= indices.max() < vocabulary_size:
        reason = f"an index is not within the vocabulary of {vocabulary_size:,} items"
    elif (arrays["counts"] < 0).any():
        reason = "a count is negative"
    elif (np.abs(arrays["data"]) > 1e18).any():  # sums must be finite in float32
        reason = "a weight is beyond 1e18"
    elif divisors is not None and not ((divisors >= 1e-12) & (divisors <= 1e30)).all():
        reason = "a divisor is not between 1e-12 and 1e30"
    else:
        return
    raise RUN_PROBLEMS.damaged(file, reason)
