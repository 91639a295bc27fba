"""The files of a run that exist before its first step."""

from __future__ import annotations

from segue.dataset.manifest import ITEMS
from segue.runs.folder import FORMAT_VERSION, RunFolder
from segue.trainer.recipe import Recipe
from segue.trainer.run_spec import RunSpec


def write_start(folder: RunFolder, recipe: Recipe, spec: RunSpec) -> None:
    """Write the configuration, the items and the values of the sequence features.

    Args:
        folder: a new run folder.
        recipe: the configuration and its reasons.
        spec: the run that follows from it.

    Raises:
        StorageError: no space or no permission; nothing is left in the folder.
    """
    data, vocabulary = spec.data, spec.features.vocabulary
    items = (data.path / ITEMS).read_bytes()

    def write_rest() -> None:
        folder.write(folder.items, items)
        if vocabulary.values:
            folder.write_json(folder.sequence_values, dict(vocabulary.values))

    content = {
        "format_version": FORMAT_VERSION,
        "config": recipe.config.model_dump(mode="json"),
        "reasons": list(recipe.reasons),
        "dataset": {
            "name": data.name,
            "path": str(data.path.absolute()),
            "fingerprint": data.fingerprint,
            "vocabulary_size": data.vocabulary_size,
            # Evaluation and recommendations of the run follow it without the dataset.
            "recommended_seen": "include" if data.default_seen == "include" else "exclude",
        },
    }
    folder.write_config(content, write_rest)
