"""What each control of a request does to the lists, what it costs in NDCG, and what a filter costs.

    python benchmarks/controls.py [DATASET RUN] [--requests 1000] [--items 2262292] [--filter-only]

The requests are those of the validation part on which ensemble weights are fitted, so NDCG@10 is
comparable between the rows of the table, not with a test part. Without a dataset, a model is
trained on the built-in world. The time of a filter is that of whole requests for ten items to a
transformer of width 128 with random weights and ``--items`` items, of which the filter keeps 1 %,
alone and in an ensemble with the members that the default has for large catalogues: co-occurrence,
item-kNN and PureSVD, fitted on the built-in world, whose tracks are the first items. Filtered and
unfiltered requests alternate, and the median is reported. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from flax import nnx
from scipy import sparse

from segue import baselines
from segue.baselines.item_item import ItemItemRanker
from segue.baselines.puresvd import PureSvd
from segue.config import ModelConfig
from segue.dataset import Dataset, Items
from segue.dataset.items import build_items_table
from segue.features import Features, SequenceVocabulary
from segue.metrics.next_item import ndcg
from segue.model import Transformer
from segue.preparation import prepare
from segue.ranking import Ranked
from segue.recommender import (
    Encoder,
    Ensemble,
    PureSVD,
    Recommender,
    SparseMember,
    prompt_layout,
)
from segue.recommender.control_options import read_controls
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.requests import Request, query_of
from segue.tokens import INDEX_DTYPE, N_SPECIALS
from segue.trainer import train
from segue.trainer.ensemble.requests import FittingRequests, fitting_requests

K = 10
DIALS = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)
DIVERSITIES = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
TRACKS = 50_000
"""Tracks of the built-in world on which the members of a large catalogue are fitted."""
FILTERED_REPEATS = 15
"""Requests of each kind whose times are measured."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset", nargs="?", help="a prepared dataset; else the built-in world")
    parser.add_argument("run", nargs="?", type=Path, help="none trains one within 60 core-seconds")
    parser.add_argument("--requests", type=int, default=1_000, help="largest number of requests")
    parser.add_argument("--items", type=int, default=50_000, help="items of the filtered catalogue")
    parser.add_argument("--filter-only", action="store_true", help="time the filter alone")
    given = parser.parse_args(arguments)
    if given.filter_only:
        print(json.dumps({"items": given.items, "filter": measure_filter(given.items)}))
        return
    with TemporaryDirectory() as folder:
        if given.dataset:
            data = Dataset.open(given.dataset)
        else:
            data = prepare(None, Path(folder) / "data", format="demo")
        run = given.run or train(data, Path(folder) / "run", budget="60s").path
        rows = measure(Recommender.load(run), data, given.requests)
    timing = measure_filter(given.items)
    report(data.name, rows, timing)


def measure(model: Recommender, data: Dataset, n_requests: int) -> list[dict[str, Any]]:
    """The lists under each control: mean NDCG@10, log count, cosine within the list, and more."""
    continuation = data.split_rule.whole_sequences
    requests = fitting_requests(data, continuation=continuation, max_requests=n_requests)
    assert requests is not None
    lists = Lists(model, requests)
    plain = lists.top([{}] * len(requests))
    # Each request likes, or dislikes, one of the items of its list.
    examples = [
        model.items.ids[int(items[row % K]) - N_SPECIALS] for row, items in enumerate(plain.items)
    ]
    same = len(requests)
    controls: dict[str, list[dict[str, Any]]] = {"none": [{}] * same}
    controls |= {f"popularity {dial:g}": [{"popularity": dial}] * same for dial in DIALS}
    controls |= {f"diversity {d:g}": [{"diversity": d}] * same for d in DIVERSITIES}
    for attribute in [a for a in ("artist", "year", "genres") if a in lists.attributes.names]:
        controls |= {f"cap {attribute}={n}": [{"cap": {attribute: n}}] * same for n in (1, 2)}
    controls["exclude the listed"] = [{"exclude": [example]} for example in examples]
    controls["like the listed"] = [{"like": [example]} for example in examples]
    controls["unlike the listed"] = [{"unlike": [example]} for example in examples]
    return [
        {"controls": name} | lists.measured(lists.top(rows), examples)
        for name, rows in controls.items()
    ]


