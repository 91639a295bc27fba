"""Mixture weights of ensemble members by maximum likelihood, judged by NDCG on held-out halves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.optimize import minimize

from segue.metrics.next_item import ndcg

N_SPLITS = 4
"""Random splits of the requests into two halves; each half is judged once with weights from the
other one."""
SHRINKAGE = 1.0
"""L2 penalty of the differences from the usual weights, in nats over all requests: it matters only
where these are few."""
NDCG_AT = 10
MIN_REQUESTS = 50
"""With requests of fewer sequences all members are kept: halves would be too small to compare."""
ALL_MEMBERS = "all members"
_MASKED = -1e9


@dataclass(frozen=True)
class Candidates:
    """Scores of the members for the best items of each of them, and for the target.

    Attributes:
        scores: (members, requests, items); for each request the same items of every member.
        is_item: false for entries that only fill up a row.
        target: the column of the target of each request.
        is_reached: whether the target is among the best items of a member. If not, it was added,
            and says nothing about the weights: all others were chosen for their scores.
        sequences: the sequence of each request; those of one are judged together.
    """

    scores: Float32[np.ndarray, "members requests items"]
    is_item: Bool[np.ndarray, "requests items"]
    target: Int64[np.ndarray, " requests"]
    is_reached: Bool[np.ndarray, " requests"]
    sequences: Int64[np.ndarray, " requests"]

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, rows: Int64[np.ndarray, " rows"]) -> Candidates:
        """The given requests."""
        return Candidates(
            self.scores[:, rows],
            self.is_item[rows],
            self.target[rows],
            self.is_reached[rows],
            self.sequences[rows],
        )

    def mixed(self, weights: Float64[np.ndarray, " members"]) -> Float64[np.ndarray, "rows items"]:
        """The weighted sums of the scores; a very low number where there is no item."""
        sums = np.tensordot(weights, self.scores, axes=1)
        return np.where(self.is_item, sums, _MASKED)

    def ndcg(self, weights: Float64[np.ndarray, " members"]) -> Float64[np.ndarray, " requests"]:
        """NDCG@10 of each request, with the target's rank among the items here."""
        sums = self.mixed(weights)
        targets = sums[np.arange(len(self)), self.target][:, None]
        higher, tied = (sums > targets).sum(axis=1), (sums == targets).sum(axis=1)
        return ndcg(higher + (tied + 2) // 2, NDCG_AT)


class Mixture(NamedTuple):
    """The chosen weights, and the values by which they were chosen.

    Attributes:
        weights: one per member, 0 or more.
        choice: the name of the chosen combination.
        values: by combination, its mean NDCG@10 over the judged halves; empty if there were too
            few requests to judge.
    """

    weights: Float64[np.ndarray, " members"]
    choice: str
    values: dict[str, float]


def maximum_likelihood(
    candidates: Candidates,
    is_free: Bool[np.ndarray, " members"],
    usual: Float64[np.ndarray, " members"],
) -> Float64[np.ndarray, " members"]:
    """The weights, 0 or more, under which the targets are most likely, shrunk to usual ones.

    The probability of an item is the softmax of its mixed score over the items of the request: a
    conditional logit model, whose likelihood is concave in the weights. It is that of the targets
    that are reached, given that they are.

    Source: McFadden, Conditional logit analysis of qualitative choice behavior, 1974.

    Args:
        candidates: the scores.
        is_free: which weights are fitted; the rest are 0.
        usual: the weights without any request.
    """
    candidates = candidates.rows(np.flatnonzero(candidates.is_reached))
    scores = candidates.scores[is_free].astype(np.float64)
    scores[:, ~candidates.is_item] = 0
    flat = scores.reshape(len(scores), -1)
    rows = np.arange(len(candidates))
    target_sums = scores[:, rows, candidates.target].sum(axis=1)
    start = usual[is_free]

    def negative(weights: np.ndarray) -> tuple[float, np.ndarray]:
        sums = np.where(candidates.is_item, (weights @ flat).reshape(scores.shape[1:]), _MASKED)
        largest = sums.max(axis=1, keepdims=True)
        powers = np.exp(sums - largest)
        normalisers = powers.sum(axis=1, keepdims=True)
        log_normaliser = float((np.log(normalisers) + largest).sum())
        expected = flat @ (powers / normalisers).ravel()
        shift = weights - start
        value = log_normaliser - weights @ target_sums + SHRINKAGE * shift @ shift
        return float(value), expected - target_sums + 2 * SHRINKAGE * shift

    bounds = [(0.0, None)] * len(scores)
    fitted = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = np.zeros(len(is_free))
    weights[is_free] = fitted.x
    return weights


def choose_mixture(
    candidates: Candidates,
    names: list[str],
    usual: Float64[np.ndarray, " members"],
    seed: int = 0,
    not_alone: Collection[str] = (),
) -> Mixture:
    """Choose between each member alone, all members, and all but the first, by held-out NDCG@10.

    Weights are fitted on one half of the requests and judged on the other, for several random
    halves; those of the best combination are then fitted on all requests. A member that does not
    make the targets more likely has the weight 0. With requests of fewer than ``MIN_REQUESTS``
    sequences, all members are kept, with weights close to the usual ones.

    Args:
        candidates: the scores.
        names: of the members; the first one is the transformer.
        usual: the weights without any request.
        seed: of the halves.
        not_alone: members that cannot answer every request by themselves.
    """
    n_members = len(names)
    alone = {name: np.eye(n_members)[i] for i, name in enumerate(names) if name not in not_alone}
    free = {ALL_MEMBERS: np.ones(n_members, bool)}
    if len(np.unique(candidates.sequences)) < MIN_REQUESTS:
        return Mixture(maximum_likelihood(candidates, free[ALL_MEMBERS], usual), ALL_MEMBERS, {})
    if n_members > 2:
        free[f"all but {names[0]}"] = np.arange(n_members) > 0
    judged: dict[str, list[float]] = {name: [] for name in (*alone, *free)}
    for fitting, judging in halves(candidates.sequences, seed):
        fitted_on, judged_on = candidates.rows(fitting), candidates.rows(judging)
        for name, weights in alone.items():
            judged[name].append(float(judged_on.ndcg(weights).mean()))
        for name, is_free in free.items():
            weights = maximum_likelihood(fitted_on, is_free, usual)
            judged[name].append(float(judged_on.ndcg(weights).mean()))
    values = {name: float(np.mean(halves)) for name, halves in judged.items()}
    choice = max(values, key=lambda name: values[name])
    if choice in alone:
        return Mixture(alone[choice], choice, values)
    return Mixture(maximum_likelihood(candidates, free[choice], usual), choice, values)


def halves(
    sequences: Int64[np.ndarray, " requests"], seed: int
) -> list[tuple[Int64[np.ndarray, " _half"], Int64[np.ndarray, " _half"]]]:
    """Pairs of disjoint sets of requests, of different sequences."""
    random, halves = np.random.default_rng(seed), []
    distinct = np.unique(sequences)
    for _ in range(N_SPLITS):
        first = random.permutation(distinct)[: len(distinct) // 2]
        is_first = np.isin(sequences, first)
        pair = np.flatnonzero(is_first), np.flatnonzero(~is_first)
        halves += [pair, pair[::-1]]
    return halves
