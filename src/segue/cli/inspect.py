"""``segue inspect``: the audit of a dataset, the card of a run, or the summary of its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.cli.attach import histories_line
from segue.cli.console import histogram, key_values, percent, print_json, stderr, stdout, table
from segue.cli.option_values import parse_path
from segue.cli.options import Json
from segue.cli.train import card_summary
from segue.errors import RequestError

if TYPE_CHECKING:
    from rich.table import Table

    from segue.dataset import Dataset
    from segue.inspection import ModuleRow
    from segue.runs import RunFolder

MODEL_COLUMNS = ("module", "kind", "parameter shapes", "output", "parameters", "FLOPs")


def inspect(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="DATASET|RUN", help="A folder written by prepare or train."
        ),
    ],
    model: Annotated[
        bool,
        typer.Option(
            "--model", help="Show the model of a run: modules, shapes, parameters, FLOPs."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the audit of a dataset, or the card or the model of a run."""
    from segue.dataset import Dataset
    from segue.runs import check_run_or_dataset, is_run

    check_run_or_dataset(folder)
    if model and not is_run(folder):
        raise RequestError(f"{folder} is a dataset and has no model", "give a run folder")
    if model:
        print_model(folder, as_json)
    elif is_run(folder):
        print_card(folder, as_json)
    else:
        print_audit(Dataset.open(folder), as_json)


def print_overview(data: Dataset, as_json: bool) -> None:
    """Print the source, counts, split and parts of a dataset; as JSON its manifest."""
    if as_json:
        print_json(_manifest_json(data))
        return
    console = stdout()
    console.print(key_values(_overview(data)))
    console.print()
    console.print(_parts_table(data))


def print_audit(data: Dataset, as_json: bool) -> None:
    """Print the overview of a dataset, then all findings of its audit with histograms."""
    print_overview(data, as_json)
    if as_json:
        return
    console, audit = stdout(), data.manifest.audit
    console.print()
    console.print(key_values(_findings(audit)))
    titles = {"lengths": "events per sequence", "popularity": "events per item"}
    for name, title in titles.items():
        console.print()
        console.print(title, style="bold")
        console.print(histogram(audit[name]["histogram"], console))


def _manifest_json(data: Dataset) -> dict[str, Any]:
    import msgspec

    manifest = msgspec.to_builtins(data.manifest)
    del manifest["files"]
    return {"kind": "dataset", "path": str(data.path), "name": data.name, **manifest}


def _overview(data: Dataset) -> dict[str, str]:
    manifest, counts, audit = data.manifest, data.manifest.counts, data.manifest.audit
    report = manifest.source["report"]
    rows = {
        "dataset": str(data.path),
        "source": manifest.source["format"],
        "columns": _columns(report),
        "items file": _items_file(report),
        "sequences": f"{counts.sequences:,}, {_range_of_events(audit['lengths'])}",
        "events": f"{counts.events:,}",
        "items": f"{counts.items:,}, {_range_of_events(audit['popularity'])}",
        "catalogue": f"{counts.catalogue:,} items can be recommended",
        "split": f"{manifest.split.kind}, seed {manifest.split.seed}",
        "warnings": "\n".join([*report["warnings"], *audit["warnings"]]),
    }
    return {name: value for name, value in rows.items() if value}


def _range_of_events(statistics: dict[str, Any]) -> str:
    """``1 to 80 events, median 12``."""
    low, high, median = statistics["min"], statistics["max"], statistics["quartiles"][1]
    return f"{low:,} to {high:,} events, median {median:,g}"


def _columns(report: dict[str, Any]) -> str:
    """``user=userId, item=movieId``; empty for a format with fixed columns."""
    return ", ".join(f"{role}={name}" for role, name in report.get("columns", {}).items() if name)


def _items_file(report: dict[str, Any]) -> str:
    """The columns of the items file, and how many items of the log it describes."""
    items_file = report.get("items_file")
    if items_file is None:
        return ""
    vectors = [f"{name} ({width:,} numbers)" for name, width in items_file["vectors"].items()]
    columns = ", ".join([_columns(items_file), *items_file["further"], *vectors])
    counts = f"{items_file['described']:,} of the log's {items_file['of']:,} items"
    return f"{columns}\ndescribes {counts}"


def _parts_table(data: Dataset) -> Table:
    parts = data.manifest.audit["parts"]
    rows = [["train", f"{parts['train']['sequences']:,}", f"{parts['train']['events']:,}"]]
    for name in ("validation", "test"):
        part = parts[name]
        shares = (
            [percent(float(part["cold_share"])), percent(float(part["ceiling"]))]
            if part["targets"]
            else []
        )
        counts = [f"{part[key]:,}" for key in ("sequences", "events", "targets")]
        rows.append([name, *counts, *shares])
    columns = ("part", "sequences", "events", "targets", "cold", "ceiling")
    return table(columns, rows, text_columns=("part",))