class Lists:
    """The lists of some requests, and what is measured of them."""

    def __init__(self, model: Recommender, requests: FittingRequests) -> None:
        self._ensemble, self._requests = model.ensemble, requests
        self._items = model.items
        self.attributes = ItemAttributes(model.items, model.ensemble.vocabulary_size)

    def top(self, controls: list[dict[str, Any]]) -> Ranked:
        read = [read_controls(row, self.attributes, self._find) for row in controls]
        empty = np.zeros(0, INDEX_DTYPE)
        controlled = query_of(
            [Request(empty, {}, [], [], row) for row in read], K, include_seen=True
        )
        return self._ensemble.top(
            replace(
                self._requests.query,
                k=K,
                times=None,
                excluded=controlled.excluded,
                controls=controlled.controls,
            )
        )

    def _find(self, ids: list[str]) -> tuple[np.ndarray, list[str]]:
        return self._items.find(ids), []

    def measured(self, ranked: Ranked, examples: list[str]) -> dict[str, float]:
        """Means over the lists; ``cosine to example`` is to the liked or disliked item."""
        hits = ranked.items == self._requests.targets[:, None]
        ranks = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
        counts = self._items.training_counts
        n_most, cosines, to_example = [], [], []
        for items, example in zip(ranked.items, self._items.find(examples), strict=True):
            listed = items[items >= N_SPECIALS]
            vectors = self._ensemble.content.unit_rows(np.append(listed, example))
            products = vectors[:-1] @ vectors[:-1].T
            pairs = np.triu_indices(len(listed), 1)
            cosines.append(products[pairs].mean() if len(listed) > 1 else 0.0)
            to_example.append((vectors[:-1] @ vectors[-1]).mean())
            n_most.append(self._most_of_one_value(listed))
        is_item = ranked.items >= N_SPECIALS
        return {
            "ndcg@10": float(np.where(ranks > 0, ndcg(np.maximum(ranks, 1), K), 0).mean()),
            "log_count": float(np.log1p(counts[ranked.items])[is_item].mean()),
            "cosine_within": float(np.mean(cosines)),
            "cosine_to_example": float(np.mean(to_example)),
            "most_of_one_value": float(np.max(n_most)),
            "short": int((~is_item).any(axis=1).sum()),
        }

    def _most_of_one_value(self, items: np.ndarray) -> int:
        """The largest number of the items with one artist, or with one year."""
        name = next((a for a in ("artist", "year") if a in self.attributes.names), None)
        if name is None:
            return 0
        offsets, codes = self.attributes.cap(name, 1).values
        values = [code for item in items for code in codes[offsets[item] : offsets[item + 1]]]
        return max(Counter(values).values(), default=0)


def measure_filter(n_items: int) -> dict[str, dict[str, float]]:
    """The times of ``filter_times`` for a transformer alone and for an ensemble."""
    alone = untrained(n_items)
    return {
        "transformer alone": filter_times(alone),
        "ensemble": filter_times(with_members(alone)),
    }


