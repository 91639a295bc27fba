"""Load the model of a run folder: its encoder and ensemble members, with the items."""

from __future__ import annotations

from typing import Any, NamedTuple

from flax import nnx

from segue.config import Config
from segue.dataset import Items
from segue.dataset.items_file import read_items
from segue.features import Features, SequenceVocabulary
from segue.machine import use_compilation_cache
from segue.model import Transformer
from segue.recommender.encoder import Encoder, prompt_layout
from segue.recommender.ensemble import Ensemble
from segue.recommender.stored_members import Members, load_members
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS
from segue.runs.weights import check_size, load_weights
from segue.storage.reading import one_line
from segue.tokens import N_SPECIALS


class LoadedRun(NamedTuple):
    """The parts of a loaded run.

    Attributes:
        ensemble: the encoder and the other members.
        items: the items of the training dataset; the model's catalogue comes first.
        name: name of the run, which says whether the ensemble was left out.
        dataset: ``fingerprint`` and ``path`` of the training dataset.
        always_has_sequence_features: whether training never dropped the sequence features.
        includes_seen: whether items of the history may be recommended by default, as the audit of
            the training dataset recommends. False for runs that did not record it.
    """

    ensemble: Ensemble
    items: Items
    name: str
    dataset: dict[str, Any]
    always_has_sequence_features: bool
    includes_seen: bool


def load_run(folder: RunFolder, *, without_ensemble: bool = False) -> LoadedRun:
    """Load the model of a run folder, as written by ``segue.train``.

    Args:
        folder: the run folder.
        without_ensemble: whether to load the transformer alone, which the name then says.

    Raises:
        RunError: the folder is not a complete run, or a file in it was changed.
    """
    use_compilation_cache()
    folder.verify()
    config, dataset = folder.read_config()
    check_size(folder.weights, config.model)
    items, vocabulary_size = read_items(folder.path, RUN_PROBLEMS), dataset["vocabulary_size"]
    if vocabulary_size > N_SPECIALS + len(items):
        reason = (
            f"it has {len(items):,} items, fewer than the {vocabulary_size - N_SPECIALS:,} of the "
            "catalogue in config.json"
        )
        raise RUN_PROBLEMS.damaged(folder.items, reason)
    vocabulary = _vocabulary(folder, config)
    features = Features.of(items, vocabulary_size, config.model, vocabulary)
    abstract = nnx.eval_shape(
        lambda: Transformer(config.model, vocabulary_size, features.sizes, rngs=nnx.Rngs(0))
    )
    graph, shapes = nnx.split(abstract)
    params = load_weights(folder.weights, shapes)
    encoder = Encoder(graph, params, prompt_layout(config.model, vocabulary_size), features)
    members = Members()
    if not without_ensemble:
        members = load_members(folder, vocabulary_size, is_verified=True)
    is_candidate = items.candidate_mask(vocabulary_size)[:vocabulary_size]
    name = folder.path.name
    return LoadedRun(
        Ensemble(encoder, members.dense, members.sparse, is_candidate, members.encoder_weight),
        items,
        f"{name} (without ensemble)" if without_ensemble else name,
        dataset,
        always_has_sequence_features=not config.training.feature_dropout,
        includes_seen=dataset.get("recommended_seen") == "include",
    )


def _vocabulary(folder: RunFolder, config: Config) -> SequenceVocabulary:
    """The values of the sequence features that the configuration names."""
    values, features = folder.read_sequence_values(), config.model.sequence_features
    if values.keys() != set(features):
        names = ", ".join(values) or "no sequence features"
        reason = f"it has values of {names}, expected {', '.join(features) or 'none'}"
        raise RUN_PROBLEMS.damaged(folder.sequence_values, one_line(reason))
    return SequenceVocabulary({name: values[name] for name in features})
