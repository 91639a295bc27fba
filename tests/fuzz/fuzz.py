"""The fuzzing target: damaged logs and folders must end in an answer or in one clear line.

    PYTHONPATH=tests python tests/fuzz/fuzz.py --logs 2000 --folders 500 --seed 0

For each format of logs it makes ``--logs`` random logs, about half of them damaged, and prepares
them. It prints a table and one JSON line, and exits with 1 if anything broke a rule:

- the exit code is 0, 2 or 130; an error is one line and no traceback;
- no command takes more than 20 seconds, or more memory than twice ``--memory-limit``;
- after an error, neither a dataset nor a temporary file remains;
- a dataset has the counts of a second, independent parser; an undamaged log is read.

Then it mutates ``--folders`` datasets and runs, half of each, and calls the commands that read
them; the same rules hold. The inputs of findings are kept under ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from logs import FORMATS, FuzzLog
from plain_parse import LogCounts

from mutations import Kind, random_mutation

TIMEOUT_S = 20
MEMORY_LIMIT = 300_000_000
"""``--memory-limit`` of the commands, in bytes; a process may take twice as much."""

FOLDER_MEMORY = 1_500_000_000
"""Memory that a command on a small run or dataset may take, in bytes, with JAX's compiler."""

WORLD = ("--format", "demo", "--sequences", "120", "--items", "100", "--mean-length", "6")
MODEL = ("layers=1", "width=16", "feed_forward=16", "context=12", "max_steps=4", "validate_every=2")
"""The size of the folders that are mutated."""

COMMANDS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "dataset": (
        ("inspect", "FOLDER"),
        ("search", "FOLDER", "a"),
        ("evaluate", "popularity", "--data", "FOLDER", "--no-baselines", "--resamples", "10"),
        ("plan", "FOLDER", "--no-probe"),
    ),
    "run": (
        ("inspect", "FOLDER"),
        ("inspect", "FOLDER", "--model"),
        ("recommend", "FOLDER", "--items", "no such item"),
        ("generate", "FOLDER", "--length", "3"),
        ("search", "FOLDER", "a"),
    ),
}
"""The commands that read a mutated folder."""

COMMANDS_PER_WORKER = 500
"""A worker process is replaced after this many commands."""


class Finding(NamedTuple):
    """A rule that a command broke."""

    kind: str
    case: str
    detail: str


