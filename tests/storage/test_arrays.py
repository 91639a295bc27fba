"""Arrays in safetensors files: round trips, refused files, and memory use."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from segue.errors import StorageError
from segue.storage import arrays as arrays_module
from segue.storage.array_files import ArraysMismatchError, ArrayType, read_host_arrays, write_arrays
from segue.storage.arrays import read_arrays
from segue.storage.reading import Problems

PROBLEMS = Problems(StorageError, "restore the file")

ARRAYS = {
    "weights": np.arange(12, dtype=np.float32).reshape(4, 3),
    "bfloat16": np.asarray(jnp.linspace(0, 1, 6, dtype=jnp.bfloat16)).reshape(3, 2),
    "count": np.array(7, np.int32),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, ARRAYS, {"step": "3"})
    return path


def test_round_trip_keeps_names_dtypes_and_values(file: Path) -> None:
    arrays = read_arrays(file, ARRAYS, PROBLEMS)
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(np.asarray(arrays[name]), array)


def test_host_arrays_keep_64_bits_and_may_be_required_finite(tmp_path: Path) -> None:
    arrays = {"counts": np.array([2**40, -1]), "divisors": np.array([1 / 3, np.nan])}
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, arrays)
    like = {name: ArrayType(array.shape, array.dtype) for name, array in arrays.items()}
    for name, array in read_host_arrays(path, like, PROBLEMS).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(StorageError, match="array 'divisors': it has numbers that are not finite"):
        read_host_arrays(path, like, PROBLEMS, finite=True)


def test_safetensors_reads_the_same_arrays(file: Path) -> None:
    arrays = load_file(file)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_arrays_of_one_dtype_give_the_bytes_of_safetensors(tmp_path: Path) -> None:
    arrays = {name: np.full((2, i), i, np.float32) for i, name in enumerate("zöa")}
    write_arrays(tmp_path / "file", arrays, {"step": "3"})
    assert (tmp_path / "file").read_bytes() == save(arrays, {"step": "3"})


@given(st.integers(1, 12), st.integers(1, 2), st.sampled_from([1, 8, 24, 40, 999]))
def test_array_is_the_same_for_any_block_size(rows: int, width: int, block: int) -> None:
    array = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    like = {"array": array, "before": jax.ShapeDtypeStruct((3,), jnp.float32)}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays_module, "BLOCK_BYTES", block)
        file = Path(folder) / "arrays.safetensors"
        write_arrays(file, {"before": np.ones(3, np.float32), "array": array})
        np.testing.assert_array_equal(read_arrays(file, like, PROBLEMS)["array"], array)


def test_jax_owns_the_memory_of_arrays(file: Path) -> None:
    """JAX would copy memory that numpy owns at the first in-place update."""
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    for array in read_arrays(file, {**ARRAYS}, PROBLEMS).values():
        if array.dtype == jnp.float32 and array.size:
            address = array.unsafe_buffer_pointer()
            assert add(array).unsafe_buffer_pointer() == address


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        (
            "weights",
            np.zeros((3, 4), np.float32),
            r"'weights' has the dtype and shape .*\[4, 3\].*expected .*\[3, 4\]",
        ),
        ("weights", np.zeros((4, 3), np.int32), "'F32'.*expected.*'I32'"),
        ("more", np.zeros(3), "'more' is missing from the file"),
    ],
)
def test_unexpected_arrays_are_refused(
    file: Path, name: str, like: np.ndarray, message: str
) -> None:
    with pytest.raises(ArraysMismatchError, match=message):
        read_arrays(file, {**ARRAYS, name: like}, PROBLEMS)


def test_additional_array_is_refused(file: Path) -> None:
    with pytest.raises(ArraysMismatchError, match="'count' is in the file, but not expected"):
        read_arrays(file, {name: ARRAYS[name] for name in ARRAYS if name != "count"}, PROBLEMS)


@pytest.mark.parametrize("size", [0, 4, 60, -1])
def test_truncated_file_is_refused(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StorageError, match=r"arrays.safetensors is damaged: .*\w"):
        read_arrays(file, ARRAYS, PROBLEMS)


def test_missing_file_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        read_arrays(tmp_path / "none", ARRAYS, PROBLEMS)
    with pytest.raises(OSError, match="No such file"):
        write_arrays(tmp_path / "none" / "file", ARRAYS)


@pytest.mark.slow
def test_no_second_copy_of_an_array(tmp_path: Path) -> None:
    code = f"""
        import json, resource
        from pathlib import Path
        import jax, jax.numpy as jnp
        from segue.errors import StorageError
        from segue.storage.array_files import write_arrays
        from segue.storage.arrays import read_arrays
        from segue.storage.reading import Problems

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

        path = Path({str(tmp_path / "big")!r})
        like = jax.ShapeDtypeStruct((4_000_000, 64), "float32")
        array = jnp.full(like.shape, 0.5).block_until_ready()
        before_writing = peak()
        write_arrays(path, {{"big": array}})
        before_reading = peak()
        del array
        read_arrays(path, {{"big": like}}, Problems(StorageError, "restore it"))
        to_write, to_read = before_reading - before_writing, peak() - before_reading
        print(json.dumps([like.size * 4, to_write, to_read]))
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    size, to_write, to_read = json.loads(process.stdout)
    assert to_write < size / 10
    assert to_read < size / 5
