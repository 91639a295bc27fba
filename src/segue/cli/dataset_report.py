"""What a prepared dataset holds, for people and as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from segue.cli.console import print_json, results
from segue.cli.tables import facts, histogram, percent, table
from segue.dataset import Dataset


def as_plain(data: Dataset) -> dict[str, Any]:
    """The manifest as plain values, with the folder; what ``--json`` prints."""
    manifest = msgspec.to_builtins(data.manifest)
    del manifest["files"]
    return {"kind": "dataset", "path": str(data.path), "name": data.name, **manifest}


def print_overview(data: Dataset, as_json: bool) -> None:
    """Print what was prepared: source, counts, split, parts."""
    if as_json:
        print_json(as_plain(data))
        return
    console = results()
    console.print(facts(_overview(data)))
    console.print()
    console.print(_parts(data))


def print_audit(data: Dataset, as_json: bool) -> None:
    """Print the overview and all that the audit found, histograms too."""
    print_overview(data, as_json)
    if as_json:
        return
    console, audit = results(), data.manifest.audit
    console.print()
    console.print(facts(_findings(audit)))
    titles = {"lengths": "events in a sequence", "popularity": "events of an item"}
    for name, title in titles.items():
        console.print()
        console.print(title, style="bold")
        console.print(histogram(audit[name]["histogram"], console))


def _overview(data: Dataset) -> dict[str, str]:
    manifest, counts, audit = data.manifest, data.manifest.counts, data.manifest.audit
    report = manifest.source["report"]
    rows = {
        "dataset": str(data.path),
        "source": manifest.source["format"],
        "columns": _columns(report),
        "items file": _items_file(report),
        "sequences": f"{counts.sequences:,}, {_range(audit['lengths'], 'events')}",
        "events": f"{counts.events:,}",
        "items": f"{counts.items:,}, {_range(audit['popularity'], 'events')}",
        "catalogue": f"{counts.catalogue:,} items can be recommended",
        "split": f"{manifest.split.kind}, seed {manifest.split.seed}",
        "warnings": "\n".join([*report["warnings"], *audit["warnings"]]),
    }
    return {name: value for name, value in rows.items() if value}


def _range(found: dict[str, Any], unit: str) -> str:
    """``1 to 80 events, median 12``."""
    return f"{found['min']:,} to {found['max']:,} {unit}, median {found['quartiles'][1]:,g}"


def _columns(report: dict[str, Any]) -> str:
    """``user=userId, item=movieId``; empty where there are none to choose."""
    return ", ".join(f"{role}={name}" for role, name in report.get("columns", {}).items() if name)


def _items_file(report: dict[str, Any]) -> str:
    """Which columns the file of items has, and how many of the log's items it describes."""
    found = report.get("items_file")
    if found is None:
        return ""
    vectors = [f"{name} ({width:,} numbers)" for name, width in found["vectors"].items()]
    columns = ", ".join([_columns(found), *found["further"], *vectors])
    return f"{columns}\ndescribes {found['described']:,} of the log's {found['of']:,} items"


def _parts(data: Dataset) -> Table:
    parts = data.manifest.audit["parts"]
    rows = [["train", f"{parts['train']['sequences']:,}", f"{parts['train']['events']:,}"]]
    for name in ("validation", "test"):
        part = parts[name]
        shares = [percent(part["cold_share"]), percent(part["ceiling"])] if part["targets"] else []
        counts = [f"{part[key]:,}" for key in ("sequences", "events", "targets")]
        rows.append([name, *counts, *shares])
    columns = ("part", "sequences", "events", "targets", "cold", "ceiling")
    return table(columns, rows, left=("part",))


def _findings(audit: dict[str, Any]) -> dict[str, str]:
    repeats, leakage, times = audit["repeats"], audit["leakage"], audit["times"]
    rows = {
        "density": percent(audit["counts"]["density"]),
        "repeats": f"{percent(repeats['share'])} of the events have an item of their sequence",
    }
    if times is not None:
        rows["times"] = f"{times['from'][:10]} to {times['to'][:10]}"
        rows["ties"] = f"{percent(times['tie_share'])} of the events tie with the one before"
        rows["duplicates"] = f"{times['duplicates']:,} events have item and time of another"
    rows["promise"] = _promise(leakage)
    return rows


def _promise(leakage: dict[str, Any]) -> str:
    if leakage["promise"] is None:
        return "none: training windows overlap the held-out targets, by design"
    kept = "kept" if not leakage["violations"] else f"broken {leakage['violations']:,} times"
    return f"{leakage['promise']}: {kept}"
