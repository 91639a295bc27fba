"""The evaluation protocol: every choice that a metric depends on, resolved for one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segue.baselines import ListRanker
from segue.config import EvaluationConfig, SeenPolicy, Task
from segue.dataset import Dataset, Split, SplitPart, SplitRule, TargetChoice, rule_of
from segue.errors import RequestError
from segue.ranking import Ranker

DEFAULT_KS = (1, 5, 10, 20)
DEFAULT_GIVEN = (1, 5, 10, 25, 100)
DEFAULT_GIVEN_RANDOM = (25, 100)
DEFAULT_LIST_LENGTH = 500
"""The last three are the settings of the Million Playlist Dataset challenge."""


@dataclass(frozen=True)
class Protocol:
    """Tasks, targets, candidates and cut-offs of an evaluation, with every default filled in.

    Attributes:
        part: which held-out events are evaluated.
        tasks: ``next-item``, ``continuation`` or both.
        split: kind and parameters of the split of the dataset.
        catalogue: which items are in the catalogue: ``train`` or ``all``.
        candidates: number of candidates.
        seen: which items of the history are removed from the candidates.
        targets: which events of a sequence are targets; ``every`` if the split leaves no
            choice.
        fit: ``train`` or ``train+validation``; None if it is unknown for every ranker.
        ks: cut-offs of the metrics ``name@K``.
        given: for continuation, how many first events are given.
        given_random: for continuation, how many events at random positions are given.
        list_length: for continuation, number of items to recommend.
        options: the configuration; the fields above take precedence over it.
    """

    part: SplitPart
    tasks: tuple[Task, ...]
    split: Split
    catalogue: str
    candidates: int
    seen: SeenPolicy
    targets: TargetChoice
    fit: str | None
    ks: tuple[int, ...]
    given: tuple[int, ...]
    given_random: tuple[int, ...]
    list_length: int
    options: EvaluationConfig

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as stored with every result."""
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
        if (leak := rule_of(self.split).leak) is not None:
            values["warning"] = f"leaky: {leak}"
        return values


def resolve_protocol(
    rankers: Sequence[Ranker], data: Dataset, part: SplitPart, options: EvaluationConfig
) -> Protocol:
    """Fill in the defaults of the options and check them against the dataset and the rankers.

    Raises:
        RequestError: the options contradict the dataset, the rankers, or each other.
    """
    if part not in ("validation", "test"):
        raise RequestError(f"unknown part {part!r}", "evaluate on 'validation' or 'test'")
    protocol = Protocol(
        part=part,
        tasks=_tasks(data.split_rule, options),
        split=data.manifest.split,
        catalogue=data.manifest.options["split"]["catalogue"],
        candidates=data.n_candidates,
        seen=_seen(data, options),
        targets=_targets(data.split_rule, options),
        fit=_fit(rankers, part),
        ks=options.ks or tuple(k for k in DEFAULT_KS if k <= data.n_candidates),
        given=_given(rankers, options),
        given_random=DEFAULT_GIVEN_RANDOM if options.given_random is None else options.given_random,
        list_length=options.list_length or min(DEFAULT_LIST_LENGTH, data.n_candidates),
        options=options,
    )
    for k in (*protocol.ks, protocol.list_length):
        if k > data.n_candidates:
            raise RequestError(
                f"K {k} exceeds the catalogue of {data.n_candidates} items",
                "choose a smaller cut-off",
            )
    if "continuation" in protocol.tasks:
        _check_given(rankers, protocol)
        _check_cutoffs(protocol)
    else:
        _refuse_continuation_options(protocol)
    return protocol


def refuse_list_rankers(rankers: Sequence[Ranker], reason: str) -> None:
    """Raise if a ranker is a file of lists, which has a single list per sequence.

    Args:
        reason: why a single list per sequence does not suffice, for the message.
    """
    for ranker in rankers:
        if isinstance(ranker, ListRanker):
            raise RequestError(
                f"{ranker.name} has one list per sequence, but {reason}",
                "evaluate one query per sequence: one task, and one number of given events",
            )