def _findings(audit: dict[str, Any]) -> dict[str, str]:
    repeats, leakage, times = audit["repeats"], audit["leakage"], audit["times"]
    rows = {
        "density": percent(float(audit["counts"]["density"])),
        "repeats": f"{percent(float(repeats['share']))} of the events repeat an item of their "
        "sequence",
    }
    if times is not None:
        rows["times"] = f"{times['from'][:10]} to {times['to'][:10]}"
        rows["ties"] = f"{percent(float(times['tie_share']))} of the events tie with the one before"
        rows["duplicates"] = (
            f"{times['duplicates']:,} events have the item and time of another event"
        )
    rows["guarantee"] = _guarantee(leakage)
    return rows


def _guarantee(leakage: dict[str, Any]) -> str:
    """What the split guarantees about training and test events, and whether it holds."""
    if leakage["guarantee"] is None:
        return "none: training windows overlap the held-out targets, by design"
    violations = leakage["violations"]
    outcome = f"violated {violations:,} times" if violations else "holds"
    return f"{leakage['guarantee']}: {outcome}"


def print_card(run: Path, as_json: bool) -> None:
    """Verify the files of a run, then print its card, configuration and ensemble."""
    from segue.runs import RunFolder

    folder = RunFolder(run)
    card = folder.verify()
    histories = _histories(folder, card)
    config, _ = folder.read_config()
    ensemble = folder.ensemble.summary() if folder.ensemble.exists() else None
    if as_json:
        content = {"kind": "run", "path": str(folder.path), "card": card, "ensemble": ensemble}
        content["histories"] = histories
        print_json({**content, "config": config.model_dump(mode="json")})
        return
    rows = card_summary(folder.path, card)
    if histories is not None:
        rows["histories"] = histories_line(histories)
    stdout().print(key_values(rows))
    stdout().print()
    stdout().print("configuration", style="bold")
    sections = config.model_dump(mode="json")
    stdout().print(key_values({name: _named_values(values) for name, values in sections.items()}))
    if ensemble is not None:
        stdout().print()
        stdout().print("members of the ensemble", style="bold")
        stdout().print(key_values(_members(ensemble)))


def _histories(folder: RunFolder, card: dict[str, Any]) -> dict[str, Any] | None:
    """Verify the histories of a run and summarise them; None if it has none."""
    from segue.dataset.items_file import read_items
    from segue.runs.checksums import RUN_PROBLEMS
    from segue.runs.histories import StoredHistories
    from segue.storage.reading import exists

    if not exists(folder.histories):
        return None
    n_items = len(read_items(folder.path, RUN_PROBLEMS))
    checksum = card["checksums"][folder.items.name]
    return StoredHistories(folder.histories, checksum, n_items).summary()


def _named_values(values: dict[str, Any]) -> str:
    """``width=128, layers=2``."""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _members(ensemble: dict[str, Any]) -> dict[str, str]:
    """The members of an ensemble by name, the transformer first."""
    rows = {"transformer": f"weight {ensemble['encoder_weight']:g}"}
    for member in ensemble["members"]:
        scale = f", scale {member['scale']:g}" if "scale" in member else ""
        size = f"{member['entries']:,} entries, {member['bytes'] / 1e6:,.1f} MB"
        lines = [f"weight {member['weight']:g}{scale}", f"{member['kind']}, {size}"]
        history_weights = member.get("history_weights", {}).items()
        effective = {key: value for key, value in history_weights if value not in (None, False)}
        lines += [_named_values(member["parameters"]), _named_values(effective)]
        rows[member["name"]] = "\n".join(line for line in lines if line)
    return rows


def print_model(run: Path, as_json: bool) -> None:
    """Print the modules of a run's model with their shapes, parameters and FLOPs."""
    from segue.inspection import summarise_model, trace_encoder
    from segue.recommender import Recommender

    summary = summarise_model(trace_encoder(Recommender.load(run).encoder))
    if as_json:
        print_json({"kind": "model", "path": str(run), **summary.to_dict()})
        return
    total = ["total", "", "", "", f"{summary.parameters:,}", f"{summary.flops:,}"]
    rows = [_module_cells(row) for row in summary.rows] + [total]
    stdout().print(table(MODEL_COLUMNS, rows, text_columns=MODEL_COLUMNS[:4]))
    stderr().print(
        f"FLOPs of one sequence that fills the context of {summary.context} positions, with the "
        "scores of all items at each; a multiply-add counts as 2 FLOPs, an embedding lookup as 0"
    )


def _module_cells(row: ModuleRow) -> list[str]:
    # The only parameter of an embedding table has the name of the table: it is not repeated.
    is_single = len(row.shapes) == 1
    shapes = [
        _shape(shape) if is_single else f"{name} {_shape(shape)}"
        for name, shape in row.shapes.items()
    ]
    return [
        row.module,
        row.kind,
        ", ".join(shapes),
        "" if row.output is None else _shape(row.output),
        f"{row.parameters:,}",
        f"{row.flops:,}",
    ]


def _shape(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths))
