"""Mutations of run and dataset folders: named edits, and random ones that depend on a seed alone.

A reader of a folder must treat its content as hostile or damaged. Whatever a mutation does, the
outcome of reading the folder must be a ``SegueError`` or a correct answer: no other exception, no
hang, and no memory beyond a small multiple of the file sizes.

``mutations`` lists the named ones of a kind of folder. ``random_mutation`` picks one or combines
several, and also edits bytes at random. A mutation edits a copy of a folder in place:

    shutil.copytree(folder, copy)
    mutation = random_mutation("run", folder, seed)
    mutation.edit(copy)

``edit`` ends with ``seal``, which makes the checksums of the manifest or the card agree with the
edited files again, so that the checks behind the checksums are reached. Mutations do nothing where
a folder lacks the file that they edit.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Kind = Literal["dataset", "run"]

MEMBERS = ("co-occurrence", "puresvd")
"""Names of the ensemble members whose files are edited."""

JSON_FILES: dict[Kind, tuple[str, ...]] = {
    "dataset": ("manifest.json",),
    "run": ("config.json", "card.json", "sequence_values.json", "ensemble/ensemble.json"),
}
OTHER_FILES: dict[Kind, tuple[str, ...]] = {
    "dataset": ("items.parquet", "sequences.arrow"),
    "run": (
        "items.parquet",
        "weights.safetensors",
        *(f"ensemble/{name}.safetensors" for name in MEMBERS),
        "histories.arrow",
        "metrics.jsonl",
    ),
}

NESTED = 100_000
"""Depth of the nested JSON values."""

VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "text": '"thirteen"',
    "empty text": '""',
    "negative": "-7",
    "zero": "0",
    "huge": "1" + "0" * 30,
    "beyond int64": str(2**63),
    "billion": "1000000000",
    "huge float": "1e308",
    "beyond float": "1e999",
    "NaN": "NaN",
    "list": "[]",
    "list of numbers": "[1, 2, 3]",
    "object": "{}",
    "control characters": '"a\\u001b[31mb\\nc\\u0000"',
    "lone surrogate": '"\\ud800"',
    "nested": "[" * NESTED + "]" * NESTED,
}
"""JSON text that replaces a value, by name."""


LARGEST_JSON = 10_000_000
"""Bytes of the largest JSON file that is edited."""


LARGEST_SEALED = 1 << 30
"""Bytes of the largest file of which ``seal`` computes the checksum."""


class Mutation(NamedTuple):
    """A named edit of a folder, in place.

    Attributes:
        name: says which file is edited and how.
        edit: the edit, which takes the folder.
    """

    name: str
    edit: Callable[[Path], object]


# --- checksums ---


def seal(folder: Path) -> None:
    """Write the checksums of the files as they are now, if manifest or card can be edited."""
    from segue.dataset.manifest import checksum
    from segue.runs.folder import RunFolder

    _seal_ensemble(folder / "ensemble" / "ensemble.json")
    manifest, card = folder / "manifest.json", folder / "card.json"
    for file, key in ((manifest, "files"), (card, "checksums")):
        content = _json_of(file)
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            continue
        for name in content[key]:
            path = folder / str(name)
            if not path.is_file() or path.stat().st_size > LARGEST_SEALED:
                continue
            if key == "checksums":
                content[key][name] = _blake2b(path)
            else:
                content[key][name] = {"size": path.stat().st_size, "checksum": checksum(path)}
        if key == "checksums":
            run = RunFolder(folder)
            for path in (run.sequence_values, run.ensemble.index):
                if path.is_file() and path.stat().st_size <= LARGEST_SEALED:
                    content[key][path.relative_to(folder).as_posix()] = _blake2b(path)
        file.write_text(json.dumps(content))
    _seal_histories(folder / "histories.arrow")


def _seal_histories(file: Path) -> None:
    """Write the checksum of edited items into the histories, if these can be edited."""
    items = file.parent / "items.parquet"
    if not items.is_file() or items.stat().st_size > LARGEST_SEALED:
        return
    try:
        batch = _read_batch(file)
        content = json.loads(batch.schema.metadata[b"segue"])
        if content["items"] == (checksum := _blake2b(items)):
            return
        metadata = json.dumps({**content, "items": checksum})
    except (OSError, ValueError, KeyError, TypeError, MemoryError, pa.ArrowException):
        return
    _write_batch(file, batch.replace_schema_metadata({"segue": metadata}))


def _read_batch(file: Path) -> pa.RecordBatch:
    """The only record batch of an Arrow file."""
    if not file.is_file() or file.stat().st_size > LARGEST_SEALED:
        raise FileNotFoundError(file)
    with pa.OSFile(str(file)) as source:
        return pa.ipc.open_file(source).get_batch(0)


def _write_batch(file: Path, batch: pa.RecordBatch) -> None:
    with pa.ipc.new_file(str(file), batch.schema) as writer:
        writer.write_batch(batch)


def _seal_ensemble(index: Path) -> None:
    """Write the checksums of the members' files, if the index can be edited."""
    content = _json_of(index)
    members = content.get("members") if isinstance(content, dict) else None
    if not isinstance(members, list):
        return
    for member in members:
        name = member.get("name") if isinstance(member, dict) else None
        file = index.parent / f"{name}.safetensors"
        if (
            name in (*MEMBERS, "popularity")
            and file.is_file()
            and file.stat().st_size <= LARGEST_SEALED
        ):
            member["checksum"] = _blake2b(file)
    index.write_text(json.dumps(content))


