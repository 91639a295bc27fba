"""The weights file of a run: the parameters of a model as safetensors.

Separate from ``checkpoints``, so that serving does not import Orbax.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flax import nnx

from segue.config import ModelConfig
from segue.errors import RunError
from segue.storage.array_files import ArraysMismatchError, write_arrays
from segue.storage.array_header import check_arrays
from segue.storage.arrays import read_arrays
from segue.storage.atomic import replace_file
from segue.storage.reading import Problems


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


def check_size(path: Path, config: ModelConfig) -> None:
    """Compare the sizes of a model with those in its weights, before anything of its size is built.

    Raises:
        RunError: the file is damaged, or the model has more layers or dimensions than it.
    """
    shapes = check_arrays(path, Problems(RunError, "restore the file, or train again"))
    sizes = {"layers": (config.layers, len(shapes))}
    longest = max((length for shape in shapes.values() for length in shape), default=0)
    for name in ("width", "feed_forward"):
        sizes[name] = (getattr(config, name), longest)
    if config.positions == "learned":
        sizes["context"] = (config.context, longest)
    for name, (size, available) in sizes.items():
        if size > available:
            raise RunError(
                f"weights {path} do not belong to this model: model.{name} is {size:,}, too large "
                f"for arrays of the shapes in the file",
                "config.json and weights.safetensors must come from the same run",
            )


def load_weights(path: Path, params: nnx.State) -> nnx.State:
    """Read the parameters of a model from a safetensors file.

    Args:
        path: the file.
        params: a state of the same model; its leaves have the ``shape`` and ``dtype`` of the
            parameters.

    Returns:
        A state of the same structure with the arrays of the file.

    Raises:
        RunError: the file is damaged, has numbers that are not finite, or its names or shapes
            differ from the model's.
    """
    problems = Problems(RunError, "restore the file, or train again")
    try:
        arrays = read_arrays(path, _leaves_by_name(params), problems, finite=True)
    except ArraysMismatchError as error:
        raise RunError(
            f"weights {path} do not belong to this model: {error}",
            "config.json and weights.safetensors must come from the same run",
        ) from None
    return nnx.from_flat_state(
        [(path, leaf.replace(arrays[_name(path)])) for path, leaf in nnx.to_flat_state(params)]
    )


def _name(path: tuple[Any, ...]) -> str:
    """The dotted path of a parameter, such as ``blocks.0.attention.project_in.kernel``."""
    return ".".join(map(str, path))


def _leaves_by_name(params: nnx.State) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in nnx.to_flat_state(params)}
