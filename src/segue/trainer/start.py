"""Beginning or resuming a run: what is checked before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from segue.batches import TrainingBatches
from segue.config import Config, load_config
from segue.dataset import Dataset
from segue.dataset.manifest import ITEMS
from segue.errors import ConfigError, RunError
from segue.features import Features, SequenceVocabulary, check_item_features
from segue.run_folder import FORMAT_VERSION, RunFolder
from segue.runtime import use_compilation_cache
from segue.trainer.advice import check_memory, memory_errors
from segue.trainer.examples import training_batches
from segue.trainer.loop import Trainer
from segue.trainer.progress import Progress
from segue.trainer.signals import stop_signals
from segue.trainer.workload import Workload


def train(
    data: Dataset | str | Path,
    run: str | Path,
    *,
    preset: str | None = None,
    config: Config | str | Path | None = None,
    overrides: dict[str, Any] | list[str] | None = None,
    resume: bool = False,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train a model, and leave a run folder.

    SIGINT and SIGTERM save a checkpoint and end the run early; ``resume`` continues it, as
    it continues one that was killed.

    Args:
        data: a prepared dataset.
        run: the folder to write; must not exist, or be empty, unless ``resume``.
        preset: a name of ``segue.presets()``.
        config: a configuration, or a TOML file with one.
        overrides: keys to change, as ``{"model.layers": 4}`` or ``["model.layers=4"]``.
        resume: continue the run in the folder from its last checkpoint, with the
            configuration that it has.
        watch: called every few steps.

    Returns:
        The run folder.

    Raises:
        DatasetError: the dataset cannot be opened, or was overwritten while the run read it.
        ConfigError: the configuration is wrong, or does not go with the dataset.
        ResourceError: the run would take more memory than there is, and nothing was written; or
            it found none on its way.
        RunError: the folder is in the way, or cannot be resumed, or the run diverged.
        StorageError: something could not be written; the last checkpoint is intact.
    """
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = RunFolder(run)
    if resume:
        chosen = _resumed_config(folder, data, preset, config, overrides)
    else:
        chosen = chosen_config(preset, config, overrides)
    features, batches = inputs(chosen, data)
    work = Workload.of(chosen, data, features, batches)
    check_memory(work)
    use_compilation_cache()
    with folder.held(), stop_signals() as stopped, memory_errors():
        if not resume:
            folder.create()
            _write_config(folder, chosen, data, features.vocabulary)
        Trainer(work, folder, batches, watch).run(stopped)
    return folder.path


def inputs(config: Config, data: Dataset) -> tuple[Features, TrainingBatches]:
    """What a run reads of a dataset.

    Raises:
        ConfigError: the configuration does not go with the dataset.
    """
    _check_goes_with(config, data)
    check_item_features(data.items, config.model.item_features, data.table_size)
    vocabulary = SequenceVocabulary.of(data.sequences, config.model.sequence_features)
    features = Features.of(data.items, data.table_size, config.model, vocabulary)
    return features, training_batches(data, config, vocabulary)


def chosen_config(
    preset: str | None,
    config: Config | str | Path | None,
    overrides: dict[str, Any] | list[str] | None,
) -> Config:
    """The configuration that a caller asks for; see ``train`` for the arguments.

    Raises:
        ConfigError: it is wrong.
    """
    if isinstance(config, Config):
        if preset is not None or overrides:
            raise ConfigError("a finished configuration was given together with changes to it")
        return config
    return load_config(preset, config, overrides)


def _resumed_config(
    folder: RunFolder,
    data: Dataset,
    preset: str | None,
    config: Config | str | Path | None,
    overrides: dict[str, Any] | list[str] | None,
) -> Config:
    if folder.path.is_dir() and folder.is_unbegun():
        raise RunError(
            f"nothing has begun in {folder.path} that could be resumed",
            "begin it without --resume",
        )
    saved, dataset = folder.read_config()
    if dataset["fingerprint"] != data.fingerprint:
        raise RunError(
            f"{folder.path} was trained on another dataset than {data.path}",
            f"give the one it was begun with: {dataset['path']}",
        )
    asked = preset is not None or config is not None or bool(overrides)
    if asked and chosen_config(preset, config, overrides) != saved:
        raise RunError(
            f"{folder.path} was begun with another configuration",
            "resume without options, or begin another run",
        )
    return saved


def _check_goes_with(config: Config, data: Dataset) -> None:
    kind, metric = data.manifest.split.kind, config.training.validation_metric
    if "@" in metric and int(metric.split("@")[1]) > data.n_catalogue:
        raise ConfigError(
            f"{metric} needs more items than the {data.n_catalogue} of the catalogue",
            "set training.validation_metric=mrr",
        )
    if config.loss.in_batch and config.loss.kind == "softmax":
        raise ConfigError(
            "loss.in_batch adds negatives, but loss.kind 'softmax' compares with every item",
            "set loss.in_batch=false, or loss.kind=sampled-softmax",
        )
    if config.model.end and kind != "holdout":
        raise ConfigError(
            f"model.end learns where sequences end, but the split {kind} cuts them before",
            "set model.end=false, or prepare with --split holdout",
        )


def _write_config(
    folder: RunFolder, config: Config, data: Dataset, vocabulary: SequenceVocabulary
) -> None:
    items = (data.path / ITEMS).read_bytes()

    def write_rest() -> None:
        folder.write(folder.items, items)
        if vocabulary.values:
            folder.write_json(folder.sequence_values, dict(vocabulary.values))

    content = {
        "format_version": FORMAT_VERSION,
        "config": config.model_dump(mode="json"),
        "dataset": {
            "name": data.name,
            "path": str(data.path.absolute()),
            "fingerprint": data.fingerprint,
            "table_size": data.table_size,
        },
    }
    folder.begin(content, write_rest)