def _blake2b(path: Path) -> str:
    import hashlib

    return hashlib.blake2b(path.read_bytes()).hexdigest()[:32]


def _json_of(file: Path) -> Any:
    """The content of a JSON file; None if it is missing or cannot be edited and written again."""
    if not file.is_file() or file.stat().st_size > LARGEST_JSON:
        return None
    try:
        content = json.loads(file.read_text("utf-8"))
        json.dumps(content, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return content


# --- files ---


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replaced_by_folder(path: Path) -> None:
    _remove(path)
    path.mkdir()


def _replaced_by_fifo(path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def _replaced_by_link(target: str, path: Path) -> None:
    _remove(path)
    path.symlink_to(target)


def _link_to_itself(path: Path) -> None:
    _replaced_by_link(path.name, path)


def _truncated(share: float, path: Path) -> None:
    os.truncate(path, int(share * path.stat().st_size))


def _appended(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"\x00\xff" * 40)


FILE_EDITS: dict[str, Callable[[Path], object]] = {
    "missing": _remove,
    "a folder": _replaced_by_folder,
    "a FIFO": _replaced_by_fifo,
    "a device": partial(_replaced_by_link, "/dev/zero"),
    "a dangling link": partial(_replaced_by_link, "nowhere"),
    "a link to itself": _link_to_itself,
    "empty": partial(_truncated, 0.0),
    "half": partial(_truncated, 0.5),
    "without its end": partial(_truncated, 0.98),
    "longer": _appended,
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "text": lambda path: path.write_bytes(b"something else\n"),
    "UTF-16": lambda path: path.write_bytes('{"a": 1}'.encode("utf-16")),
    "not UTF-8": lambda path: path.write_bytes(b'{"format_version": 2, "\xff": 1}'),
    "an empty object": lambda path: path.write_bytes(b"{}"),
    "an array": lambda path: path.write_bytes(b"[{}]"),
    "nested": lambda path: path.write_bytes(b'{"a":' * NESTED + b"1" + b"}" * NESTED),
    "nested arrays": lambda path: path.write_bytes(b"[" * NESTED),
    "sparse": lambda path: os.truncate(path, 1 << 36),
}
"""Edits of any file as a whole; ``sparse`` makes it 64 GiB long."""


# --- JSON ---


def json_paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON document, each before those within it.

    Of a list only the first value.
    """
    if path:
        yield path
    keys: Any = (
        content
        if isinstance(content, dict)
        else range(min(len(content), 1))
        if isinstance(content, list)
        else ()
    )
    for key in keys:
        yield from json_paths(content[key], (*path, key))


PLACEHOLDER = "a value to be replaced"


def replace_json_value(file: Path, path: tuple[Any, ...], text: str | None) -> None:
    """Replace the value at a path by JSON text, which may be malformed; remove it if None."""
    content = _json_of(file)
    try:
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        if text is None:
            del parent[path[-1]]
        else:
            parent[path[-1]]  # the path must exist
            parent[path[-1]] = PLACEHOLDER
    except (KeyError, IndexError, TypeError):
        return
    written = json.dumps(content)
    file.write_text(written if text is None else written.replace(json.dumps(PLACEHOLDER), text))


def duplicate_key(file: Path) -> None:
    """Repeat every key of the outermost object with the value null."""
    content = _json_of(file)
    if isinstance(content, dict):
        extra = ", ".join(f"{json.dumps(key)}: null" for key in content)
        file.write_text(json.dumps(content)[:-1] + ", " + extra + "}")


def json_mutations(folder: Path, name: str) -> list[Mutation]:
    """Every value of a JSON file removed, and replaced by each of ``VALUES``."""
    content = _json_of(folder / name)
    mutations = []
    for path in json_paths(content):
        dotted = ".".join(map(str, path))
        for label, text in {"missing": None, **VALUES}.items():
            mutations.append(
                Mutation(f"{name}: {dotted} {label}", partial(_edit_json, name, path, text))
            )
    return mutations


def _edit_json(name: str, path: tuple[Any, ...], text: str | None, folder: Path) -> None:
    if (folder / name).is_file():
        replace_json_value(folder / name, path, text)
        seal(folder)


# --- Arrow and Parquet ---

Edit = Callable[[pa.RecordBatch], pa.RecordBatch]


def edit_batch(edit: Edit, name: str, folder: Path) -> None:
    """Rewrite an Arrow file with an edited batch."""
    if (folder / name).is_file():
        _write_batch(folder / name, edit(_read_batch(folder / name)))
        seal(folder)


def _with(batch: Any, name: str, values: Any) -> Any:
    """A batch or table with a column replaced, or appended where it has none of that name."""
    if name not in batch.schema.names:
        return batch.append_column(name, values)
    return batch.set_column(batch.schema.names.index(name), name, values)


def _without(name: str, batch: Any) -> Any:
    return batch.drop_columns([name]) if name in batch.schema.names else batch


def _numbers(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False).copy()


def _set(name: str, row: int, value: int, batch: Any) -> Any:
    """Set one number of a flat column."""
    if name not in batch.schema.names:
        return batch
    column = batch.column(name)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    values = _numbers(column)
    values[row] = value
    return _with(batch, name, pa.array(values, column.type))


def _set_event(name: str, position: int, value: float, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Set one value of a list column."""
    if name not in batch.schema.names:
        return batch
    column = batch.column(name)
    flat = column.values
    kind = flat.type
    numbers = _numbers(flat.view(pa.int64()) if pa.types.is_timestamp(kind) else flat)
    numbers[position] = value
    flat = pa.array(numbers).view(kind) if pa.types.is_timestamp(kind) else pa.array(numbers, kind)
    return _with(batch, name, pa.LargeListArray.from_arrays(column.offsets, flat))


def patch_offsets(
    name: str, position: int, value: int, occurrence: int | None, file: str, folder: Path
) -> None:
    """Overwrite one offset of a column in an Arrow file, which no writer would do.

    Args:
        occurrence: which of the columns with the same offsets, from 0; all if None.
    """
    path = folder / file
    if not path.is_file():
        return
    batch = _read_batch(path)
    column = batch.column(name)
    kind = np.int32 if pa.types.is_string(column.type) else np.int64
    old = np.frombuffer(column.buffers()[1], kind)[: len(column) + 1]
    new = old.copy()
    new[position] = value
    parts = path.read_bytes().split(old.tobytes())
    joints = [old.tobytes()] * (len(parts) - 1)
    for i in range(len(joints)):
        if occurrence in (None, i):
            joints[i] = new.tobytes()
    path.write_bytes(
        b"".join(part for pair in zip(parts, [*joints, b""], strict=True) for part in pair)
    )
    seal(folder)


def _text_bytes(name: str, batch: Any) -> Any:
    """Replace the bytes of a text column by bytes that are not UTF-8."""
    column = batch.column(name)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_string(column.type):
        return batch
    validity, offsets, data = column.buffers()
    damaged = pa.py_buffer(b"\xff" * data.size)
    array = pa.Array.from_buffers(column.type, len(column), [validity, offsets, damaged])
    return _with(batch, name, array)


def _with_null(name: str, batch: Any) -> Any:
    if name not in batch.schema.names:
        return batch
    column = batch.column(name)
    mask = np.arange(len(column)) == len(column) // 2
    kept = pa.array(np.where(mask, None, np.arange(len(column))), pa.int64())
    return _with(batch, name, column.take(kept))


def _with_null_events(name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    if name not in batch.schema.names:
        return batch
    column = batch.column(name)
    flat = column.values
    indices = pa.array([None, *range(1, len(flat))], pa.int64())
    return _with(batch, name, pa.LargeListArray.from_arrays(column.offsets, flat.take(indices)))


def _cast(name: str, kind: pa.DataType, batch: Any) -> Any:
    if name not in batch.schema.names:
        return batch
    column = batch.column(name)
    if pa.types.is_string(column.type):
        values = pa.array(np.arange(len(column))).cast(kind)
    else:
        values = column.cast(kind, safe=False)
    return _with(batch, name, values)


def _duplicate(name: str, batch: Any) -> Any:
    """The first value of a column in every row."""
    column = batch.column(name)
    return _with(batch, name, column.take(pa.array(np.zeros(len(column), np.int64))))


def _twice(name: str, batch: Any) -> Any:
    """A second column of the same name."""
    return batch.append_column(name, batch.column(name)) if name in batch.schema.names else batch


SEQUENCE_EDITS: dict[str, Edit] = {
    **{f"no {name}": partial(_without, name) for name in ("sequence_id", "items", "times")},
    **{f"no {name}": partial(_without, name) for name in ("train_end", "valid_end")},
    **{f"null in {name}": partial(_with_null, name) for name in ("sequence_id", "items")},
    **{f"null in {name}": partial(_with_null, name) for name in ("train_end", "valid_end")},
    **{f"null events of {name}": partial(_with_null_events, name) for name in ("items", "times")},
    **{f"two columns {name}": partial(_twice, name) for name in ("items", "train_end")},
    "items as list of int64": partial(_cast, "items", pa.large_list(pa.int64())),
    "items as list of 32-bit offsets": partial(_cast, "items", pa.list_(pa.int32())),
    "items as numbers": lambda batch: _with(batch, "items", batch.column("train_end")),
    "times as list of int64": partial(_cast, "times", pa.large_list(pa.int64())),
    "train_end as float": partial(_cast, "train_end", pa.float64()),
    "valid_end as text": partial(_cast, "valid_end", pa.string()),
    "sequence_id as int64": partial(_cast, "sequence_id", pa.int64()),
    "sequence_id not UTF-8": partial(_text_bytes, "sequence_id"),
    "equal sequence ids": partial(_duplicate, "sequence_id"),
    **{
        f"item {value}": partial(_set_event, "items", 7, value)
        for value in (0, 1, 2, 3, -1, -(2**31), 2**31 - 1, 1000)
    },
    "times fall": partial(_set_event, "times", 2, 0),
    "time negative": partial(_set_event, "times", 2, -(2**63)),
    "time huge": partial(_set_event, "times", 2, 2**63 - 1),
    "rating infinite": partial(_set_event, "ratings", 2, float("inf")),
    **{
        f"{name} {value}": partial(_set, name, 1, value)
        for name in ("train_end", "valid_end")
        for value in (-1, 10_000, -(2**31), 2**31 - 1)
    },
    "cuts cross": partial(_set, "valid_end", 1, 0),
    "no sequences": lambda batch: batch.slice(0, 0),
    "one sequence": lambda batch: batch.slice(0, 1),
    "twice the sequences": lambda batch: (
        pa.Table.from_batches([batch, batch]).combine_chunks().to_batches()[0]
    ),
    "target_parts": lambda batch: _with(
        batch,
        "target_parts",
        pa.LargeListArray.from_arrays(
            batch.column("items").offsets,
            pa.array(np.full(len(batch.column("items").values), 9), pa.int8()),
        ),
    ),
    "an attribute of lists": lambda batch: _with(
        batch, "name", pa.array([[{"a": 1}]] * len(batch))
    ),
}
"""Edits of ``sequences.arrow``."""


OFFSET_EDITS: dict[str, Callable[[str, Path], object]] = {
    "text offset beyond the text": partial(patch_offsets, "sequence_id", -1, 2**30, None),
    "text offset falls": partial(patch_offsets, "sequence_id", 5, 0, None),
    "text offset negative": partial(patch_offsets, "sequence_id", 3, -5, None),
    "offset beyond the events": partial(patch_offsets, "items", 5, 2**40, None),
    "offset negative": partial(patch_offsets, "items", 5, -3, None),
    "offset falls": partial(patch_offsets, "items", 5, 0, None),
    "first offset": partial(patch_offsets, "items", 0, 2, None),
    "last offset": partial(patch_offsets, "items", -1, 3, None),
    "last offset beyond": partial(patch_offsets, "items", -1, 2**50, None),
    "offsets of one column": partial(patch_offsets, "items", 4, 1, 1),
}
"""Edits of the offsets in ``sequences.arrow``."""


def _metadata(text: str | None, batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.replace_schema_metadata(None if text is None else {"segue": text})


def _reversed(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(pa.array(np.arange(len(batch))[::-1]))


HISTORY_EDITS: dict[str, Edit] = {
    **{f"no {name}": partial(_without, name) for name in ("user", "items")},
    **{f"null in {name}": partial(_with_null, name) for name in ("user", "items")},
    "null events": partial(_with_null_events, "items"),
    "two columns items": partial(_twice, "items"),
    "items as list of int64": partial(_cast, "items", pa.large_list(pa.int64())),
    "items as list of 32-bit offsets": partial(_cast, "items", pa.list_(pa.int32())),
    "items as numbers": lambda batch: _with(batch, "items", pa.array(range(len(batch)))),
    "user as int64": partial(_cast, "user", pa.int64()),
    "user not UTF-8": partial(_text_bytes, "user"),
    "equal users": partial(_duplicate, "user"),
    "users descending": _reversed,
    **{
        f"item {value}": partial(_set_event, "items", 3, value)
        for value in (0, 1, 2, -1, -(2**31), 2**31 - 1, 1000)
    },
    "no users": lambda batch: batch.slice(0, 0),
    "no metadata": partial(_metadata, None),
    "metadata empty": partial(_metadata, "{}"),
    "metadata broken": partial(_metadata, '{"items": '),
    "metadata of another version": partial(
        _metadata, '{"format_version": 3, "items": "", "dataset": "", "fingerprint": ""}'
    ),
    "dataset as number": partial(_metadata, '{"items": "", "dataset": 3, "fingerprint": ""}'),
}
"""Edits of ``histories.arrow``."""

HISTORY_OFFSET_EDITS: dict[str, Callable[[str, Path], object]] = {
    "text offset beyond the text": partial(patch_offsets, "user", -1, 2**30, None),
    "text offset falls": partial(patch_offsets, "user", 5, 0, None),
    **{
        label: edit
        for label, edit in OFFSET_EDITS.items()
        if label.startswith(("offset ", "first", "last"))
    },
}
"""Edits of the offsets in ``histories.arrow``."""


def _compressed(codec: str, folder: Path) -> None:
    """``sequences.arrow`` with compressed buffers, one of them of 100 MB of zeros."""
    path = folder / "sequences.arrow"
    if not path.is_file():
        return
    with pa.OSFile(str(path)) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    rows = len(batch)
    text = pa.Array.from_buffers(
        pa.string(),
        rows,
        [
            None,
            pa.py_buffer((np.arange(rows + 1, dtype=np.int32) * (10**8 // rows)).tobytes()),
            pa.py_buffer(bytes(10**8)),
        ],
    )
    batch = batch.append_column("bomb", text)
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_file(str(path), batch.schema, options=options) as writer:
        writer.write_batch(batch)
    seal(folder)


def _two_batches(folder: Path) -> None:
    path = folder / "sequences.arrow"
    if not path.is_file():
        return
    with pa.OSFile(str(path)) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch.slice(0, 3))
        writer.write_batch(batch.slice(3))
    seal(folder)


def _no_batch(folder: Path) -> None:
    path = folder / "sequences.arrow"
    if not path.is_file():
        return
    with pa.OSFile(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
    with pa.ipc.new_file(str(path), schema):
        pass
    seal(folder)


def edit_items(edit: Callable[[pa.Table], pa.Table], folder: Path) -> None:
    """Rewrite ``items.parquet`` with an edited table."""
    path = folder / "items.parquet"
    if path.is_file():
        # Without the schema of Arrow, readers decode dictionaries.
        pq.write_table(edit(pq.read_table(path)), path, compression="zstd", store_schema=False)
        seal(folder)


def _bomb(n_bytes: int, table: pa.Table) -> pa.Table:
    """A title of many bytes in every row: a small file by its dictionary and compression."""
    dictionary = pa.array(["x" * n_bytes])
    indices = pa.array(np.zeros(len(table), np.int32))
    return _with(table, "title", pa.DictionaryArray.from_arrays(indices, dictionary))


def _many_rows(table: pa.Table) -> pa.Table:
    """20 million rows that are all the same."""
    indices = pa.array(np.zeros(20_000_000, np.int8))
    return pa.table(
        {
            name: pa.DictionaryArray.from_arrays(indices, table.column(name).combine_chunks()[:1])
            for name in table.column_names
            if not pa.types.is_list(table.schema.field(name).type)
        }
    )


def _vectors(values: list[Any], table: pa.Table) -> pa.Table:
    """A column ``sound`` of vectors that begins with the given one."""
    rows = [values, *([[0.5, -0.5, 1.0, 2.0]] * (len(table) - 1))]
    return _with(table, "sound", pa.array(rows, pa.list_(pa.float32())))


ITEM_EDITS: dict[str, Callable[[pa.Table], pa.Table]] = {
    **{f"no {name}": partial(_without, name) for name in ("index", "item_id", "training_count")},
    **{f"null in {name}": partial(_with_null, name) for name in ("index", "item_id")},
    "null in training_count": partial(_with_null, "training_count"),
    "item_id as int64": partial(_cast, "item_id", pa.int64()),
    "item_id not UTF-8": partial(_text_bytes, "item_id"),
    "title as numbers": lambda table: _with(table, "title", pa.array(range(len(table)))),
    "title as lists": lambda table: _with(table, "title", pa.array([["a"]] * len(table))),
    "title as bytes": lambda table: _with(table, "title", pa.array([b"\xff"] * len(table))),
    "title nested": lambda table: _with(table, "title", pa.array([{"a": [1]}] * len(table))),
    "artist as numbers": lambda table: _with(table, "artist", pa.array(range(len(table)))),
    "genres as numbers": lambda table: _with(table, "genres", pa.array(range(len(table)))),
    "training_count as text": partial(_cast, "training_count", pa.string()),
    "training_count as float": partial(_cast, "training_count", pa.float64()),
    "training_count negative": partial(_set, "training_count", 1, -5),
    "training_count huge": partial(_set, "training_count", 1, 2**62),
    "index repeats": partial(_set, "index", 2, 4),
    "index negative": partial(_set, "index", 0, -1),
    "equal ids": partial(_duplicate, "item_id"),
    "empty": lambda table: table.slice(0, 0),
    "half the rows": lambda table: table.slice(0, len(table) // 2),
    "twice the rows": lambda table: pa.concat_tables([table, table]),
    "other columns": lambda table: pa.table({"a": [1, 2]}),
    "two columns item_id": partial(_twice, "item_id"),
    "is_candidate as text": lambda table: _with(
        table, "is_candidate", pa.array(["x"] * len(table))
    ),
    "is_candidate null": lambda table: _with(
        table, "is_candidate", pa.nulls(len(table), pa.bool_())
    ),
    "is_candidate false": lambda table: _with(
        table, "is_candidate", pa.array([False] * len(table))
    ),
    "bomb": partial(_bomb, 30_000_000),
    "many rows": _many_rows,
    "vectors not finite": partial(_vectors, [float("nan"), float("inf"), 0.0, 1.0]),
    "vectors huge": partial(_vectors, [3e38, 3e38, 3e38, -3e38]),
    "vectors of other widths": partial(_vectors, [1.0]),
    "vectors with null": partial(_vectors, [None, 1.0, 1.0, 1.0]),
}
"""Edits of ``items.parquet``."""


# --- safetensors ---


def edit_header(edit: Callable[[dict[str, Any]], object], name: str, folder: Path) -> None:
    """Edit the header of a safetensors file; the data stay as they are."""
    path = folder / name
    if not path.is_file():
        return
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    edit(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + content[8 + size :])
    seal(folder)


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return header[next(name for name in header if name != "__metadata__")]


def _edit_first(key: str, value: Any, header: dict[str, Any]) -> None:
    _first(header)[key] = value


def _rename_first(header: dict[str, Any]) -> None:
    name = next(name for name in header if name != "__metadata__")
    header["other"] = header.pop(name)


HEADER_EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no arrays": lambda header: header.clear(),
    "another array": lambda header: header.update(copy.deepcopy({"more": _first(header)})),
    "another name": _rename_first,
    "another dtype": partial(_edit_first, "dtype", "F64"),
    "unknown dtype": partial(_edit_first, "dtype", "F128"),
    "dtype null": partial(_edit_first, "dtype", None),
    "huge shape": partial(_edit_first, "shape", [2**40, 2**20]),
    "negative shape": partial(_edit_first, "shape", [-1, 4]),
    "shape as text": partial(_edit_first, "shape", "12"),
    "no shape": lambda header: _first(header).pop("shape"),
    "offsets beyond the file": partial(_edit_first, "data_offsets", [0, 2**50]),
    "offsets fall": partial(_edit_first, "data_offsets", [100, 0]),
    "offsets negative": partial(_edit_first, "data_offsets", [-8, 0]),
    "offsets as text": partial(_edit_first, "data_offsets", "all"),
    "metadata as number": lambda header: header.update(__metadata__=3),
    "entry as list": lambda header: header.update(
        {name: [] for name in header if name != "__metadata__"}
    ),
}
"""Edits of the header of a safetensors file."""


def _header_size(size: int, name: str, folder: Path) -> None:
    path = folder / name
    if path.is_file():
        content = path.read_bytes()
        path.write_bytes(size.to_bytes(8, "little") + content[8:])
        seal(folder)


def _not_finite(name: str, folder: Path) -> None:
    """Fill the data of a safetensors file with NaN."""
    path = folder / name
    if path.is_file():
        content = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(content[:8], "little")
        content[start:] = b"\xff" * (len(content) - start)
        path.write_bytes(content)
        seal(folder)


def _edit_matrix(edit: Callable[[dict[str, np.ndarray]], object], folder: Path) -> None:
    """Edit the arrays of an item-item member."""
    from safetensors.numpy import load_file, save_file

    path = folder / "ensemble" / "co-occurrence.safetensors"
    if path.is_file():
        arrays = load_file(path)
        edit(arrays)
        save_file(arrays, path)
        seal(folder)


def _set_value(name: str, position: int, value: float, arrays: dict[str, np.ndarray]) -> None:
    arrays[name][position] = value


def _shorter(arrays: dict[str, np.ndarray]) -> None:
    """Arrays of a smaller vocabulary."""
    arrays["indptr"] = arrays["indptr"][:-1]
    for name in ("counts", "divisors"):
        arrays[name] = arrays[name][:-1]


MATRIX_EDITS: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "indptr falls": partial(_set_value, "indptr", 6, 0),
    "indptr beyond the entries": partial(_set_value, "indptr", 6, 2**40),
    "indptr starts late": partial(_set_value, "indptr", 0, 1),
    "indptr negative": partial(_set_value, "indptr", 0, -1),
    "indptr ends early": partial(_set_value, "indptr", -1, 0),
    "index beyond the vocabulary": partial(_set_value, "indices", 0, 2**31 - 1),
    "index negative": partial(_set_value, "indices", 0, -1),
    "weight infinite": partial(_set_value, "data", 0, np.inf),
    "count negative": partial(_set_value, "counts", 5, -1),
    "divisor zero": partial(_set_value, "divisors", 5, 0),
    "divisor negative": partial(_set_value, "divisors", 5, -1),
    "divisor NaN": partial(_set_value, "divisors", 5, np.nan),
    "another vocabulary": _shorter,
    "no counts": lambda arrays: arrays.pop("counts"),
    "fewer indices": lambda arrays: arrays.update(indices=arrays["indices"][:-1]),
}
"""Edits of the arrays of an item-item member that it must be refused for."""


# --- metrics and checkpoints ---

METRIC_LINES: dict[str, str] = {
    "broken": '{"step": 1, "kind": "tr',
    "empty": "",
    "a list": "[1, 2]",
    "no keys": "{}",
    "no step": '{"kind": "train", "loss": 1.0}',
    "step null": '{"step": null, "kind": "train", "loss": 1.0}',
    "step true": '{"step": true, "kind": "train", "loss": 1.0}',
    "step negative": '{"step": -5, "kind": "train", "loss": 1.0}',
    "step huge": '{"step": 1' + "0" * 40 + ', "kind": "train", "loss": 1.0, "learning_rate": 1}',
    "step beyond int64": f'{{"step": {2**63}, "kind": "train", "loss": 1.0}}',
    "loss huge": '{"step": 1000, "kind": "train", "loss": 1' + "0" * 400 + "}",
    "loss 1e308": '{"step": 1000, "kind": "train", "loss": 1e308, "learning_rate": 1e308}',
    "loss -1e308": '{"step": 1000, "kind": "train", "loss": -1e308}',
    "loss NaN": '{"step": 1000, "kind": "train", "loss": NaN, "learning_rate": Infinity}',
    "loss as text": '{"step": 1000, "kind": "train", "loss": "low", "learning_rate": [1]}',
    "kind unknown": '{"step": 1000, "kind": "party", "loss": 1.0}',
    "kind list": '{"step": 1000, "kind": ["train"], "loss": 1.0}',
    "nested": '{"step": 1000, "kind": "train", "loss": ' + "[" * NESTED + "]" * NESTED + "}",
    "validation null": '{"step": 1000, "kind": "validation", "ndcg@10": null, "loss": null}',
    "validation true": '{"step": 1000, "kind": "validation", "ndcg@10": true, "loss": false}',
    "surrogate": '{"step": 1000, "kind": "train", "loss": 1.0, "\\ud800": 1.0}',
    "odd name": '{"step": 1000, "kind": "train", "loss": 1.0, "a\\u001b[2J\\u0000b": 1.0}',
    "not UTF-8": '{"step": 1000, "kind": "train", "\udcff": 1.0}',
}
"""Lines of ``metrics.jsonl``."""


def _edit_metrics(text: str, keep: bool, folder: Path) -> None:
    """Append a line to ``metrics.jsonl``, or replace all lines by it."""
    path = folder / "metrics.jsonl"
    if path.is_file():
        lines = path.read_bytes() if keep else b""
        path.write_bytes(lines + text.encode("utf-8", "surrogateescape") + b"\n")


def _many_names(folder: Path) -> None:
    """Lines that each have other names of metrics."""
    path = folder / "metrics.jsonl"
    if path.is_file():
        records = (
            {"step": i, "kind": "train", "loss": 1.0, f"m{i}": 1.0, f"n{i}": 2.0}
            for i in range(20_000)
        )
        path.write_text("".join(json.dumps(record) + "\n" for record in records))


def newest_checkpoint(folder: Path) -> Path | None:
    """The folder of the newest checkpoint of a run."""
    checkpoints = folder / "checkpoints"
    if not checkpoints.is_dir():
        return None
    steps = [path for path in checkpoints.iterdir() if path.is_dir() and path.name.isdigit()]
    return max(steps, key=lambda path: int(path.name), default=None)


def _edit_checkpoint(edit: Callable[[Path], object], name: str, folder: Path) -> None:
    """Edit a file or a folder of the newest checkpoint."""
    newest = newest_checkpoint(folder)
    if newest is not None and (name == "." or (newest / name).exists()):
        edit(newest / name)


def _edit_checkpoint_json(name: str, path: tuple[Any, ...], text: str | None, folder: Path) -> None:
    newest = newest_checkpoint(folder)
    if newest is not None and (newest / name).is_file():
        replace_json_value(newest / name, path, text)


CHECKPOINT_FILES = (
    "data/process_0-of-1.json",
    "trainer_state/metadata",
    "state/arrays.safetensors",
    "_CHECKPOINT_METADATA",
)
CHECKPOINT_JSON: dict[str, tuple[tuple[str, ...], ...]] = {
    "data/process_0-of-1.json": (("next_index",),),
    "trainer_state/metadata": (
        ("step",),
        ("best_step",),
        ("best_value",),
        ("best_results",),
        ("validations_since_best",),
        ("skipped_steps",),
        ("seconds",),
        ("core_seconds",),
        ("finished",),
    ),
    "_CHECKPOINT_METADATA": (("item_handlers",), ("init_timestamp_nsecs",)),
}
"""The keys of the JSON files of a checkpoint."""


def _extra_checkpoint(name: str, edit: Callable[[Path], object], folder: Path) -> None:
    """Add an entry to the folder of the checkpoints."""
    if (folder / "checkpoints").is_dir():
        edit(folder / "checkpoints" / name)


def checkpoint_mutations() -> list[Mutation]:
    """Mutations of the newest checkpoint of a run, which only ``train --resume`` reads."""
    mutations = [
        Mutation(f"checkpoint: {name} {label}", partial(_edit_checkpoint, edit, name))
        for name in CHECKPOINT_FILES
        for label, edit in FILE_EDITS.items()
    ]
    mutations += [
        Mutation(f"checkpoint: no {name}", partial(_edit_checkpoint, _remove, name))
        for name in ("data", "state", "trainer_state", "commit_success.txt")
    ]
    mutations += [
        Mutation(
            f"checkpoint: {name}: {'.'.join(path)} {label}",
            partial(_edit_checkpoint_json, name, path, text),
        )
        for name, paths in CHECKPOINT_JSON.items()
        for path in paths
        for label, text in {"missing": None, **VALUES}.items()
    ]
    mutations += [
        Mutation(
            f"checkpoint: header {label}",
            partial(_edit_checkpoint, partial(edit_header, edit, "arrays.safetensors"), "state"),
        )
        for label, edit in HEADER_EDITS.items()
    ]
    mutations += [
        Mutation(
            "checkpoint: an empty folder 1000", partial(_extra_checkpoint, "1000", Path.mkdir)
        ),
        Mutation("checkpoint: a file 1000", partial(_extra_checkpoint, "1000", Path.touch)),
        Mutation("checkpoint: a FIFO 1000", partial(_extra_checkpoint, "1000", os.mkfifo)),
        Mutation("checkpoint: a folder -5", partial(_extra_checkpoint, "-5", Path.mkdir)),
        Mutation("checkpoint: a folder x", partial(_extra_checkpoint, "x", Path.mkdir)),
        Mutation(
            "checkpoint: a folder 9e30", partial(_extra_checkpoint, "9" + "0" * 30, Path.mkdir)
        ),
        Mutation(
            "checkpoint: a dangling link 1000",
            partial(_extra_checkpoint, "1000", partial(_replaced_by_link, "nowhere")),
        ),
        *(
            Mutation(f"checkpoints {label}", partial(_edit_whole, "checkpoints", FILE_EDITS[label]))
            for label in ("a FIFO", "a device", "a dangling link", "a link to itself")
        ),
    ]
    return mutations


# --- all ---


def _edit_whole(name: str, edit: Callable[[Path], object], folder: Path) -> None:
    path = folder / name
    if path.exists():
        edit(path)
        seal(folder)


def array_mutations(kind: Kind) -> list[Mutation]:
    """Mutations of Arrow, Parquet and safetensors files that keep the format readable."""
    mutations = [
        Mutation(f"items.parquet: {label}", partial(edit_items, edit))
        for label, edit in ITEM_EDITS.items()
    ]
    if kind == "dataset":
        mutations += [
            Mutation(f"sequences.arrow: {label}", partial(edit_batch, edit, "sequences.arrow"))
            for label, edit in SEQUENCE_EDITS.items()
        ]
        mutations += [
            Mutation(f"sequences.arrow: {label}", partial(edit, "sequences.arrow"))
            for label, edit in OFFSET_EDITS.items()
        ]
        mutations += [
            Mutation("sequences.arrow: lz4", partial(_compressed, "lz4")),
            Mutation("sequences.arrow: zstd", partial(_compressed, "zstd")),
            Mutation("sequences.arrow: two batches", _two_batches),
            Mutation("sequences.arrow: no batch", _no_batch),
        ]
        return mutations
    for name in ("weights.safetensors", *(f"ensemble/{name}.safetensors" for name in MEMBERS)):
        mutations += [
            Mutation(f"{name}: {label}", partial(edit_header, edit, name))
            for label, edit in HEADER_EDITS.items()
        ]
        mutations += [
            Mutation(f"{name}: header of {size:,} bytes", partial(_header_size, size, name))
            for size in (0, 1, 2**40, 2**63)
        ]
        mutations += [Mutation(f"{name}: not finite", partial(_not_finite, name))]
    mutations += [
        Mutation(f"histories.arrow: {label}", partial(edit_batch, edit, "histories.arrow"))
        for label, edit in HISTORY_EDITS.items()
    ]
    mutations += [
        Mutation(f"histories.arrow: {label}", partial(edit, "histories.arrow"))
        for label, edit in HISTORY_OFFSET_EDITS.items()
    ]
    mutations += [
        Mutation(f"ensemble/co-occurrence.safetensors: {label}", partial(_edit_matrix, edit))
        for label, edit in MATRIX_EDITS.items()
    ]
    return mutations


def file_mutations(kind: Kind) -> list[Mutation]:
    """Mutations of every file as a whole."""
    return [
        Mutation(f"{name} {label}", partial(_edit_whole, name, edit))
        for name in (*JSON_FILES[kind], *OTHER_FILES[kind])
        for label, edit in FILE_EDITS.items()
    ] + [
        Mutation(f"{name}: keys twice", partial(_edit_whole, name, duplicate_key))
        for name in JSON_FILES[kind]
    ]


def metrics_mutations() -> list[Mutation]:
    """Mutations of ``metrics.jsonl``."""
    return [
        Mutation(
            f"metrics.jsonl: line {label}{'' if keep else ' alone'}",
            partial(_edit_metrics, text, keep),
        )
        for label, text in METRIC_LINES.items()
        for keep in (True, False)
    ] + [Mutation("metrics.jsonl: many names", _many_names)]


def mutations(kind: Kind, folder: Path) -> list[Mutation]:
    """All named mutations.

    Args:
        folder: a folder of that kind, unedited: its JSON files say which keys there are.
    """
    named = file_mutations(kind) + array_mutations(kind)
    named += [m for name in JSON_FILES[kind] for m in json_mutations(folder, name)]
    return named if kind == "dataset" else named + metrics_mutations() + checkpoint_mutations()


def random_mutation(kind: Kind, folder: Path, seed: int) -> Mutation:
    """A mutation that depends only on the seed and on the unedited folder.

    Either one to three of the named mutations, or random bytes or bits in one of the files.

    Args:
        folder: a folder of that kind, unedited.
    """
    rng = np.random.default_rng([seed, len(kind)])
    if rng.random() < 0.5:
        named = mutations(kind, folder)
        chosen = [named[i] for i in rng.integers(0, len(named), rng.integers(1, 4))]
        return Mutation("; ".join(mutation.name for mutation in chosen), partial(_in_turn, chosen))
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    name = files[rng.integers(len(files))]
    return Mutation(f"{name}: random bytes, seed {seed}", partial(_random_bytes, name, seed))


def _in_turn(chosen: list[Mutation], folder: Path) -> None:
    for mutation in chosen:
        # An earlier edit may have left nothing that this one can edit.
        try:
            mutation.edit(folder)
        except (OSError, ValueError, KeyError, pa.ArrowException):
            continue
    seal(folder)


def _random_bytes(name: str, seed: int, folder: Path) -> None:
    """Flip bits, overwrite, insert or remove bytes at random positions of a file."""
    rng, path = np.random.default_rng(seed), folder / name
    content = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 6)):
        if not content:
            break
        position, action = int(rng.integers(len(content))), rng.integers(4)
        n_bytes = int(rng.integers(1, 9))
        if action == 0:
            content[position] ^= 1 << int(rng.integers(8))
        elif action == 1:
            content[position : position + n_bytes] = rng.bytes(n_bytes)
        elif action == 2:
            content[position:position] = rng.bytes(n_bytes)
        else:
            del content[position : position + n_bytes]
    path.write_bytes(content)
    seal(folder)
