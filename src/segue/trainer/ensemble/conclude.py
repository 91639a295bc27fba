"""What follows the last step of a run: its second transformer, its members and their weights."""

from __future__ import annotations

from collections.abc import Callable

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import quantity
from segue.recommender import Encoder, SecondTransformer
from segue.recommender.stored_encoder import load_encoder
from segue.runs import RunFolder
from segue.storage.reading import exists
from segue.trainer.ensemble.fit import fit_ensemble
from segue.trainer.loop import Conclusion, Trainer
from segue.trainer.progress import Progress, message_only
from segue.trainer.recipe import Recipe
from segue.trainer.run_spec import spec_of
from segue.trainer.second import second_config
from segue.trainer.start_files import write_start


def conclude_run(
    config: Config,
    data: Dataset,
    folder: RunFolder,
    watch: Callable[[Progress], None],
    encoder: Encoder,
    is_stopped: Callable[[], bool],
) -> Conclusion | None:
    """Train the second transformer, fit the members and all weights, and write them.

    Args:
        config: the configuration of the run.
        data: the dataset.
        folder: the run folder.
        watch: a function that is called with the progress.
        encoder: the first transformer with its best weights.
        is_stopped: whether to stop.

    Returns:
        The ensemble for the card, or None if it was stopped; it continues where it was when it is
        called again.
    """
    if is_stopped():
        return None
    second, earlier_s = None, 0.0
    if config.ensemble.has_second:
        trainer = _second_trainer(config, data, folder.second, watch)
        earlier_s = trainer.trainer_state.core_seconds
        trainer.run(is_stopped)
        if folder.second.read_finished_card() is None:
            return None
        encoder_of_second = load_encoder(folder.second).encoder
        features = ", ".join(encoder_of_second.vocabulary.values)
        parameters = {"context": encoder_of_second.layout.context, "sequence_features": features}
        second = SecondTransformer(encoder_of_second, 1.0, parameters)
    ensemble = fit_ensemble(
        config, data, folder, encoder, second, lambda line: watch(message_only(line)), is_stopped
    )
    return None if ensemble is None else Conclusion(ensemble, earlier_s)


def _second_trainer(
    config: Config, data: Dataset, folder: RunFolder, watch: Callable[[Progress], None]
) -> Trainer:
    """The trainer of the second transformer, at the last checkpoint if there is one."""
    spec, batches = spec_of(second_config(config, data), data)
    if not exists(folder.config):
        folder.create()
        write_start(folder, Recipe(spec.config, ()), spec)
    trainer = Trainer(spec, folder, batches, watch)
    if not trainer.trainer_state.finished:
        steps = quantity(spec.total_steps, "step")
        watch(message_only(f"training the second transformer, {steps}"))
    return trainer
