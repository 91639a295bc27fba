"""The weights file of a run: the parameters of a model as safetensors.

Separate from ``checkpoints``, so that serving does not import Orbax.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from segue.bfloat16 import largest_value
from segue.errors import NotFiniteError, RunError
from segue.storage.arrays import ArraysMismatchError, read_arrays, write_arrays
from segue.storage.atomic import replace_file


def write_weights(path: Path, params: nnx.State, step: int) -> None:
    """Write the parameters of a model as a safetensors file, atomically.

    The same parameters and step always give the same bytes.

    Args:
        path: the file.
        params: the parameters.
        step: number of steps taken, written to the file's metadata.

    Raises:
        StorageError: no space or no permission; an existing file is left unchanged.
    """
    arrays = {name: leaf[...] for name, leaf in _leaves_by_name(params).items()}
    replace_file(path, lambda partial: write_arrays(partial, arrays, {"step": str(step)}))


def load_weights(path: Path, params: nnx.State) -> nnx.State:
    """Read the parameters of a model from a safetensors file.

    Args:
        path: the file.
        params: a state of the same model; its leaves have the ``shape`` and ``dtype`` of the
            parameters.

    Returns:
        A state of the same structure with the arrays of the file.

    Raises:
        RunError: the file is damaged, its names or shapes differ from the model's, or a weight is
            not finite.
    """
    try:
        arrays = read_arrays(path, _leaves_by_name(params))
    except ArraysMismatchError as error:
        raise RunError(
            f"weights {path} do not belong to this model: {error}",
            "config.json and weights.safetensors must come from the same run",
        ) from None
    except (OSError, ValueError) as error:
        message = f"cannot read weights {path}: {_first_line(error)}"
        raise RunError(message, "restore the file, or train again") from None
    check_finite(path, arrays)
    return nnx.from_flat_state(
        [(path, leaf.replace(arrays[_name(path)])) for path, leaf in nnx.to_flat_state(params)]
    )


def check_finite(path: Path, arrays: Mapping[str, Any]) -> None:
    """Check that every number of a file of arrays is finite.

    Args:
        path: the file, for the message.
        arrays: its arrays by name, in float32 or as in ``segue.bfloat16``.

    Raises:
        NotFiniteError: names the first array with a number that is not.
    """
    for name, array in arrays.items():
        if not math.isfinite(float(largest_value(array))):
            raise NotFiniteError(
                f"array {name!r} of {path} has numbers that are not finite",
                "the training diverged or the file was altered: train again, with a lower "
                "optimizer.learning_rate",
            )


def _name(path: tuple[Any, ...]) -> str:
    """The dotted path of a parameter, such as ``blocks.0.attention.project_in.kernel``."""
    return ".".join(map(str, path))


def _leaves_by_name(params: nnx.State) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in nnx.to_flat_state(params)}


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
