"""The command line: one file per verb, which parses options, calls one function and prints.

``app`` registers the verbs and turns exceptions into messages and exit codes; ``options`` holds
the options that verbs share; ``console`` prints; ``evaluation_report`` prints the results of
three verbs. Verbs import heavy libraries only when they run, so that ``--help`` is fast.
"""

from segue.cli.app import app, main

__all__ = ["app", "main"]