class Worker:
    """A process that runs commands; it is started again when it has hung or ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._n_commands = 0

    def run(
        self, arguments: list[str], temporary: Path, timeout_s: float = TIMEOUT_S
    ) -> dict[str, Any]:
        """Run one command of ``segue``; ``code`` is None if it hung or the process ended."""
        process = self._started(temporary)
        line = json.dumps(arguments).encode("utf-8") + b"\n"
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        self._n_commands += 1
        if not select.select([process.stdout], [], [], timeout_s)[0]:
            self.stop()
            return {
                "code": None,
                "err": f"no end after {timeout_s} s",
                "seconds": TIMEOUT_S,
                "peak": 0,
            }
        reply = process.stdout.readline()
        if not reply:
            code = process.wait()
            self.stop()
            return {"code": None, "err": f"the process ended with {code}", "peak": 0}
        return json.loads(reply)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self, temporary: Path) -> subprocess.Popen[bytes]:
        if self._process is None or self._n_commands >= COMMANDS_PER_WORKER:
            self.stop()
            self._n_commands = 0
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"TMPDIR": str(temporary), "SEGUE_TRACEBACK": ""},
            )
        return self._process


def check_log(
    worker: Worker, log: FuzzLog, folder: Path, temporary: Path
) -> Iterator[tuple[str, str]]:
    """Prepare a log, and yield the kind and the details of each rule that is broken."""
    out = folder / "dataset"
    arguments = ["prepare", str(log.path), "-o", str(out), *log.options]
    arguments += ["--memory-limit", f"{MEMORY_LIMIT // 10**6}MB", "--split", "leave-one-out"]
    if log.is_frame:
        arguments = ["frame", str(log.path), str(out)]
    outcome = worker.run(arguments, temporary)
    yield from check_outcome(outcome)
    remains = [path.name for path in temporary.iterdir()] if temporary.is_dir() else []
    remains += [path.name for path in folder.glob(".*")]
    if outcome["code"] != 0 and out.exists():
        remains.append(out.name)
    if remains:
        yield "remains", ", ".join(remains)
    if outcome["code"] == 0:
        manifest = json.loads((out / "manifest.json").read_bytes())["counts"]
        counts = LogCounts(manifest["sequences"], manifest["events"], manifest["items"])
        if log.counts is not None and counts != log.counts:
            yield "counts", f"got {counts}, expected {log.counts}"
    elif log.must_be_read:
        yield "not read", outcome["err"].strip()


def check_outcome(
    outcome: dict[str, Any], memory: int = 2 * MEMORY_LIMIT
) -> Iterator[tuple[str, str]]:
    """Yield the rules that any command must keep and this one broke."""
    code, err = outcome["code"], outcome["err"]
    if code not in (0, 2, 130):
        yield "exit code", f"{code}: {err.strip()[-300:]}"
    elif "Traceback" in err:
        yield "traceback", err.strip()[-300:]
    elif code == 2 and sum(line.startswith("error:") for line in err.splitlines()) != 1:
        yield "not one line", err.strip()[-300:]
    if any(ord(mark) < 32 and mark not in "\n\r" for mark in err):
        yield "control characters", repr(err[-200:])
    if outcome["peak"] > memory:
        yield "memory", f"{outcome['peak']:,} bytes"


def fuzz_logs(
    name: str, seeds: range, work: Path, keep: Path | None
) -> tuple[Counter, list[Finding]]:
    """Prepare one log per seed in one worker process."""
    worker, outcomes, findings = Worker(), Counter(), []
    temporary = work / "tmp"
    temporary.mkdir(parents=True)
    try:
        for seed in seeds:
            folder = work / str(seed)
            folder.mkdir()
            log = FORMATS[name](Random(f"{name} {seed}"), folder)
            broken = list(check_log(worker, log, folder, temporary))
            outcomes["damaged" if not log.must_be_read else "whole"] += 1
            outcomes["compared"] += log.counts is not None
            findings += [
                Finding(kind, f"{name} {seed}", f"{log.story}: {text}") for kind, text in broken
            ]
            if broken and keep is not None:
                shutil.copytree(folder, keep / f"{name}-{seed}", dirs_exist_ok=True)
            shutil.rmtree(folder)
            for path in temporary.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        worker.stop()
    return outcomes, findings


def make_folders(work: Path) -> dict[Kind, Path]:
    """A small dataset and a run on it, to be mutated."""
    worker, folders = Worker(), {"dataset": work / "dataset", "run": work / "run"}
    changes = [word for change in MODEL for word in ("--set", change)]
    for arguments in (
        ["prepare", *WORLD, "-o", str(folders["dataset"])],
        ["train", str(folders["dataset"]), "-o", str(folders["run"]), *changes],
    ):
        outcome = worker.run(arguments, work, timeout_s=120)
        if outcome["code"] != 0:
            raise RuntimeError(outcome["err"])
    worker.stop()
    return folders


def fuzz_folders(
    folders: dict[Kind, Path], seeds: range, work: Path, keep: Path | None
) -> tuple[Counter, list[Finding]]:
    """Mutate one folder per seed, and run the commands that read it."""
    worker, outcomes, findings = Worker(), Counter(), []
    temporary, copy = work / "tmp", work / "copy"
    temporary.mkdir(parents=True)
    try:
        for seed in seeds:
            kind: Kind = "dataset" if seed % 2 else "run"
            shutil.copytree(folders[kind], copy)
            mutation = random_mutation(kind, folders[kind], seed)
            mutation.edit(copy)
            n_before = len(findings)
            for command in COMMANDS[kind]:
                arguments = [str(copy) if word == "FOLDER" else word for word in command]
                outcome = worker.run(arguments, temporary)
                outcomes[f"{kind} {'refused' if outcome['code'] == 2 else 'read'}"] += 1
                case = f"{kind} {seed} {command[0]}"
                broken = check_outcome(outcome, FOLDER_MEMORY)
                findings += [Finding(rule, case, f"{mutation.name}: {t}") for rule, t in broken]
            if len(findings) > n_before and keep is not None:
                _keep_regular_files(copy, keep / f"{kind}-{seed}")
            shutil.rmtree(copy)
    finally:
        worker.stop()
    return outcomes, findings


def _keep_regular_files(folder: Path, target: Path) -> None:
    """Copy the files of a mutated folder, without the pipes and links that it may have."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 26:
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def in_parts(
    n: int, n_workers: int, first: int, task: Callable[[range, int], tuple[Counter, list[Finding]]]
) -> tuple[Counter, list[Finding]]:
    """Run a task for the seeds ``first`` to ``first + n``, in several threads."""
    with ThreadPoolExecutor(n_workers) as pool:
        seeds = [range(first + part, first + n, n_workers) for part in range(n_workers)]
        results = list(pool.map(task, seeds, range(n_workers)))
    findings = [finding for _, new in results for finding in new]
    return sum((outcomes for outcomes, _ in results), Counter()), findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=int, default=2000, help="logs of each format")
    parser.add_argument("--folders", type=int, default=500, help="run and dataset folders")
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs of findings")
    options = parser.parse_args(arguments)
    rows, findings = {}, []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for name in options.formats if options.logs else ():
            rows[name], new = in_parts(
                options.logs,
                options.workers,
                options.seed,
                lambda seeds, part, name=name: fuzz_logs(
                    name, seeds, Path(scratch) / f"{name}-{part}", options.keep
                ),
            )
            findings += new
            n_kinds = Counter(finding.kind for finding in new)
            print(f"{name:10} {dict(rows[name])} findings {dict(n_kinds)}", flush=True)
        if options.folders:
            folders = make_folders(Path(scratch))
            rows["folders"], new = in_parts(
                options.folders,
                options.workers,
                options.seed,
                lambda seeds, part: fuzz_folders(
                    folders, seeds, Path(scratch) / f"folders-{part}", options.keep
                ),
            )
            findings += new
            print(f"folders    {dict(rows['folders'])} findings {len(new)}", flush=True)
    for finding in findings:
        print(f"{finding.case}: {finding.kind}: {finding.detail}")
    print(json.dumps({"cases": rows, "findings": len(findings), "seed": options.seed}))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