def filter_times(model: Recommender) -> dict[str, float]:
    """Milliseconds and core-milliseconds of requests with and without a filter that keeps 1 %."""
    history = model.item_ids[:50]
    kinds: dict[str, dict[str, Any]] = {
        "unfiltered": {},
        "filtered": {"where": "year = 7"},
        "new filter": {"where": "year = 0"},
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for controls in kinds.values():
        model.recommend(history, K, **controls)
    for repeat in range(FILTERED_REPEATS):
        kinds["new filter"] = {"where": f"year = {8 + repeat}"}
        for name, controls in kinds.items():
            start, core_start = time.perf_counter(), time.process_time()
            answer = model.recommend(history, K, **controls)
            times[name].append((time.perf_counter() - start, time.process_time() - core_start))
            assert len(answer) == K
    medians = {name: 1e3 * np.median(np.array(values), axis=0) for name, values in times.items()}
    return {
        f"{name} {unit}": round(float(value), 2)
        for name, pair in medians.items()
        for unit, value in zip(("ms", "core_ms"), pair, strict=True)
    }


def untrained(n_items: int) -> Recommender:
    """A transformer with random weights and items of 100 years."""
    config = ModelConfig(layers=2, width=128, heads=2, feed_forward=256, context=50)
    years = pa.array(np.arange(n_items) % 100, pa.int32())
    ids = pa.array([str(i) for i in range(n_items)])
    attributes = pa.table({"item_id": ids, "year": years})
    items = Items(build_items_table(attributes, np.ones(n_items, np.int64)))
    size = N_SPECIALS + n_items
    features = Features.of(items, size, config, SequenceVocabulary({}))
    graph, params = nnx.split(Transformer(config, size, features.sizes, rngs=nnx.Rngs(0)))
    encoder = Encoder(graph, params, prompt_layout(config, size), features)
    return Recommender(
        Ensemble(encoder, training_counts=items.training_counts),
        items,
        name="untrained",
        dataset={"path": "", "fingerprint": ""},
    )


def with_members(model: Recommender, n_playlists: int = 8_000) -> Recommender:
    """The model with members fitted on the built-in world, whose tracks are its first items."""
    size = model.ensemble.vocabulary_size
    n_tracks = min(size - N_SPECIALS, TRACKS)
    with TemporaryDirectory() as folder:
        world = prepare(
            None, Path(folder) / "world", format="demo", items=n_tracks, sequences=n_playlists
        )
        fitted = [baselines.fit(name, world) for name in ("co-occurrence", "item-knn")]
        svd = baselines.fit("puresvd", world)
        n_padding = size - world.vocabulary_size
        counts = np.pad(world.items.training_counts[: world.vocabulary_size], (0, n_padding))
    sparse_members = []
    for ranker in fitted:
        assert isinstance(ranker, ItemItemRanker)
        pairs, divisors = ranker.pairs, ranker.divisors
        indptr = np.pad(pairs.indptr, (0, n_padding), mode="edge")
        pairs = sparse.csr_matrix((pairs.data, pairs.indices, indptr), shape=(size, size))
        if divisors is not None:
            divisors = np.pad(divisors, (0, n_padding), constant_values=1.0)
        padded = ItemItemRanker(
            ranker.name, pairs, counts, ranker.history_weights, divisors=divisors
        )
        sparse_members.append(SparseMember(padded, 1.0, 0.01))
    assert isinstance(svd, PureSvd)
    vectors = np.pad(np.asarray(svd.vectors, np.float32), ((0, n_padding), (0, 0)))
    ensemble = Ensemble(
        model.encoder, [PureSVD(vectors, 4.0)], sparse_members, training_counts=counts
    )
    dataset = {"path": "", "fingerprint": ""}
    return Recommender(ensemble, model.items, name="ensemble", dataset=dataset)


def report(dataset: str, rows: list[dict[str, Any]], timing: dict[str, dict[str, float]]) -> None:
    """Print the table and the JSON line."""
    names = [name for name in rows[0] if name != "controls"]
    print(f"{dataset:22}" + "".join(f"{name:>18}" for name in names))
    for row in rows:
        print(f"{row['controls']:22}" + "".join(f"{row[name]:>18.4f}" for name in names))
    for model, times in timing.items():
        print(f"{model}: " + "  ".join(f"{name} {value:g}" for name, value in times.items()))
    print(json.dumps({"dataset": dataset, "rows": rows, "filter": timing}))


if __name__ == "__main__":
    main()
