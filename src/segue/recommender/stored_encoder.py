"""Read the transformer of a run folder, with the items and the dataset that it belongs to."""

from __future__ import annotations

from typing import Any, NamedTuple

from flax import nnx

from segue.config import Config
from segue.dataset import Items
from segue.dataset.items_file import read_items
from segue.features import Features, SequenceVocabulary
from segue.model import Transformer
from segue.recommender.encoder import Encoder, prompt_layout
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS
from segue.runs.weights import check_size, load_weights
from segue.storage.reading import one_line
from segue.tokens import N_SPECIALS


class StoredEncoder(NamedTuple):
    """The transformer of a run.

    Attributes:
        encoder: the transformer with its best weights.
        items: the items of the training dataset; the model's catalogue comes first.
        config: the configuration of the run.
        dataset: ``fingerprint`` and ``path`` of the training dataset.
    """

    encoder: Encoder
    items: Items
    config: Config
    dataset: dict[str, Any]


def load_encoder(folder: RunFolder) -> StoredEncoder:
    """Read the transformer of a run folder, whose checksums were compared.

    Raises:
        RunError: the folder is not a complete run, or is damaged.
    """
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
    return StoredEncoder(encoder, items, config, dataset)


def _vocabulary(folder: RunFolder, config: Config) -> SequenceVocabulary:
    """The values of the sequence features that the configuration names."""
    values, features = folder.read_sequence_values(), config.model.sequence_features
    if values.keys() != set(features):
        names = ", ".join(values) or "no sequence features"
        reason = f"it has values of {names}, expected {', '.join(features) or 'none'}"
        raise RUN_PROBLEMS.damaged(folder.sequence_values, one_line(reason))
    return SequenceVocabulary({name: values[name] for name in features})
