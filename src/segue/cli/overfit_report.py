"""How one batch was learned by heart, for people and as JSON."""

from __future__ import annotations

from segue.cli.console import print_json, results
from segue.trainer import Overfitted


def print_overfitted(found: Overfitted, as_json: bool) -> None:
    """Say that a batch was learned by heart."""
    if as_json:
        print_json(found._asdict())
        return
    left = f"; {found.undecided} more follow from nothing" if found.undecided else ""
    results().print(
        f"one batch overfitted: all {found.targets} targets reached after {found.steps} steps, "
        f"at a loss of {found.loss:.4f}{left}"
    )
