"""What the demo shows: the model between baselines and oracle, and playlists it continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.console import Console

from segue.axes import N_SPECIALS
from segue.cli.console import print_json, results
from segue.cli.evaluation_report import print_evaluation
from segue.dataset import Dataset, Items, targets
from segue.evaluation import Evaluation
from segue.recommender import Answer, Recommender

METRIC = "ndcg@10"
ORACLE = "oracle"
SEASON = "christmas"
"""The genre of the built-in world that only seasonal playlists visit."""

PLAYLISTS, GIVEN, ADDED = 3, 3, 5
"""Test playlists that are continued, how much of each is given, and how much is added."""
SEASONAL_ADDED = 10


class Continued(NamedTuple):
    """The beginning of a playlist, as item ids, and how the model goes on."""

    given: list[str]
    answer: Answer

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"given": self.given, "continuation": self.answer.to_json()}


@dataclass(frozen=True)
class Demo:
    """A finished demo.

    Attributes:
        ratios: the model's NDCG@10 over that of the best baseline, and of the oracle.
        playlists: test playlists, continued.
        christmas: one seasonal track, continued.
        seasonal: how many of the tracks that follow it are seasonal.
    """

    items: Items
    evaluation: Evaluation
    ratios: dict[str, float]
    playlists: list[Continued]
    christmas: Continued
    seasonal: int

    @classmethod
    def of(cls, data: Dataset, model: Recommender, evaluation: Evaluation, seed: int) -> Demo:
        """Compare the figures, and let the model continue."""
        carol = next(item for item in data.items.ids if _is_seasonal(data.items, item))
        christmas = model.continue_sequence([carol], SEASONAL_ADDED, seed=seed)
        return cls(
            items=data.items,
            evaluation=evaluation,
            ratios=_ratios(evaluation, model.name),
            playlists=[
                Continued(given, model.continue_sequence(given, ADDED, seed=seed))
                for given in _beginnings(data)
            ],
            christmas=Continued([carol], christmas),
            seasonal=sum(_is_seasonal(data.items, found.item_id) for found in christmas.items),
        )

    def to_json(self) -> dict[str, Any]:
        """What ``segue demo --json`` prints."""
        return {
            "evaluation": self.evaluation.to_json(),
            "ratios": self.ratios,
            "playlists": [playlist.to_json() for playlist in self.playlists],
            "christmas": self.christmas.to_json(),
            "seasonal": self.seasonal,
        }


def print_demo(demo: Demo, as_json: bool) -> None:
    """Print the table, the ratios and the continuations."""
    if as_json:
        print_json(demo.to_json())
        return
    print_evaluation(demo.evaluation, None, as_json=False)
    console = results()
    console.print(
        f"\n{METRIC}: {demo.ratios['best_baseline']:.2f} times the best baseline, "
        f"{100 * demo.ratios['oracle']:.0f} % of the oracle, which knows the world's laws"
    )
    for playlist in demo.playlists:
        _print_continued(console, "a test playlist, continued", playlist, demo.items)
    _print_continued(console, "one Christmas track, continued", demo.christmas, demo.items)
    console.print(f"{demo.seasonal} of the {SEASONAL_ADDED} that follow are seasonal")


def _print_continued(console: Console, title: str, playlist: Continued, items: Items) -> None:
    console.print(f"\n{title}", style="bold")
    for item_id in playlist.given:
        console.print(f"    {_described(items, item_id)}", style="dim", no_wrap=True)
    for found in playlist.answer.items:
        console.print(f"  + {_described(items, found.item_id)}", no_wrap=True)


def _described(items: Items, item_id: str) -> str:
    """``Title - Artist (1983, gisirock)``."""
    found = _item(items, item_id)
    return f"{found['title']} - {found['artist']} ({found['year']}, {found['genres'][0]})"


def _is_seasonal(items: Items, item_id: str) -> bool:
    return SEASON in _item(items, item_id)["genres"]


def _item(items: Items, item_id: str) -> dict[str, Any]:
    return items.describe(int(items.find([item_id])[0]))


def _ratios(evaluation: Evaluation, model: str) -> dict[str, float]:
    figures = {found.model: found.metrics[METRIC].mean for found in evaluation.results}
    own, oracle = figures.pop(model), figures.pop(ORACLE)
    return {"best_baseline": own / max(figures.values()), "oracle": own / oracle}


def _beginnings(data: Dataset) -> Sequence[list[str]]:
    """The first tracks of the first test playlists."""
    rows = dict.fromkeys(targets(data.sequences, data.manifest.split, "test").rows.tolist())
    starts = [data.sequences.row(row)[:GIVEN].tolist() for row in list(rows)[:PLAYLISTS]]
    return [[data.items.ids[index - N_SPECIALS] for index in start] for start in starts]
