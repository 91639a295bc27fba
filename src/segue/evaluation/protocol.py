"""The protocol: every choice that a figure depends on, resolved for one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segue.baselines import ListRanker
from segue.config import EvaluationConfig, Seen, Task
from segue.dataset import Dataset, Split
from segue.dataset.parts import Part, Which
from segue.errors import RequestError
from segue.ranking import Ranker

DEFAULT_KS = (1, 5, 10, 20)
DEFAULT_GIVEN = (1, 5, 10, 25, 100)
DEFAULT_GIVEN_RANDOM = (25, 100)
DEFAULT_LIST_LENGTH = 500
"""All three are what the Million Playlist Dataset challenge asked for."""

LEAKY = "leaky: training windows overlap the held-out ones"


@dataclass(frozen=True)
class Protocol:
    """What is asked and how it counts, with nothing left to default.

    Attributes:
        part: which held-out events.
        tasks: what is done with them.
        split: the dataset's rule.
        catalogue: which items are candidates: ``train`` or ``all``.
        candidates: how many they are.
        seen: what of the history is no candidate.
        targets: which events of a sequence are predicted; every one where the split leaves no
            choice.
        fit: ``train`` or ``train+validation``; None where no ranker says.
        ks: cut-offs of next-item metrics.
        given: first events given in continuations.
        given_random: events given at random places in continuations.
        list_length: items recommended in a continuation.
        options: what was asked for; the fields above have precedence.
    """

    part: Part
    tasks: tuple[Task, ...]
    split: Split
    catalogue: str
    candidates: int
    seen: Seen
    targets: Which
    fit: str | None
    ks: tuple[int, ...]
    given: tuple[int, ...]
    given_random: tuple[int, ...]
    list_length: int
    options: EvaluationConfig

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in every result."""
        options = self.options
        values: dict[str, Any] = {
            "split": self.split.kind,
            "seen": self.seen,
            "catalogue": self.catalogue,
            "candidates": self.candidates,
            "unknown_targets": options.unknown_targets,
            "targets": self.targets,
            "fit": self.fit,
            "max_sequences": options.max_sequences,
            "resamples": options.resamples,
            "seed": options.seed,
        }
        if "continuation" in self.tasks:
            values["list_length"] = self.list_length
        if self.split.kind == "windows":
            values["warning"] = LEAKY
        return values


def resolve(
    rankers: Sequence[Ranker], data: Dataset, part: Part, options: EvaluationConfig
) -> Protocol:
    """Settle the protocol.

    Raises:
        RequestError: the options contradict the dataset, the rankers, or each other.
    """
    if part not in ("validation", "test"):
        raise RequestError(f"unknown part {part!r}", "evaluate on 'validation' or 'test'")
    protocol = Protocol(
        part=part,
        tasks=_tasks(data.manifest.split, options),
        split=data.manifest.split,
        catalogue=data.manifest.options["split"]["catalogue"],
        candidates=data.n_catalogue,
        seen=_seen(data.manifest.split, options),
        targets=_targets(data.manifest.split, options),
        fit=_fit(rankers, part),
        ks=options.ks or tuple(k for k in DEFAULT_KS if k <= data.n_catalogue),
        given=_given(rankers, options),
        given_random=DEFAULT_GIVEN_RANDOM if options.given_random is None else options.given_random,
        list_length=options.list_length or min(DEFAULT_LIST_LENGTH, data.n_catalogue),
        options=options,
    )
    for k in (*protocol.ks, protocol.list_length):
        if k > data.n_catalogue:
            raise RequestError(
                f"K {k} exceeds the catalogue of {data.n_catalogue} items",
                "choose a smaller cut-off",
            )
    if "continuation" in protocol.tasks:
        _check_given(rankers, protocol)
        _check_cutoffs(protocol)
    else:
        _refuse_continuation_options(protocol)
    return protocol


def refuse_lists(rankers: Sequence[Ranker], why: str) -> None:
    """Raise if a list from elsewhere is among the rankers: it answers one question a sequence."""
    for ranker in rankers:
        if isinstance(ranker, ListRanker):
            raise RequestError(
                f"{ranker.name} holds one list a sequence, but {why}",
                "ask one question a sequence: one task, and one number of given events",
            )


