"""``segue evaluate``: metrics of models on held-out events, compared with baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segue.cli.console import stderr
from segue.cli.evaluation_report import print_evaluation, print_markdown
from segue.cli.option_values import parse_counts, parse_cutoffs, parse_path
from segue.cli.options import MAX_RESAMPLES, Json, Seed, WithoutEnsemble
from segue.errors import RequestError

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN|BASELINE|LISTS",
        help="Run folders, names of baselines, or files of ranked lists (.parquet, .csv).",
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data", parser=parse_path, metavar="DATASET", help="A dataset folder, written by prepare."
    ),
]
EvaluatedPart = Annotated[
    Literal["test", "validation"], typer.Option(help="Part of the dataset to evaluate on.")
]
Task = Annotated[
    Literal["next-item", "continuation"] | None,
    typer.Option(help="Default: both for the split holdout, next-item for other splits."),
]
Seen = Annotated[
    Literal["exclude", "include", "exclude-context"] | None,
    typer.Option(
        help="Whether items of the history may be recommended; by default as the audit of the "
        "dataset recommends."
    ),
]
UnknownTargets = Annotated[
    Literal["miss", "drop"],
    typer.Option(help="Whether targets outside the catalogue count as misses or are dropped."),
]
Targets = Annotated[
    Literal["last", "first", "random", "every"] | None,
    typer.Option(
        help="Which events of a sequence are targets (split global-time); last by default."
    ),
]
Cutoffs = Annotated[
    Any, typer.Option(parser=parse_cutoffs, metavar="K,K", help="Cut-offs, as in 5,10,20.")
]
Given = Annotated[
    Any,
    typer.Option(
        parser=parse_counts,
        metavar="M,M",
        help="Numbers of first events given (continuation), as in 0,1,5,10,25,100.",
    ),
]
GivenRandom = Annotated[
    Any,
    typer.Option(
        parser=parse_cutoffs,
        metavar="M,M",
        help="Numbers of events given at random positions (continuation), as in 25,100.",
    ),
]
FitOnValidation = Annotated[
    bool,
    typer.Option("--fit-on-validation", help="Fit the baselines on validation events, too."),
]
Tune = Annotated[
    bool,
    typer.Option("--tune", help="Choose the parameters of the baselines on the validation part."),
]
NoBaselines = Annotated[
    bool, typer.Option("--no-baselines", help="Do not add the default baselines to a model.")
]
NoSequenceFeatures = Annotated[
    bool,
    typer.Option(
        "--no-sequence-features",
        help="Hide all sequence features (name, user, ...) from the models.",
    ),
]
Members = Annotated[
    bool,
    typer.Option("--members", help="Also evaluate each member of a run's ensemble alone."),
]
ListLength = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Items recommended (continuation); by default 500, or the catalogue.",
    ),
]
PerSequence = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FILE",
        help="Write the results per sequence as Parquet, for compare.",
    ),
]
MaxSequences = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Evaluate on a random sample of at most N sequences."),
]
Resamples = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_RESAMPLES,
        metavar="N",
        help="Bootstrap samples behind intervals; 0 for none.",
    ),
]
BeyondAccuracy = Annotated[
    bool,
    typer.Option(
        "--beyond-accuracy",
        help="Also compute beyond-accuracy metrics: diversity, novelty, coverage, ...",
    ),
]
Markdown = Annotated[
    bool, typer.Option("--markdown", help="Print every metric at every cut-off as Markdown.")
]


def evaluate(  # noqa: PLR0913 - one parameter per option
    *,
    models: Models,
    data: Data,
    part: EvaluatedPart = "test",
    task: Task = None,
    seen: Seen = None,
    unknown_targets: UnknownTargets = "miss",
    targets: Targets = None,
    ks: Cutoffs = None,
    given: Given = None,
    given_random: GivenRandom = None,
    list_length: ListLength = None,
    fit_on_validation: FitOnValidation = False,
    tune: Tune = False,
    no_baselines: NoBaselines = False,
    no_sequence_features: NoSequenceFeatures = False,
    without_ensemble: WithoutEnsemble = False,
    members: Members = False,
    per_sequence: PerSequence = None,
    max_sequences: MaxSequences = None,
    beyond_accuracy: BeyondAccuracy = False,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Evaluate models on held-out events, together with baselines.

    Every target is ranked among the whole catalogue; every mean has a 95 % confidence interval.
    """
    from segue import evaluation
    from segue.storage.atomic import check_writable

    if as_json and as_markdown:
        raise RequestError("--json and --markdown exclude each other", "choose one of them")
    if per_sequence is not None:
        check_writable(per_sequence)
    with stderr().status("evaluating"):
        results = evaluation.evaluate(
            models,
            data,
            part=part,
            baselines=None if no_baselines else "default",
            fit_on_validation=fit_on_validation,
            use_sequence_features=not no_sequence_features,
            tune=tune,
            without_ensemble=without_ensemble,
            members=members,
            task=task,
            seen=seen,
            unknown_targets=unknown_targets,
            targets=targets,
            ks=ks,
            given=given,
            given_random=given_random,
            list_length=list_length,
            max_sequences=max_sequences,
            beyond_accuracy=beyond_accuracy,
            resamples=resamples,
            seed=seed,
        )
    if as_markdown:
        print_markdown(results)
    else:
        print_evaluation(results, ks, as_json)
    if per_sequence is not None:
        evaluation.write_per_sequence(results, per_sequence)
