"""The layers of the architecture, lowest first: what ``tests/test_layers.py`` enforces.

``tools/generate_architecture.py`` writes the table of ``docs/architecture.md`` from this list.
"""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """Modules and packages of ``segue`` that may import each other's layer only from above.

    Attributes:
        groups: names of modules and packages. A group may import the groups before it in the
            same layer; modules of one group do not import each other. The empty name is
            ``segue/__init__.py``.
        contents: what they contain, for the table.
    """

    name: str
    groups: tuple[tuple[str, ...], ...]
    contents: str


LAYERS = (
    Layer(
        "ground",
        (
            ("", "errors", "tokens"),
            ("ragged", "random_bits", "ids", "tables"),
            ("bfloat16", "machine"),
        ),
        "exceptions with message and hint; special tokens and index dtypes; the rule for ids; "
        "tables as data frames; ragged rows; bfloat16 storage and stochastic rounding; devices, "
        "memory, compilation cache",
    ),
    Layer(
        "foundation",
        (("storage",), ("config",)),
        "frozen configuration, one model per section; atomic files, safetensors arrays, string "
        "index",
    ),
    Layer(
        "data in",
        (("synthetic", "event_store"), ("sources",)),
        "the built-in world; the event store in SQLite or PostgreSQL; readers of interaction "
        "logs to one Arrow schema",
    ),
    Layer(
        "data",
        (("dataset",), ("preparation",)),
        "the prepared format: manifest, items, sequences, splits, the one definition of training "
        "events; its preparation: filters, encoding, audit",
    ),
    Layer(
        "pure",
        (
            ("features", "controls"),
            ("batches", "losses", "metrics", "model", "ranking"),
            ("optimizers",),
        ),
        "side information as arrays; the controls of a request; batches; the transformer and its "
        "heads; losses and negative samplers; metrics; the `Ranker` interface; dense and sparse "
        "updates",
    ),
    Layer(
        "storage of results",
        (("runs", "catalogue_search"),),
        "run folder, checkpoints, weights, metrics log; search index of the catalogue",
    ),
    Layer(
        "rankers",
        (("baselines",),),
        "count-based and linear rankers, external lists, the oracle",
    ),
    Layer(
        "answers",
        (("recommender",),),
        "encoder, exact search, ensemble, generation; `Recommender`, `Run`",
    ),
    Layer(
        "evaluation",
        (("evaluation",),),
        "protocols, queries and targets, statistics, comparison, results",
    ),
    Layer(
        "training",
        (("trainer",),),
        "the loop, which validates with the object that is served; resource estimates",
    ),
    Layer(
        "output",
        (("inspection", "item_map"), ("pictures",), ("demo", "self_test")),
        "model summary, graph and description; the map of the items; pictures; the demo and the "
        "self-test as functions",
    ),
    Layer(
        "interfaces",
        (("client", "server"), ("cli",), ("__main__",)),
        "the REST API and its client; one file per verb: parse, call one public function, print",
    ),
)
