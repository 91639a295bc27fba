"""Signals that stop the command: SIGINT (Ctrl-C), SIGTERM and SIGHUP, with exit code 130.

The first signal raises KeyboardInterrupt in the main thread, so that a verb removes its temporary
files. Python alone would lose some signals: it handles them between two bytecodes, thus not before
a long call into a library returns, and it discards an exception that is raised in a finalizer or
in the callback of a library. So a thread watches the signals, too. It repeats a discarded
exception, and it ends the process if the verb takes longer than ``GRACE_S`` to clean up, or if a
second signal arrives.

An exception inside an import can crash a library that is half initialised. So a signal during an
import ends the process at once, with the same clean-up of temporary folders.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any, Literal

STOPPED = 130
"""Exit code after a signal."""
NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
GRACE_S = 5.0
"""Seconds that a verb has to clean up after a signal."""
REPEAT_S = 0.25
"""A signal so soon after the first one is the same request: supervisors send SIGTERM and SIGHUP
together, and wrappers forward the signal that the terminal sends as well."""
_RETRY_S = 0.02
"""Seconds until a discarded KeyboardInterrupt is raised again."""
_DISCARDED = b"\0"
"""What is written to the watching thread when a KeyboardInterrupt was discarded."""
_SHOW_CURSOR = b"\x1b[?25h"
"""Shows the cursor of a terminal, which a progress display hides."""


class StopSignals:
    """Handles the signals in a ``with`` block. Outside the main thread it does nothing.

    A signal that the process ignores, as under ``nohup``, stays ignored. A verb may replace the
    handlers: then it decides what the first signal does, and a second one ends the process.

    Attributes:
        is_stopping: whether a signal was received that no handler of the verb took.
        was_received: whether any signal was received.
        phase: set it to ``running`` where a KeyboardInterrupt is caught, and to ``over`` at the end
            of the verb. A signal before ends the process, a signal after it is ignored.
    """

    def __init__(self, *, is_process: bool = False) -> None:
        """Prepare, without handling signals yet.

        Args:
            is_process: whether the process ends with the block. Signals are then ignored after it,
                and a signal during an import ends the process.
        """
        self.is_stopping = False
        self.was_received = False
        self.phase: Literal["starting", "running", "over"] = "starting"
        self._is_process = is_process
        self._is_raised = False
        self._previous: dict[int, Any] = {}
        self._repeats = 0

    def __enter__(self) -> StopSignals:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        try:
            self._previous_fd = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            os.close(self._reading)
            os.close(self._writing)
            return self
        self._previous_hook = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable
        _thread.start_new_thread(self._watch, (self._reading,))
        for number in NUMBERS:
            if (handler := signal.getsignal(number)) != signal.SIG_IGN:
                self._previous[number] = handler
                signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if not hasattr(self, "_previous_hook"):
            return
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if self._is_process else handler)
        signal.set_wakeup_fd(self._previous_fd)
        sys.unraisablehook = self._previous_hook
        os.close(self._writing)  # ends the thread

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        self.is_stopping = True
        if self._is_process and (self.phase == "starting" or _is_importing(frame)):
            end_process()
        if self.phase == "running" and not self._is_raised:
            self._is_raised = True
            raise KeyboardInterrupt

    def _on_unraisable(self, discarded: Any) -> None:
        if self.is_stopping and issubclass(discarded.exc_type, KeyboardInterrupt):
            os.write(self._writing, _DISCARDED)
        else:
            self._previous_hook(discarded)

    def _watch(self, reading: int) -> None:
        """Read what arrives at the pipe: the numbers of signals, and ``_DISCARDED``."""
        first_s = deadline_s = None
        while True:
            wait_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            if not select.select([reading], [], [], wait_s)[0]:
                end_process()
            if not (byte := os.read(reading, 1)):
                os.close(reading)
                return
            number, now_s = byte[0], time.monotonic()
            if byte == _DISCARDED:
                self._repeat()
            elif number not in self._previous:
                continue
            elif self._repeats:
                self._repeats -= 1  # the signal that `_repeat` simulated
            elif first_s is None:
                first_s, self.was_received = now_s, True
                if signal.getsignal(number) == self._interrupt:
                    deadline_s = now_s + GRACE_S
            elif now_s - first_s > REPEAT_S:
                end_process()

    def _repeat(self) -> None:
        time.sleep(_RETRY_S)
        self._repeats += 1
        self._is_raised = False
        _thread.interrupt_main(signal.Signals(next(iter(self._previous))))


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def end_process() -> None:
    """End the process at once with exit code 130; only temporary folders are removed."""
    # Not imported here: a signal may have come while that module is imported.
    module = sys.modules.get("segue.storage.temporary")
    if remove_temporary_folders := getattr(module, "remove_temporary_folders", None):
        remove_temporary_folders()
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
    os._exit(STOPPED)
