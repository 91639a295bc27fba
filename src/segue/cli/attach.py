"""``segue attach``: copy the histories of a dataset into a run."""

from __future__ import annotations

from typing import Any

from segue.cli.console import key_values, percent, print_json, stderr, stdout
from segue.cli.options import DatasetPath, Json, RunPath
from segue.errors import quantity


def attach(run: RunPath, data: DatasetPath, as_json: Json = False) -> None:
    """Copy the histories of a dataset into a run, for --user and for the people of the page.

    All events of all sequences are copied. The run then contains the data of people.
    """
    from segue.recommender import Run

    summary = Run.open(run).attach(data)
    if as_json:
        print_json({"run": str(run), "histories": summary})
        return
    stdout().print(key_values({"run": str(run), "histories": histories_line(summary)}))
    if n_users := summary["users_in_training"]:
        stderr().print(
            f"{n_users:,} of these users have the id of a user of the training, and the model "
            "takes them for the same: attach other people under ids of their own",
            soft_wrap=True,
        )


def histories_line(summary: dict[str, Any]) -> str:
    """``6,040 users, 1,000,209 events, 4.1 MB, from the dataset ml-1m``."""
    line = (
        f"{quantity(summary['users'], 'user')}, {quantity(summary['events'], 'event')}, "
        f"{summary['bytes'] / 1e6:,.1f} MB, from the dataset {summary['dataset']}"
    )
    unknown = summary.get("unknown_events")
    if not unknown:
        return line
    share = percent(unknown / summary["events"])
    return f"{line}; {quantity(unknown, 'event')} ({share}) of unknown items"
