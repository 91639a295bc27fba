"""The command line: one file per verb, which parses options, calls one function and prints.

``app`` registers the verbs, ``failures`` turns exceptions into messages and exit codes,
``signals`` stops a verb; ``options`` holds the options that verbs share; ``console`` prints;
``evaluation_report`` prints the results of three verbs. Verbs import heavy libraries only when
they run, so that ``--help`` is fast; ``main`` imports even ``app`` late, so that a signal is
handled from the first moment on.
"""

from __future__ import annotations

from collections.abc import Sequence

from segue.cli.signals import STOPPED, StopSignals, end_process

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``segue``. By default those of the process, which is then taken
            to end with this call: warnings of libraries are silenced, and signals are ignored
            once the verb has ended.

    Returns:
        The exit code: 0 done; 1 a bug in Segue, a failed self-test, or a closed output pipe; 2 an
        error that the user can fix, explained in one line; 130 stopped by a signal.
    """
    is_process = arguments is None
    with StopSignals(is_process=is_process) as signals:
        try:
            code = _run(arguments, signals)
        except KeyboardInterrupt:
            code = STOPPED
        if is_process and code == STOPPED:
            # Without the interpreter's own end: where the KeyboardInterrupt went through an exec or
            # eval of text, the interpreter would end by SIGINT instead of with the exit code.
            end_process()
        if is_process:
            from segue.cli.process import end

            end()
    return code


def _run(arguments: Sequence[str] | None, signals: StopSignals) -> int:
    try:
        signals.phase = "running"
        from segue.cli.app import run
        from segue.cli.process import prepare_streams, silence_libraries

        prepare_streams()
        if arguments is None:
            silence_libraries()
        code = run(arguments)
    except Exception as error:  # noqa: BLE001 - `report` tells the kinds apart
        # Libraries turn the KeyboardInterrupt of a signal into exceptions of their own.
        if signals.is_stopping:
            return STOPPED
        from segue.cli.failures import report

        return report(error)
    else:
        # A verb such as doctor may have taken the signal for a failure.
        return STOPPED if code and signals.was_received else code
    finally:
        signals.phase = "over"
