"""The process of the command: its streams, and the warnings of libraries, which it silences.

Only the command does this. The library leaves the warnings and logging of its host unchanged.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings

from segue.cli.failures import TRACEBACK_VARIABLE
from segue.storage.temporary import remove_temporary_folders

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "3", "GRPC_VERBOSITY": "NONE"}
"""Environment variables that silence the C++ libraries of JAX, which read them when loaded."""


def prepare_streams() -> None:
    """Make the standard streams fit for any text, also where one of them is closed."""
    if sys.stdout is None:  # closed by the shell's >&-: writing fails, as it should
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal cannot show must not end a verb with an error.
            stream.reconfigure(errors="replace")


def silence_libraries() -> None:
    """Keep warnings and logs of libraries from stderr, whatever ``-W`` and the environment say.

    All that a user has to know, Segue says itself, in one line.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def end() -> None:
    """Remove what an interrupted clean-up left, and silence libraries at the interpreter's end.

    They print warnings about leaks then, for example.
    """
    remove_temporary_folders()
    if not os.environ.get(TRACEBACK_VARIABLE):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
