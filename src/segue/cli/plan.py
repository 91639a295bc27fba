"""``segue plan``: what a run would take, before it is begun."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli.options import Changes, ConfigFile, Json, Preset, TrainedOn


def plan(
    dataset: TrainedOn,
    preset: Preset = None,
    config: ConfigFile = None,
    changes: Changes = None,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Take no step, and tell nothing of the time.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what memory and time a run would take.

    Takes the options of train, compiles its step and takes a few; writes nothing. Tells too
    whether the run fits, and what would suit it better.
    """
    from segue import trainer
    from segue.cli.console import notes
    from segue.cli.plan_report import print_plan

    with notes().status("compiling, and taking a few steps"):
        found = trainer.plan(
            dataset, preset=preset, config=config, overrides=changes, probe=not no_probe
        )
    print_plan(found, as_json)
