"""Generation with cached keys and values, and growing sessions: tokens per core-second.

    python benchmarks/generation.py [RUN] [--items 3400] [--rows 64] [--prompt 100] [--length 50]

Without a run, the model is a transformer of 6 layers of width 128 and context 200 with random
weights: times do not depend on them. Three parts, each against the same without a cache:

- the encoder's part of generating ``length`` tracks for ``rows`` prompts. Without a cache, every
  sequence is encoded again after each track, in batches without any padding;
- the whole path with greedy decoding: encoder, other members, search and bookkeeping;
- one history that grows by the same number of events, one recommendation after each: the encoder,
  and the whole path.

All times are processor time of all threads; the methods alternate, and the fastest run counts,
because other work on the machine only adds time. Encoding without padding has a shape per length,
so it is timed at three lengths, and interpolated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from segue.config import ModelConfig
from segue.features import NO_FEATURES
from segue.model import Transformer
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Encoder, Ensemble, Recommender, prompt_layout
from segue.recommender.generation import EnsembleDecoder, generate, generate_sequences
from segue.recommender.sampling import Sampling
from segue.tokens import INDEX_DTYPE, N_SPECIALS

MODEL = ModelConfig(layers=6, heads=4, width=128, feed_forward=512, context=200)
"""The model of the benchmark."""

K = 10
"""Items per recommendation of a growing session."""

UNCACHED_STEPS = 3
"""Tracks generated without a cache, from which the time of all is estimated."""


def random_ensemble(n_items: int) -> Ensemble:
    """A transformer with random weights, without further members."""
    model = Transformer(MODEL, N_SPECIALS + n_items, rngs=nnx.Rngs(0))
    graph, params = nnx.split(model)
    layout = prompt_layout(MODEL, N_SPECIALS + n_items)
    return Ensemble(Encoder(graph, params, layout, NO_FEATURES))


def random_query(ensemble: Ensemble, n_rows: int, length: int) -> Query:
    """Histories of distinct random items."""
    random, catalogue = np.random.default_rng(1), np.flatnonzero(ensemble.is_candidate)
    rows = [random.choice(catalogue, length, replace=False) for _ in range(n_rows)]
    histories = Ragged.from_rows(rows)
    return Query(histories, histories, np.full(n_rows, -1), K)


def grown(query: Query, n_events: int) -> list[Query]:
    """The queries of histories that grow by one event at a time, from ``query`` on."""
    queries, step = [query], np.ones(len(query), bool)
    for event in range(1, n_events):
        items = np.full(len(query), N_SPECIALS + event, INDEX_DTYPE)
        histories = queries[-1].histories.append(items, step)
        queries.append(replace(query, histories=histories, seen=histories))
    return queries


class Run(NamedTuple):
    """A function to be timed, and what is done before, without being timed."""

    act: Callable[[], Any]
    prepare: Callable[[], Any] = lambda: None


def fastest(repeats: int, *runs: Run) -> list[float]:
    """Core-seconds of some functions, which alternate; the minimum of each, once compiled."""
    times = np.full((repeats + 1, len(runs)), np.inf)
    for repeat, column in np.ndindex(*times.shape):
        jax.block_until_ready(runs[column].prepare())
        start = time.process_time()
        jax.block_until_ready(runs[column].act())
        if repeat:
            times[repeat, column] = time.process_time() - start
    return times.min(axis=0).tolist()


def without_padding(encoder: Encoder, query: Query) -> Run:
    """Encodes a query whose histories have the same length, in a batch of exactly that length."""
    tokens, last = encoder.layout.prompts(query.histories)
    graph, params = nnx.split(encoder.model())
    states_at = jax.jit(lambda params, *inputs: nnx.merge(graph, params).states_at(*inputs))
    tokens = tokens[:, : int(last[0]) + 1]
    return Run(lambda: states_at(params, tokens, last, encoder.item_features))


def encoder_part(ensemble: Ensemble, queries: list[Query], repeats: int) -> dict[str, float]:
    """Core-seconds of the states of all queries, with a cache and without."""
    encoder, n_rows = ensemble.encoder, len(queries[0])
    at = sorted({0, len(queries) // 2, len(queries) - 1})

    def with_cache() -> Any:
        caching = encoder.caching()
        return [caching.states(query, n_rows) for query in queries]

    cached, *recomputed = fastest(
        repeats, Run(with_cache), *(without_padding(encoder, queries[i]) for i in at)
    )
    again = np.interp(np.arange(len(queries)), at, recomputed).sum()
    n_tokens = n_rows * len(queries)
    return {
        "cached_s": cached,
        "recomputed_s": float(again),
        "cached_tokens_per_core_s": n_tokens / cached,
        "recomputed_tokens_per_core_s": n_tokens / again,
        "ratio": again / cached,
    }


def whole_path(ensemble: Ensemble, query: Query, length: int, repeats: int) -> dict[str, float]:
    """Core-seconds of greedy generation, with a cache and without."""
    greedy = Sampling(temperature=0.0)
    steps = min(length, UNCACHED_STEPS)
    cached, again = fastest(
        repeats,
        Run(lambda: generate(ensemble, query, length, greedy)),
        Run(lambda: generate_sequences(EnsembleDecoder(ensemble), query, steps, greedy)),
    )
    again *= length / steps
    n_tokens = len(query) * length
    return {
        "cached_s": cached,
        "recomputed_s": again,
        "cached_tokens_per_core_s": n_tokens / cached,
        "recomputed_tokens_per_core_s": n_tokens / again,
        "ratio": again / cached,
    }


def growing_session(ensemble: Ensemble, queries: list[Query], repeats: int) -> dict[str, float]:
    """Core-milliseconds per event of a history that grows, with a cache and without."""
    encoder, caching = ensemble.encoder.caching(), ensemble.caching()
    n = len(queries) - 1
    at = sorted({1, len(queries) // 2, n})

    def steps(act: Callable[[Query], Any]) -> Run:
        """One call per event after the first query."""
        return Run(lambda: [act(query) for query in queries[1:]], lambda: act(queries[0]))

    encoded, encoded_again, path, path_again, *recomputed = fastest(
        repeats,
        steps(lambda query: encoder.states(query, 1)),
        steps(lambda query: ensemble.encoder.states(query, 1)),
        steps(lambda query: caching.top(query).scores),
        steps(lambda query: ensemble.top(query).scores),
        *(without_padding(ensemble.encoder, queries[i]) for i in at),
    )
    unpadded = float(np.interp(np.arange(1, n + 1), at, recomputed).sum())
    return {
        "encoder_ms": 1e3 * encoded / n,
        "encoder_from_nothing_ms": 1e3 * encoded_again / n,
        "encoder_from_nothing_without_padding_ms": 1e3 * unpadded / n,
        "encoder_ratio": encoded_again / encoded,
        "encoder_ratio_without_padding": unpadded / encoded,
        "path_ms": 1e3 * path / n,
        "path_from_nothing_ms": 1e3 * path_again / n,
        "path_ratio": path_again / path,
    }


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Generation with cached keys and values.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--items", type=int, default=3_400, help="of the model without a run")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=100, help="events per history")
    parser.add_argument("--length", type=int, default=50, help="tracks to generate")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    ensemble = (
        Recommender.load(options.run).ensemble if options.run else random_ensemble(options.items)
    )
    query = random_query(ensemble, options.rows, options.prompt)
    parts = {
        "encoder": encoder_part(ensemble, grown(query, options.length), options.repeats),
        "whole path": whole_path(ensemble, query, options.length, options.repeats),
    }
    one = random_query(ensemble, 1, options.prompt)
    session = growing_session(ensemble, grown(one, options.length), options.repeats)
    n_items = ensemble.vocabulary_size - N_SPECIALS
    title = (
        f"{options.length} tracks for {options.rows} prompts of {options.prompt}, {n_items:,} items"
    )
    table = Table(title=title, title_justify="left")
    for column in ("part", "core s", "without a cache", "tracks per core s", "ratio"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name, part in parts.items():
        values = ("cached_s", "recomputed_s", "cached_tokens_per_core_s", "ratio")
        table.add_row(name, *(f"{part[value]:,.2f}" for value in values))
    console = Console(width=100)
    console.print(table)
    console.print(
        f"one event of a growing session: encoder {session['encoder_ms']:.2f} core-ms, from "
        f"nothing {session['encoder_from_nothing_ms']:.2f} ({session['encoder_ratio']:.1f} times), "
        f"without padding {session['encoder_from_nothing_without_padding_ms']:.2f} "
        f"({session['encoder_ratio_without_padding']:.1f} times); whole path "
        f"{session['path_ms']:.2f}, from nothing {session['path_from_nothing_ms']:.2f}"
    )
    record = {"benchmark": "generation", "items": n_items, **parts, "session": session}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
