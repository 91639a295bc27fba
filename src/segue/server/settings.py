"""The settings of a server: its limits, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from segue.event_store import DEFAULT_WEIGHTS


@dataclass(frozen=True)
class ServerSettings:
    """Limits of a server. All times are in seconds.

    Attributes:
        max_k: largest ``k`` and ``top_k``; every shape up to it is compiled at the start.
        max_length: largest number of generated items.
        max_requests: largest number of requests per call.
        max_events: largest number of events per call.
        max_list: largest number of elements of a list or mapping in a request.
        max_text: characters of a text in a request.
        max_body: bytes of a body.
        max_batch: largest number of requests that are computed together.
        warms_controls: whether the shapes of requests with controls are compiled at the start, too.
        max_wait_s: the longest that a request waits for others while the model is idle; only after
            several were computed together.
        max_queue: requests per model that wait; more are refused.
        timeout_s: from a request to its answer.
        receive_timeout_s: for a client to send a request.
        shutdown_timeout_s: for the requests that were accepted before the server stops.
        rate: requests per second and API key; 0 for no limit.
        cors_origins: origins of web pages of other servers that may call the API.
        trusted_hosts: values of the header ``Host`` that are accepted; none for all.
        event_weights: the weight of each kind of event; other kinds are refused.
        events_retention_s: events older than this are deleted; None to keep all.
    """

    max_k: int = 100
    max_length: int = 500
    max_requests: int = 64
    max_events: int = 1_000
    max_list: int = 10_000
    max_text: int = 1_000
    max_body: int = 1 << 20
    max_batch: int = 32
    warms_controls: bool = True
    max_wait_s: float = 0.002
    max_queue: int = 1_024
    timeout_s: float = 30.0
    receive_timeout_s: float = 10.0
    shutdown_timeout_s: float = 30.0
    rate: float = 0.0
    cors_origins: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    event_weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    events_retention_s: float | None = None
