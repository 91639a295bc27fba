"""What a run is and how it ended, for people and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from segue.cli.console import notes, print_json, results
from segue.cli.tables import clock, facts
from segue.run_folder import RunFolder

STOPPED = 130
"""Exit code of a run that a signal stopped; it is saved."""


def print_card(folder: RunFolder, as_json: bool) -> None:
    """Print the card of a run, once its files are checked, and its configuration."""
    card = folder.verify()
    config, _ = folder.read_config()
    if as_json:
        content = {"kind": "run", "path": str(folder.path), "card": card}
        print_json({**content, "config": config.model_dump(mode="json")})
        return
    rows = summary(folder.path, card)
    for part, options in config.model_dump(mode="json").items():
        rows[part] = ", ".join(f"{key}={value}" for key, value in options.items())
    results().print(facts(rows))


def finished_card(run: Path) -> dict[str, Any] | None:
    """The card of a run that came to its end; None of one that was stopped before."""
    folder = RunFolder(run)
    card = folder.read_json(folder.card) if folder.card.exists() else None
    return None if card is None or card["finished"] == "not yet" else card


def stopped(dataset: Path, run: Path, step: int) -> typer.Exit:
    """Say how to go on with a run that was stopped, and how the command ends."""
    command = f"segue train {dataset} -o {run} --resume"
    notes().print(f"stopped at step {step:,}; continue with: {command}", soft_wrap=True)
    return typer.Exit(STOPPED)


def summary(run: Path, card: dict[str, Any]) -> dict[str, str]:
    """The card in lines."""
    best, machine, dataset = card["validation"], card["machine"], card["dataset"]
    epochs = "1 epoch" if card["epochs"] == 1 else f"{card['epochs']:g} epochs"
    return {
        "run": str(run),
        "dataset": f"{dataset['name']} ({dataset['fingerprint']})",
        "best": best_validation(best),
        "steps": f"{card['steps']:,} in {clock(card['seconds'])}, {epochs}",
        "ended": card["finished"],
        "parameters": f"{card['parameters']:,}",
        "machine": f"{machine['device']}, {machine['cores']} cores, jax {machine['jax']}, "
        f"segue {card['segue_version']}",
    }


def best_validation(best: dict[str, Any]) -> str:
    """``ndcg@10 0.1234 on validation, at step 800``."""
    if best["best"] is None:
        return "never validated: the dataset holds nothing to validate on, or it ended before"
    return f"{best['metric']} {best['best']:.4f} on validation, at step {best['step']:,}"
