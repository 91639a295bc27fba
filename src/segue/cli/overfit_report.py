"""How one batch was learned by heart, for people and as JSON."""

from __future__ import annotations

from segue.cli.console import print_json, results
from segue.trainer import Overfitted
from segue.wording import counted


def print_overfitted(found: Overfitted, as_json: bool) -> None:
    """Say that a batch was learned by heart."""
    if as_json:
        print_json(found._asdict())
        return
    more = counted(found.undecided, "more follows", "more follow")
    left = f"; {more} from nothing" if found.undecided else ""
    results().print(
        f"one batch overfitted: {counted(found.targets, 'target')} reached after "
        f"{counted(found.steps, 'step')}, at a loss of {found.loss:.4f}{left}"
    )
