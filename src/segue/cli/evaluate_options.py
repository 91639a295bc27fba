"""The options of ``segue evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segue.cli.options import counts, cutoffs

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN|BASELINE|LISTS",
        help="Run folders, baselines by name, or files of lists (.parquet, .csv).",
    ),
]
Data = Annotated[
    Path, typer.Option("--data", metavar="DATASET", help="The folder that prepare wrote.")
]
Part = Annotated[Literal["test", "validation"], typer.Option(help="Which part.")]
Task = Annotated[
    Literal["next-item", "continuation"] | None,
    typer.Option(help="Both under the split holdout, next items elsewhere."),
]
Seen = Annotated[
    Literal["exclude", "include", "exclude-context"] | None,
    typer.Option(help="Whether items of the history may be recommended; exclude by default."),
]
UnknownTargets = Annotated[
    Literal["miss", "drop"], typer.Option(help="What targets outside the catalogue count as.")
]
Targets = Annotated[
    Literal["last", "first", "random", "every"] | None,
    typer.Option(
        help="Which events of a sequence are asked for (split global-time); last by default."
    ),
]
Cutoffs = Annotated[
    Any, typer.Option("--at", parser=cutoffs, metavar="K,K", help="Cut-offs, as in 5,10,20.")
]
Given = Annotated[
    Any,
    typer.Option(
        parser=counts, metavar="M,M", help="First events given (continuation): 0,1,5,10,25,100."
    ),
]
GivenRandom = Annotated[
    Any,
    typer.Option(
        parser=cutoffs, metavar="M,M", help="Events given at random places (continuation): 25,100."
    ),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="Fit the baselines on the validation events too.")
]
NoBaselines = Annotated[
    bool, typer.Option("--no-baselines", help="Leave out the baselines beside a model.")
]
Untold = Annotated[
    bool,
    typer.Option("--untold", help="Tell models nothing of the sequences: no name, no user."),
]
PerSequence = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the results by sequence, in Parquet, for compare."),
]
MaxSequences = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Ask about so many sequences at most, a seeded draw."),
]
Behaviour = Annotated[
    bool,
    typer.Option(
        "--behaviour", help="Measure how lists behave too: diversity, novelty, coverage, ..."
    ),
]
Markdown = Annotated[
    bool, typer.Option("--markdown", help="Print every metric at every cut-off as Markdown.")
]
