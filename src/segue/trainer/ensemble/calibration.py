"""Temperature scaling: next-item probabilities calibrated on validation requests.

Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from segue.recommender import Ensemble
from segue.recommender.probabilities import observe
from segue.runs.schema import Calibration, Reliability, ReliabilityBin
from segue.tokens import PAD
from segue.trainer.ensemble.requests import FittingRequests
from segue.trainer.ensemble.weights import halves

N_LISTED = 10
"""Best items per request whose probabilities are compared with what came next."""
N_BINS = 15
"""Bins of the expected calibration error, with equal numbers of items."""
MAX_SCORES = 1 << 30
"""Largest number of scores of requests and items that are normalised: fewer requests for a large
catalogue. With 500 requests, the standard error of the temperature is about 2 percent."""
SHRINKAGE = 1.0
"""Penalty of the squared logarithm of the temperature, in nats over all requests: it matters only
where these are few, or all of them are predicted without an error."""
COARSE_REQUESTS = 128
"""Requests that decide around which temperature all of them are normalised."""
COARSE, FINE = np.linspace(-6, 6, 12), np.linspace(-1.5, 1.5, 12)
"""Logarithms to the base 2 of the temperatures at which the normalisers are computed, those of the
second around the best of the first. In between they are interpolated."""


class Observations(NamedTuple):
    """The scores of requests, and their normalisers as a function of the temperature.

    Attributes:
        targets: score of each target.
        listed: scores of the best items, best first; -inf where there are fewer.
        is_target: which of the best items is the target.
        log_temperatures: natural logarithms of the temperatures, ascending.
        log_sums: by request and temperature, the log of the sum of exp(score / temperature).
        log_sums_at_1: the same at the temperature 1.
    """

    targets: Float64[np.ndarray, " requests"]
    listed: Float64[np.ndarray, "requests listed"]
    is_target: Bool[np.ndarray, "requests listed"]
    log_temperatures: Float64[np.ndarray, " temperatures"]
    log_sums: Float64[np.ndarray, "requests temperatures"]
    log_sums_at_1: Float64[np.ndarray, " requests"]

    def rows(self, rows: Int64[np.ndarray, " rows"]) -> Observations:
        """The given requests."""
        return Observations(
            self.targets[rows],
            self.listed[rows],
            self.is_target[rows],
            self.log_temperatures,
            self.log_sums[rows],
            self.log_sums_at_1[rows],
        )

    def log_sums_at(self, temperature: float) -> Float64[np.ndarray, " requests"]:
        """The normalisers at a temperature within the range."""
        if temperature == 1:
            return self.log_sums_at_1
        return CubicSpline(self.log_temperatures, self.log_sums, axis=1)(np.log(temperature))

    def losses(self, temperature: float) -> Float64[np.ndarray, " requests"]:
        """Minus the log-probability of each target, in nats."""
        return self.log_sums_at(temperature) - self.targets / temperature

    def probabilities(self, temperature: float) -> Float64[np.ndarray, "requests listed"]:
        """The probabilities of the best items; 0 where there are fewer."""
        log_sums = self.log_sums_at(temperature)[:, None]
        return np.minimum(np.exp(self.listed / temperature - log_sums), 1.0)


def calibrate(ensemble: Ensemble, requests: FittingRequests, seed: int = 0) -> dict[str, Any]:
    """Fit the temperature of an ensemble's probabilities, and measure how reliable they are.

    The temperature is fitted on all requests. The reliability of each half of them is that at the
    temperature of the other half.

    Args:
        ensemble: the ensemble with its weights.
        requests: validation requests.
        seed: of the halves.

    Returns:
        The ``calibration`` object of the card; see ``segue.runs.schema.Calibration``.
    """
    requests = _spread(requests, max(1, MAX_SCORES // ensemble.vocabulary_size))
    observations = observe_requests(ensemble, requests)
    temperature = maximum_likelihood_temperature(observations)
    losses, probabilities = _held_out(observations, requests.query.rows, seed)
    at_1, is_listed = observations.probabilities(1.0), np.isfinite(observations.listed)
    reliability = {}
    for k in (1, N_LISTED):
        of_k = is_listed[:, :k]
        values = (at_1, probabilities, observations.is_target)
        reliability[f"top-{k}"] = _reliability(*(array[:, :k][of_k] for array in values))
    calibration = Calibration(
        temperature=_rounded(temperature),
        requests=len(requests),
        nats_at_1=_rounded(observations.losses(1.0).mean()),
        nats=_rounded(losses.mean()),
        reliability=reliability,
    )
    return msgspec.to_builtins(calibration)


def _held_out(
    observations: Observations, sequences: Int64[np.ndarray, " requests"], seed: int
) -> tuple[Float64[np.ndarray, " requests"], Float64[np.ndarray, "requests listed"]]:
    """Losses and probabilities of each half of the requests at the temperature of the other."""
    losses, probabilities = np.zeros(len(sequences)), np.zeros(observations.listed.shape)
    for fitting, judging in halves(sequences, seed)[:2]:
        # Of a single sequence, one half is empty.
        fitted = observations.rows(fitting if len(fitting) else judging)
        temperature, judged = maximum_likelihood_temperature(fitted), observations.rows(judging)
        losses[judging] = judged.losses(temperature)
        probabilities[judging] = judged.probabilities(temperature)
    return losses, probabilities


def observe_requests(ensemble: Ensemble, requests: FittingRequests) -> Observations:
    """The scores of the targets and of the best items, and the normalisers around the best fit."""
    coarse_requests = _spread(requests, COARSE_REQUESTS)
    coarse = maximum_likelihood_temperature(_observe(ensemble, coarse_requests, COARSE))
    return _observe(ensemble, requests, np.log2(coarse) + FINE)


def maximum_likelihood_temperature(observations: Observations) -> float:
    """The temperature at which the targets are most likely, shrunk to 1.

    It is within those of the normalisers.
    """
    bounds = observations.log_temperatures[[0, -1]]
    spline = CubicSpline(observations.log_temperatures, observations.log_sums.mean(axis=0))
    mean_target = float(observations.targets.mean())
    shrinkage = SHRINKAGE / len(observations.targets)
    best = minimize_scalar(
        lambda log_t: float(spline(log_t)) - mean_target * np.exp(-log_t) + shrinkage * log_t**2,
        bounds=tuple(bounds),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(best.x))


def _observe(
    ensemble: Ensemble, requests: FittingRequests, exponents: Float64[np.ndarray, " temperatures"]
) -> Observations:
    """Observations at the temperatures 2 ** ``exponents``, and at 1."""
    query, targets = requests.query, requests.targets
    k = min(N_LISTED, ensemble.n_candidates)
    ranked = ensemble.top(query.with_k(k))
    items = np.concatenate([ranked.items, targets[:, None]], axis=1)
    temperatures = np.append(2.0**exponents, 1.0).astype(np.float32)
    scores, log_sums = observe(ensemble, query, items, temperatures)
    scores, log_sums = scores.astype(np.float64), log_sums.astype(np.float64)
    return Observations(
        scores[:, -1],
        np.where(ranked.items == PAD, -np.inf, scores[:, :-1]),
        ranked.items == targets[:, None],
        np.log(temperatures[:-1].astype(np.float64)),
        log_sums[:, :-1],
        log_sums[:, -1],
    )


def _spread(requests: FittingRequests, n: int) -> FittingRequests:
    """At most ``n`` requests, evenly spaced."""
    if len(requests) <= n:
        return requests
    mask = np.zeros(len(requests), bool)
    mask[np.linspace(0, len(requests) - 1, n).astype(np.int64)] = True
    return requests.select(mask)


def _reliability(
    at_1: Float64[np.ndarray, " items"],
    probabilities: Float64[np.ndarray, " items"],
    is_target: Bool[np.ndarray, " items"],
) -> Reliability:
    bins = reliability_bins(probabilities, is_target)
    return Reliability(
        error_at_1=calibration_error(reliability_bins(at_1, is_target)),
        error=calibration_error(bins),
        error_by_chance=error_by_chance(bins),
        bins=bins,
    )


def reliability_bins(
    probabilities: Float64[np.ndarray, " items"], is_target: Bool[np.ndarray, " items"]
) -> list[ReliabilityBin]:
    """At most ``N_BINS`` bins with equal numbers of items, by ascending probability."""
    order = np.argsort(probabilities, kind="stable")
    return [
        ReliabilityBin(
            probability=_rounded(probabilities[items].mean()),
            share=_rounded(is_target[items].mean()),
            n=len(items),
        )
        for items in np.array_split(order, N_BINS)
        if len(items)
    ]


def calibration_error(bins: list[ReliabilityBin]) -> float:
    """The expected calibration error: the mean difference of probability and share over the items.

    Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian
    binning, AAAI 2015; here with bins of equal mass.
    """
    differences = [abs(group.probability - group.share) for group in bins]
    return _rounded(np.average(differences, weights=[group.n for group in bins]))


def error_by_chance(bins: list[ReliabilityBin]) -> float:
    """The calibration error that probabilities without any error would show by chance.

    Per bin it is the mean absolute value of a normal variable with the variance of a share.
    """
    p = np.array([group.probability for group in bins])
    n = np.array([group.n for group in bins])
    return _rounded(np.average(np.sqrt(2 / np.pi * p * (1 - p) / n), weights=n))


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 6)
