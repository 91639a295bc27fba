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

from segue import tensors
from segue.tensors import OtherArraysError, read_tensors, write_tensors

ARRAYS = {
    "weights": np.arange(12, dtype=np.float32).reshape(4, 3),
    "halves": np.asarray(jnp.linspace(0, 1, 6, dtype=jnp.bfloat16)).reshape(3, 2),
    "count": np.array(7, np.int32),
    "mask": np.array([True, False, True]),
    "nothing": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arrays.safetensors"
    write_tensors(path, ARRAYS, {"step": "3"})
    return path


def test_what_is_written_is_read_with_its_type_and_shape(file: Path) -> None:
    found = read_tensors(file, ARRAYS)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(np.asarray(found[name]), array)


def test_the_library_reads_the_same(file: Path) -> None:
    found = load_file(file)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_arrays_of_one_type_give_the_bytes_that_the_library_gives(tmp_path: Path) -> None:
    arrays = {name: np.full((2, i), i, np.float32) for i, name in enumerate("zöa")}
    write_tensors(tmp_path / "file", arrays, {"step": "3"})
    assert (tmp_path / "file").read_bytes() == save(arrays, {"step": "3"})


@given(st.integers(1, 12), st.integers(1, 2), st.sampled_from([1, 8, 24, 40, 999]))
def test_blocks_of_any_size_make_up_the_array(rows: int, width: int, block: int) -> None:
    array = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    like = {"array": array, "before": jax.ShapeDtypeStruct((3,), jnp.float32)}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "BLOCK_BYTES", block)
        file = Path(folder) / "arrays.safetensors"
        write_tensors(file, {"before": np.ones(3, np.float32), "array": array})
        np.testing.assert_array_equal(read_tensors(file, like)["array"], array)


def test_what_is_read_is_jax_own(file: Path) -> None:
    """Memory of numpy's would be copied by the first step that writes in place."""
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    for array in read_tensors(file, {**ARRAYS}).values():
        if array.dtype == jnp.float32 and array.size:
            place = array.unsafe_buffer_pointer()
            assert add(array).unsafe_buffer_pointer() == place


@pytest.mark.parametrize(
    ("name", "like", "said"),
    [
        ("weights", np.zeros((3, 4), np.float32), "another shape"),
        ("weights", np.zeros((4, 3), np.int32), "'F32'.*expected.*'I32'"),
        ("more", np.zeros(3), "'more' is missing"),
    ],
)
def test_other_arrays_are_refused(file: Path, name: str, like: np.ndarray, said: str) -> None:
    with pytest.raises(OtherArraysError, match=said):
        read_tensors(file, {**ARRAYS, name: like})


def test_an_array_too_many_is_refused(file: Path) -> None:
    with pytest.raises(OtherArraysError, match="'count'"):
        read_tensors(file, {name: ARRAYS[name] for name in ARRAYS if name != "count"})


@pytest.mark.parametrize("cut", [0, 4, 60, -1])
def test_a_file_that_was_cut_is_refused(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"\w"):
        read_tensors(file, ARRAYS)


def test_no_file_and_no_space(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_tensors(tmp_path / "none", ARRAYS)
    with pytest.raises(OSError, match="No such file"):
        write_tensors(tmp_path / "none" / "file", ARRAYS)


@pytest.mark.slow
def test_no_copy_of_an_array_is_held(tmp_path: Path) -> None:
    code = f"""
        import json, resource
        from pathlib import Path
        import jax, jax.numpy as jnp
        from segue.tensors import read_tensors, write_tensors

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

        path = Path({str(tmp_path / "big")!r})
        like = jax.ShapeDtypeStruct((4_000_000, 64), "float32")
        array = jnp.full(like.shape, 0.5).block_until_ready()
        with_one = peak()
        write_tensors(path, {{"big": array}})
        written = peak()
        del array
        read_tensors(path, {{"big": like}})
        print(json.dumps([like.size * 4, written - with_one, peak() - written]))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    size, to_write, to_read = json.loads(ended.stdout)
    assert to_write < size / 10
    assert to_read < size / 5
