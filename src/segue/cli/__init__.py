"""The command line: one file a verb, each of which parses, calls one function and prints.

``app`` registers the verbs and turns errors into one line; ``options`` reads their values;
``console``, ``tables`` and ``progress`` draw. Nothing heavy is imported until a verb runs, so
that ``--help`` answers at once.
"""

from segue.cli.app import app, main

__all__ = ["app", "main"]
