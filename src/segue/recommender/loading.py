"""Load the model of a run folder: its encoder and ensemble members, with the items."""

from __future__ import annotations

from typing import Any, NamedTuple

from segue.dataset import Items
from segue.machine import use_compilation_cache
from segue.recommender.ensemble import Ensemble
from segue.recommender.stored_encoder import load_encoder
from segue.recommender.stored_members import Members, load_members
from segue.runs import RunFolder
from segue.runs.checksums import fingerprint_of


class LoadedRun(NamedTuple):
    """The parts of a loaded run.

    Attributes:
        ensemble: the encoder and the other members.
        items: the items of the training dataset; the model's catalogue comes first.
        name: name of the run, which says whether the ensemble was left out.
        dataset: ``fingerprint``, ``path`` and ``vocabulary_size`` of the training dataset.
        always_has_sequence_features: whether training never dropped the sequence features.
        items_checksum: that of ``items.parquet``.
        includes_seen: whether items of the history may be recommended by default, as the audit of
            the training dataset recommends. False for runs that did not record it.
        temperature: of the next-item probabilities; None if it was not fitted for this model.
        fingerprint: of the checksums of all files that the model is loaded from.
    """

    ensemble: Ensemble
    items: Items
    name: str
    dataset: dict[str, Any]
    always_has_sequence_features: bool
    items_checksum: str
    includes_seen: bool
    temperature: float | None
    fingerprint: str


def load_run(folder: RunFolder, *, without_ensemble: bool = False) -> LoadedRun:
    """Load the model of a run folder, as written by ``segue.train``.

    Args:
        folder: the run folder.
        without_ensemble: whether to load the transformer alone, which the name then says.

    Raises:
        RunError: the folder is not a complete run, or a file in it was changed.
    """
    use_compilation_cache()
    card = folder.verify()
    encoder, items, config, dataset = load_encoder(folder)
    vocabulary_size = encoder.layout.vocabulary_size
    reads_features = bool(encoder.vocabulary.values)
    members = Members()
    if not without_ensemble:
        members = load_members(folder, vocabulary_size, is_verified=True)
    is_candidate = items.candidate_mask(vocabulary_size)[:vocabulary_size]
    name = folder.path.name
    return LoadedRun(
        Ensemble(
            encoder,
            members.dense,
            members.sparse,
            is_candidate,
            members.encoder_weight,
            items.training_counts[:vocabulary_size],
        ),
        items,
        f"{name} (without ensemble)" if without_ensemble else name,
        dataset,
        always_has_sequence_features=reads_features and not config.training.feature_dropout,
        items_checksum=card["checksums"][folder.items.name],
        includes_seen=dataset.get("recommended_seen") == "include",
        temperature=_temperature(
            card, is_whole=not (without_ensemble and folder.ensemble.exists())
        ),
        fingerprint=fingerprint_of(card["checksums"]),
    )


def _temperature(card: dict[str, Any], *, is_whole: bool) -> float | None:
    """The temperature in the card of a run, which is that of the whole ensemble."""
    calibration = card["ensemble"].get("calibration")
    return calibration["temperature"] if calibration and is_whole else None
