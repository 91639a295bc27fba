"""``segue plan``: the memory and time of a training run, estimated before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli.console import duration, key_values, print_json, stderr, stdout, table
from segue.cli.option_values import parse_changes
from segue.cli.options import Budget, Changes, ConfigFile, DatasetPath, EnsembleOption, Json, Preset

if TYPE_CHECKING:
    from segue.trainer.plan import Plan

MEMORY_LABELS = {
    "process": "libraries and items",
    "compiler": "allocated by the compiler",
    "dataset": "memory-mapped sequences",
    "parameters": "parameters",
    "optimizer": "optimizer state",
    "features": "item features, ensemble vectors",
    "step": "training step, in addition",
    "validation": "validation, in addition",
    "initialisation": "computing initial embeddings",
    "resume": "reading a checkpoint",
    "second": "training the second transformer, in addition",
    "members": "fitting the other members, in addition",
}
"""Labels of the fields of ``MemoryUse``, in the order of the table."""
AS_CONFIGURED = "as configured"
"""Shown for an option that changes no setting."""
OPTION_COLUMNS = ("training option", "peak, GB", "fits")


def plan(
    data: DatasetPath,
    preset: Preset = None,
    config: ConfigFile = None,
    changes: Changes = None,
    budget: Budget = None,
    ensemble: EnsembleOption = None,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Take no training step and estimate no time.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Estimate the memory and time of a training run.

    Takes the configuration options of train, compiles the training step and takes a few steps;
    writes nothing. Also shows whether the run fits into memory, and recommends settings.
    """
    from segue.trainer import plan as planner

    with stderr().status("compiling, then taking a few steps"):
        result = planner.plan(
            data,
            preset=preset,
            config=config,
            budget=budget,
            ensemble=ensemble,
            probe=not no_probe,
            **parse_changes(changes),
        )
    print_plan(result, as_json)


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print a resource estimate."""
    if as_json:
        print_json(plan.to_dict())
        return
    from segue.trainer.plan import as_options

    console = stdout()
    for reason in plan.reasons:
        console.print(reason, soft_wrap=True)
    console.print(key_values(_run_facts(plan)))
    console.print()
    console.print(table(("memory", "GB"), _memory_rows(plan), text_columns=("memory",)))
    console.print()
    console.print(table(OPTION_COLUMNS, _option_rows(plan), text_columns=OPTION_COLUMNS[:1]))
    for option in plan.options:
        changes = as_options(option.settings) or AS_CONFIGURED
        console.print(f"{option.name}: {changes}", soft_wrap=True)
    console.print()
    changes = as_options(plan.recommendations) or AS_CONFIGURED
    console.print(f"recommended: {changes}", soft_wrap=True)


def _run_facts(plan: Plan) -> dict[str, str]:
    rows = {
        "dataset": f"{plan.dataset}, a vocabulary of {plan.vocabulary_size:,} tokens",
        "steps": f"{plan.total_steps:,}, {plan.steps_per_epoch:,} per epoch",
    }
    if plan.softmax_logits is not None:
        rows["softmax"] = f"exact, {plan.softmax_logits:,} logits at a time"
    if plan.times is not None:
        times = plan.times
        rows["time"] = (
            f"{1000 * times.step:.1f} ms per step, {duration(times.epoch)} per epoch, "
            f"{duration(times.run)} in total, without validations"
        )
        rows["input"] = f"{1000 * times.batch:.1f} ms per batch, made while a step runs"
    rows["compiling"] = f"{plan.compilation:.1f} s"
    return rows


def _memory_rows(plan: Plan) -> list[list[str]]:
    memory, peaks = plan.memory, plan.peaks
    rows = [[label, _gb(getattr(memory, field))] for field, label in MEMORY_LABELS.items()]
    terms = ", ".join(
        f"{field} {_gb(getattr(memory, field))}" for field in ("gradients", "activations", "logits")
    )
    rows.insert(
        list(MEMORY_LABELS).index("step") + 1,
        [f"  by the formula: {terms}", _gb(plan.estimated_step)],
    )
    rows += [
        ["peak of training", _gb(peaks.training)],
        ["peak while a checkpoint is written", _gb(peaks.saving)],
        ["peak while a run is resumed", _gb(peaks.resuming)],
        ["needed", _gb(plan.needed)],
    ]
    if plan.available is not None:
        verdict = "the run fits" if plan.fits else "the run does not fit"
        rows.append([f"available: {verdict}", _gb(plan.available)])
    return rows


def _option_rows(plan: Plan) -> list[list[str]]:
    labels = {True: "yes", False: "no", None: "unknown"}
    return [[option.name, _gb(option.peak), labels[option.fits]] for option in plan.options]


def _gb(size: int) -> str:
    return f"{size / 1e9:.3f}"
