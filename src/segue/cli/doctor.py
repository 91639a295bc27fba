"""``segue doctor``: does this installation work, and on what?"""

from __future__ import annotations

import typer

from segue.cli.options import Json

FAILED = 1
"""Exit code when a check failed."""


def doctor(as_json: Json = False) -> None:
    """Show what Segue runs on, and test that it works."""
    from segue.cli.console import notes, print_json, results
    from segue.cli.machine import described, machine
    from segue.cli.self_test import self_test
    from segue.cli.tables import facts

    found = machine()
    with notes().status("testing"):
        checks = self_test()
    healthy = all(check.error is None for check in checks)
    if as_json:
        tried = [check._asdict() for check in checks]
        print_json({**found, "checks": tried, "healthy": healthy})
    else:
        results().print(facts(described(found)))
        for check in checks:
            mark = "ok     " if check.error is None else "failed "
            error = f": {check.error}" if check.error else ""
            results().print(f"{mark}{check.name} ({check.seconds:.1f} s){error}")
    if not healthy:
        raise typer.Exit(FAILED)