def _tasks(split: Split, options: EvaluationConfig) -> tuple[Task, ...]:
    if options.task == "continuation" and split.kind != "holdout":
        raise RequestError(
            f"continuation needs whole held-out sequences, but the split is {split.kind!r}",
            "prepare the dataset with the split 'holdout'",
        )
    if options.task is not None:
        return (options.task,)
    return ("next-item", "continuation") if split.kind == "holdout" else ("next-item",)


def _seen(split: Split, options: EvaluationConfig) -> Seen:
    if options.seen == "exclude-context" and split.kind != "windows":
        raise RequestError(
            f"exclude-context belongs to the split 'windows', but the split is {split.kind!r}",
            "choose 'exclude' or 'include'",
        )
    return options.seen or ("exclude-context" if split.kind == "windows" else "exclude")


def _targets(split: Split, options: EvaluationConfig) -> Which:
    if split.kind == "global-time":
        return options.targets or "last"
    if options.targets not in (None, "every"):
        raise RequestError(
            f"targets {options.targets!r} belongs to the split 'global-time', "
            f"but the split is {split.kind!r}",
            "leave it out: every target of the part is asked for",
        )
    return "every"


def _fit(rankers: Sequence[Ranker], part: Part) -> str | None:
    """What the rankers were fitted on; results of different fits never share a table."""
    refits = {ranker.refit for ranker in rankers if ranker.refit is not None}
    if len(refits) > 1:
        raise RequestError(
            "some rankers are fitted on train, others on train+validation",
            "refit all of them, or none",
        )
    if True in refits and part == "validation":
        raise RequestError(
            "the rankers are fitted on the validation events too", "evaluate them on test"
        )
    if not refits:
        return None
    return "train+validation" if True in refits else "train"


def _given(rankers: Sequence[Ranker], options: EvaluationConfig) -> tuple[int, ...]:
    if options.given is not None:
        return options.given
    begin = all(ranker.begins for ranker in rankers)
    return (0, *DEFAULT_GIVEN) if begin else DEFAULT_GIVEN


def _check_given(rankers: Sequence[Ranker], protocol: Protocol) -> None:
    """Refuse ways of giving that are none, come twice, or that a ranker has no answer to."""
    first, at_random = protocol.given, protocol.given_random
    if not first + at_random:
        raise RequestError(
            "a continuation with no number of given events asks nothing",
            "give some, such as 1,5,10, or ask for the task 'next-item'",
        )
    for numbers in (first, at_random):
        if len(set(numbers)) < len(numbers):
            raise RequestError(
                f"the given events {', '.join(map(str, numbers))} hold a number twice",
                "give each number once",
            )
    if 0 in first and (stuck := [ranker.name for ranker in rankers if not ranker.begins]):
        raise RequestError(
            f"{stuck[0]} cannot begin from nothing, but 0 given events are asked for",
            "leave out 0, or train the model with model.start = true",
        )
    n_questions = len(first) + len(at_random) + len(protocol.tasks) - 1
    if n_questions > 1:
        refuse_lists(rankers, f"{n_questions} questions are asked of each")


def _check_cutoffs(protocol: Protocol) -> None:
    """Refuse to ask how lists behave at cut-offs that none of them reaches."""
    if protocol.options.behaviour and min(protocol.ks) > protocol.list_length:
        raise RequestError(
            f"behaviour is asked for at K {min(protocol.ks)} and up, "
            f"but a continuation lists {protocol.list_length} items",
            "choose a smaller cut-off, or a longer list",
        )


def _refuse_continuation_options(protocol: Protocol) -> None:
    for name in ("given", "given_random", "list_length"):
        if asked := getattr(protocol.options, name):
            said = ",".join(map(str, asked)) if isinstance(asked, tuple) else asked
            raise RequestError(
                f"{name} {said} belongs to the task 'continuation', "
                "but only next items are asked for",
                "leave it out, or ask for continuations, under the split 'holdout'",
            )
