"""What a run would take, for people and as JSON."""

from __future__ import annotations

from segue.cli.console import print_json, results
from segue.cli.tables import clock, facts, table
from segue.trainer import Plan

MEMORY = {
    "process": "libraries, items",
    "compiler": "what compiling leaves",
    "dataset": "mapped sequences",
    "parameters": "parameters",
    "optimizer": "optimizer state",
    "features": "item features, blended vectors",
    "step": "a step beside these",
    "validation": "a validation beside these",
    "beginning": "first embeddings",
    "resume": "reading a checkpoint",
}
"""What the parts of a run's memory are called."""
COLUMNS = ("what to train", "peak, GB", "fits")


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print what a run would take."""
    if as_json:
        print_json(plan.to_json())
        return
    out = results()
    out.print(facts(_run(plan)))
    out.print()
    out.print(table(("memory", "GB"), _memory(plan), left=("memory",)))
    out.print()
    out.print(table(COLUMNS, _options(plan), left=COLUMNS[:1]))
    for option in plan.options:
        out.print(f"{option.name}: {_changes(option.settings)}", soft_wrap=True)
    out.print()
    out.print(f"advice: {_changes(plan.advice)}", soft_wrap=True)


def _run(plan: Plan) -> dict[str, str]:
    rows = {
        "dataset": f"{plan.dataset}, an item table of {plan.table_size:,} rows",
        "steps": f"{plan.total_steps:,}, {plan.steps_per_epoch:,} an epoch",
    }
    if plan.softmax_block is not None:
        rows["softmax"] = f"exact, {plan.softmax_block:,} rows of the table at a time"
    if plan.times is not None:
        times = plan.times
        rows["time"] = (
            f"{1000 * times.step:.1f} ms a step, {clock(times.epoch)} an epoch, "
            f"{clock(times.run)} in all, validations not counted"
        )
        rows["input"] = f"{1000 * times.batch:.1f} ms a batch, while a step runs"
    rows["compiling"] = f"{plan.compilation:.1f} s"
    return rows


def _memory(plan: Plan) -> list[list[str]]:
    memory, peaks = plan.memory, plan.peaks
    rows = [[label, _gb(getattr(memory, part))] for part, label in MEMORY.items()]
    parts = ", ".join(
        f"{part} {_gb(getattr(memory, part))}" for part in ("gradients", "activations", "logits")
    )
    rows.insert(
        list(MEMORY).index("step") + 1, [f"  by the formula: {parts}", _gb(plan.estimated_step)]
    )
    rows += [
        ["peak of training", _gb(peaks.training)],
        ["peak while a checkpoint is written", _gb(peaks.saving)],
        ["peak while a run is resumed", _gb(peaks.resuming)],
        ["to be free for it", _gb(plan.needed)],
    ]
    if plan.available is not None:
        verdict = "it fits" if plan.fits else "it does not fit"
        rows.append([f"available: {verdict}", _gb(plan.available)])
    return rows


def _options(plan: Plan) -> list[list[str]]:
    words = {True: "yes", False: "no", None: "unknown"}
    return [[option.name, _gb(option.peak), words[option.fits]] for option in plan.options]


def _changes(settings: list[str]) -> str:
    return " ".join(f"--set {setting}" for setting in settings) or "as it is"


def _gb(size: int) -> str:
    return f"{size / 1e9:.3f}"
