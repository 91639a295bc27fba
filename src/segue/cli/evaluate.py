"""``segue evaluate``: how good models are on held-out events, beside the baselines."""

from __future__ import annotations

from typing import Any

from segue.cli import evaluate_options as options
from segue.cli.options import Json, Seed


def evaluate(  # noqa: PLR0913 - a parameter an option
    *,
    models: options.Models,
    data: options.Data,
    on: options.Part = "test",
    task: options.Task = None,
    seen: options.Seen = None,
    unknown_targets: options.UnknownTargets = "miss",
    targets: options.Targets = None,
    at: options.Cutoffs = None,
    given: options.Given = None,
    given_random: options.GivenRandom = None,
    refit: options.Refit = False,
    no_baselines: options.NoBaselines = False,
    untold: options.Untold = False,
    per_sequence: options.PerSequence = None,
    max_sequences: options.MaxSequences = None,
    behaviour: options.Behaviour = False,
    seed: Seed = 0,
    as_json: Json = False,
    as_markdown: options.Markdown = False,
) -> None:
    """Measure models on held-out events, beside the baselines.

    Every target is ranked among the whole catalogue, and every mean has its 95 % interval.
    """
    from segue import evaluation
    from segue.cli.console import notes
    from segue.cli.evaluation_report import print_evaluation, print_markdown
    from segue.cli.rankers import open_rankers
    from segue.config import EvaluationConfig
    from segue.dataset import Dataset
    from segue.errors import RequestError
    from segue.files import check_place

    if as_json and as_markdown:
        raise RequestError("--json and --markdown exclude each other", "choose one of them")
    if per_sequence is not None:
        check_place(per_sequence)
    # Naming one kind of given events asks for that kind alone.
    named: dict[str, Any] = {}
    if given is not None or given_random is not None:
        named = {"given": given or (), "given_random": given_random or ()}
    config = EvaluationConfig(
        task=task,
        seen=seen,
        unknown_targets=unknown_targets,
        targets=targets,
        ks=at,
        max_sequences=max_sequences,
        behaviour=behaviour,
        seed=seed,
        **named,
    )
    dataset = Dataset.open(data)
    with notes().status("evaluating"):
        rankers = open_rankers(
            models, dataset, refit=refit, with_baselines=not no_baselines, told=not untold
        )
        found = evaluation.evaluate(rankers, dataset, on=on, config=config)
    if as_markdown:
        print_markdown(found)
    else:
        print_evaluation(found, at, as_json)
    if per_sequence is not None:
        evaluation.write_per_sequence(found, per_sequence)
