"""Metrics in the format of Prometheus. No label has a value that a request chose."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from segue.server.micro_batcher import BatchReport
from segue.server.recent import RecentMinutes
from segue.server.registry import ServedModel

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


ANSWERED_BY_MODELS = frozenset(
    f"/v1/{name}" for name in ("recommend", "generate", "score", "explain", "similar")
)
"""The routes whose requests ``Metrics.recent`` counts: a model computes their answers."""


class Metrics:
    """The metrics of one server.

    Attributes:
        recent: the requests that models answered in the last minutes.
    """

    def __init__(self) -> None:
        """Register all metrics; those of models appear with their first value."""
        self.recent = RecentMinutes()
        self._registry = registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "segue_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "segue_request_seconds",
            "Seconds from the request line to the response, by route.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_sizes = Histogram(
            "segue_batch_requests",
            "Requests per call of a model.",
            ["model"],
            buckets=SIZES,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "segue_batch_seconds",
            "Seconds per call of a model.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._waiting = Gauge(
            "segue_waiting_requests",
            "Requests that wait for a model.",
            ["model"],
            registry=registry,
        )
        self._errors = Counter("segue_errors", "Errors by code.", ["code"], registry=registry)
        self._reloads = Counter(
            "segue_reloads",
            "Models that were loaded again.",
            ["model", "result"],
            registry=registry,
        )
        self._model = Info("segue_model", "The version of a model.", ["model"], registry=registry)
        self._ready = Gauge("segue_ready", "1 once every model is warmed up.", registry=registry)
        self._events = Counter(
            "segue_events",
            "Events that clients sent: stored, already_stored, conflict.",
            ["result"],
            registry=registry,
        )
        self._events_available = Gauge(
            "segue_events_available",
            "1 while the database of events answers; absent without one.",
            ["store"],
            registry=registry,
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: the path of the route, with the names of its parameters.
        """
        key = (route, status)
        if key not in self._children:
            counter = self._requests.labels(route, str(status))
            self._children[key] = (counter, self._latency.labels(route))
        counter, latency = self._children[key]
        counter.inc()
        latency.observe(seconds)
        if route in ANSWERED_BY_MODELS:
            self.recent.count_request(status, seconds)

    def count_error(self, code: str) -> None:
        """Count an error response."""
        self._errors.labels(code).inc()

    def count_batch(self, model: str, report: BatchReport) -> None:
        """Count a call of a model."""
        self._batch_sizes.labels(model).observe(report.size)
        self._batch_seconds.labels(model).observe(report.seconds)
        self.recent.count_batch(report.size)

    def count_reload(self, model: str, *, is_loaded: bool) -> None:
        """Count an attempt to load a model again."""
        self._reloads.labels(model, "loaded" if is_loaded else "failed").inc()

    def count_events(self, result: str, n_events: int) -> None:
        """Count events with the same result."""
        self._events.labels(result).inc(n_events)

    def set_events_available(self, *, is_available: bool) -> None:
        """Show whether the database of events answers."""
        self._events_available.labels("events").set(is_available)

    def set_model(self, model: ServedModel) -> None:
        """Show the version of a model."""
        version = {"version": model.version, "loaded_at": model.loaded_at}
        self._model.labels(model.name).info(version)

    def set_waiting(self, model: str, n_waiting: int) -> None:
        """Show how many requests wait."""
        self._waiting.labels(model).set(n_waiting)

    def set_ready(self) -> None:
        """Show that every model is warmed up."""
        self._ready.set(1)

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)
