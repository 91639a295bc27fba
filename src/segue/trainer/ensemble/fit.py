"""Fit the members of a run's ensemble and their weights, and write them to the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from segue.baselines.head_ranker import HeadRanker
from segue.baselines.item_item import ItemItemRanker
from segue.config import Config
from segue.config.training import MemberName
from segue.dataset import Dataset
from segue.errors import quantity
from segue.evaluation.tuning import tune
from segue.recommender import (
    Encoder,
    Ensemble,
    ItemBias,
    PureSVD,
    SecondTransformer,
    SparseMember,
    write_members,
)
from segue.recommender.single_members import TIE_BREAKER
from segue.recommender.stored_members import Member
from segue.runs import RunFolder
from segue.trainer.ensemble.calibration import calibrate
from segue.trainer.ensemble.candidates import CONTINUATION, NEXT_ITEM, score_candidates
from segue.trainer.ensemble.requests import fitting_requests
from segue.trainer.ensemble.weights import Mixture, choose_mixture
from segue.trainer.singular_vectors import puresvd_member

TRANSFORMER = "transformer"
SCALE = 1e-3
"""The share of a request's scores at which the bonus of a count-based member is w log 2."""
USUAL_TRANSFORMER, USUAL_SPARSE, USUAL_PURESVD = 0.6, 0.8, 4.0
"""Weights that fit most logs: of all transformers together, of all count-based members together,
and of PureSVD, per cosine."""
PURESVD_FACTORS = 512
NEIGHBOURS = 200
"""Weights kept per item of the history of a linear model, those of largest magnitude."""
MEMBER_TUNING_REQUESTS = 2_000
"""Validation requests on which a set of parameters is tried."""


def fit_ensemble(
    config: Config,
    data: Dataset,
    folder: RunFolder,
    encoder: Encoder,
    second: SecondTransformer | None = None,
    report: Callable[[str], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Fit the members on the training events and the weights on the validation part.

    Everything follows from the configuration, the dataset and the transformer, so that fitting
    again after an interruption ends with the same files.

    Args:
        config: the configuration; ``ensemble.members`` names the members.
        data: the dataset.
        folder: the run folder.
        encoder: the transformer with its best weights.
        second: the second transformer, if there is one.
        report: a function that is called with a line per member.
        is_stopped: called before each member; if it returns true, nothing is written.

    Returns:
        None if it was stopped, else the ``ensemble`` object of the card: the chosen combination,
        the weights, the NDCG@10 of every combination on held-out halves of the requests, and the
        calibration of the probabilities.

    Raises:
        StorageError: the members cannot be written.
    """
    seed = config.training.seed
    continuation = data.split_rule.whole_sequences and config.training.horizon > 1
    requests = fitting_requests(data, seed, continuation=continuation)
    if requests is None:
        write_members(folder, [])
        return {"choice": TRANSFORMER, "why": "there are no validation targets to fit weights on"}
    members: list[Member] = [] if second is None else [second]
    for name in config.ensemble.members:
        if is_stopped():
            return None
        report(f"fitting {name}")
        members.append(_fit_member(name, data, config, continuation=continuation))
    counts = data.items.training_counts[: data.vocabulary_size].astype(np.int64)
    members.append(ItemBias.of_popularity(counts, 1.0))
    if is_stopped():
        return None
    transformer = Ensemble(encoder, is_candidate=data.is_candidate[: data.vocabulary_size])
    n_best = CONTINUATION if continuation else NEXT_ITEM
    candidates = score_candidates(transformer, members, requests, n_best)
    names = [TRANSFORMER, *(member.name for member in members)]
    # A second transformer has no scores for users that it does not know.
    not_alone = () if second is None else (second.name,)
    mixture = choose_mixture(candidates, names, _usual_weights(members), seed, not_alone)
    kept, encoder_weight = _kept(members, mixture)
    ensemble = Ensemble(
        encoder,
        [member for member in kept if not isinstance(member, SparseMember)],
        [member for member in kept if isinstance(member, SparseMember)],
        transformer.is_candidate,
        encoder_weight,
    )
    calibration = calibrate(ensemble, requests, seed)
    write_members(folder, kept, encoder_weight)
    weights = dict(zip(names, mixture.weights.tolist(), strict=True))
    values = {name: round(value, 6) for name, value in mixture.values.items()}
    report(_summary(mixture, names, len(requests)))
    return {
        "choice": mixture.choice,
        "weights": weights,
        "held_out_ndcg@10": values,
        "requests": len(requests),
        "calibration": calibration,
    }


def _usual_weights(members: list[Member]) -> Float64[np.ndarray, " members"]:
    """The weights of the transformer and of the members that fit most logs."""
    n_sparse = sum(isinstance(member, SparseMember) for member in members)
    n_transformers = 1 + sum(isinstance(member, SecondTransformer) for member in members)
    usual = [USUAL_TRANSFORMER / n_transformers]
    for member in members:
        if isinstance(member, SparseMember):
            usual.append(USUAL_SPARSE / n_sparse)
        elif isinstance(member, SecondTransformer):
            usual.append(USUAL_TRANSFORMER / n_transformers)
        else:
            usual.append(USUAL_PURESVD if isinstance(member, PureSVD) else 0.0)
    return np.array(usual)


def _summary(mixture: Mixture, names: list[str], n_requests: int) -> str:
    requests = quantity(n_requests, "validation request")
    if not mixture.values:
        return f"ensemble: {mixture.choice}; {requests} are too few to compare them"
    alone = [name for name in names if name in mixture.values]
    best = max(alone, key=lambda name: mixture.values[name])
    return (
        f"ensemble: {mixture.choice}, ndcg@10 {mixture.values[mixture.choice]:.4f} on held-out "
        f"halves of {requests}; the best alone, {best}, {mixture.values[best]:.4f}"
    )


def _fit_member(name: MemberName, data: Dataset, config: Config, *, continuation: bool) -> Member:
    """Tune a model on the validation part and fit it on the training events."""
    seed = config.training.seed
    if name == "puresvd":
        return puresvd_member(data, min(PURESVD_FACTORS, data.n_catalogue), 1.0, seed)
    tuned = tune(
        name,
        data,
        trials=config.ensemble.trials,
        seed=seed,
        max_requests=MEMBER_TUNING_REQUESTS,
        max_fit_s=config.ensemble.max_fit_s,
        request_times=False,  # a served history is a list of items
        metric="r_precision" if continuation else "ndcg@10",
    )
    ranker = tuned.ranker
    if isinstance(ranker, HeadRanker):
        ranker = ranker.truncated(NEIGHBOURS, signed=True)
    assert isinstance(ranker, ItemItemRanker)
    return SparseMember(ranker, 1.0, SCALE, tuned.params)


def _kept(members: list[Member], mixture: Mixture) -> tuple[list[Member], float]:
    """The members that have a weight, and the weight of the transformer.

    Where nothing else scores all items, a popularity of no weight still orders ties.
    """
    encoder_weight, weights = float(mixture.weights[0]), mixture.weights[1:]
    kept = [_weighted(m, w) for m, w in zip(members, weights.tolist(), strict=True) if w > 0]
    if encoder_weight == 0 and not any(isinstance(member, ItemBias) for member in kept):
        kept.append(_weighted(members[-1], TIE_BREAKER))
    return kept, encoder_weight


def _weighted(member: Member, weight: float) -> Member:
    return replace(member, weight=weight)