def _tasks(rule: SplitRule, options: EvaluationConfig) -> tuple[Task, ...]:
    if options.task == "continuation" and not rule.whole_sequences:
        raise RequestError(
            f"continuation needs whole held-out sequences, but the split is {rule.kind!r}",
            "prepare the dataset with the split 'holdout'",
        )
    if options.task is not None:
        return (options.task,)
    return ("next-item", "continuation") if rule.whole_sequences else ("next-item",)


def _seen(data: Dataset, options: EvaluationConfig) -> SeenPolicy:
    rule = data.split_rule
    if options.seen == "exclude-context" and rule.window is None:
        raise RequestError(
            f"exclude-context requires the split 'windows', but the split is {rule.kind!r}",
            "choose 'exclude' or 'include'",
        )
    return options.seen or data.default_seen


def _targets(rule: SplitRule, options: EvaluationConfig) -> TargetChoice:
    if options.targets not in (None, *rule.target_choices):
        raise RequestError(
            f"targets {options.targets!r} requires the split 'global-time', "
            f"but the split is {rule.kind!r}",
            "leave it out: every target of the part is evaluated",
        )
    return options.targets or rule.target_choices[0]


def _fit(rankers: Sequence[Ranker], part: SplitPart) -> str | None:
    """Which parts the rankers were fitted on; all rankers of an evaluation must agree."""
    fit_flags = {
        ranker.fit_on_validation for ranker in rankers if ranker.fit_on_validation is not None
    }
    if len(fit_flags) > 1:
        raise RequestError(
            "some rankers are fitted on train, others on train+validation",
            "fit either all of them on the validation events too, or none",
        )
    if True in fit_flags and part == "validation":
        raise RequestError(
            "the rankers are fitted on the validation events too", "evaluate them on test"
        )
    if not fit_flags:
        return None
    return "train+validation" if True in fit_flags else "train"


def _given(rankers: Sequence[Ranker], options: EvaluationConfig) -> tuple[int, ...]:
    if options.given is not None:
        return options.given
    all_support_empty_history = all(ranker.supports_empty_history for ranker in rankers)
    return (0, *DEFAULT_GIVEN) if all_support_empty_history else DEFAULT_GIVEN


def _check_given(rankers: Sequence[Ranker], protocol: Protocol) -> None:
    """Refuse numbers of given events that are missing, repeated, or that a ranker cannot use."""
    first, at_random = protocol.given, protocol.given_random
    if not first + at_random:
        raise RequestError(
            "a continuation needs at least one number of given events, got none",
            "give some, such as 1,5,10, or choose the task 'next-item'",
        )
    for numbers in (first, at_random):
        if len(set(numbers)) < len(numbers):
            raise RequestError(
                f"the given events {', '.join(map(str, numbers))} contain a number twice",
                "give each number once",
            )
    unable = [ranker.name for ranker in rankers if not ranker.supports_empty_history]
    if 0 in first and unable:
        raise RequestError(
            f"{unable[0]} cannot rank for an empty history, but 0 given events were requested",
            "leave out 0, or train the model with model.start = true",
        )
    n_queries = len(first) + len(at_random) + len(protocol.tasks) - 1
    if n_queries > 1:
        refuse_list_rankers(rankers, f"the evaluation has {n_queries} queries per sequence")


def _check_cutoffs(protocol: Protocol) -> None:
    """Refuse beyond-accuracy metrics whose cut-offs all exceed the length of the lists."""
    if protocol.options.beyond_accuracy and min(protocol.ks) > protocol.list_length:
        raise RequestError(
            f"beyond-accuracy metrics were requested at K = {min(protocol.ks)} and above, "
            f"but a continuation has {protocol.list_length} items",
            "choose a smaller cut-off, or a longer list",
        )


def _refuse_continuation_options(protocol: Protocol) -> None:
    for name in ("given", "given_random", "list_length"):
        if value := getattr(protocol.options, name):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise RequestError(
                f"{name} {shown} requires the task 'continuation', "
                "but the task is 'next-item' only",
                "leave it out, or evaluate continuation, under the split 'holdout'",
            )
