"""``segue prepare``: from a log to a prepared dataset."""

from __future__ import annotations

from typing import Any

from segue.cli import prepare_options as options
from segue.cli.options import Json
from segue.errors import ConfigError


def prepare(  # noqa: PLR0913 - a parameter an option
    *,
    source: options.Source = None,
    output: options.Output,
    format: options.Format = None,  # noqa: A002 - named as the option
    split: options.Split = None,
    catalogue: options.Catalogue = None,
    min_item_events: options.MinItemEvents = None,
    min_sequence_events: options.MinSequenceEvents = None,
    min_rating: options.MinRating = None,
    event_type: options.EventType = None,
    session_gap: options.SessionGap = None,
    drop_consecutive_repeats: options.DropConsecutiveRepeats = False,
    user_column: options.UserColumn = None,
    item_column: options.ItemColumn = None,
    time_column: options.TimeColumn = None,
    rating_column: options.RatingColumn = None,
    event_column: options.EventColumn = None,
    items_file: options.ItemsFile = None,
    memory_limit: options.MemoryLimit = None,
    seed: options.Seed = None,
    sequences: options.DemoSequences = None,
    items: options.DemoItems = None,
    mean_length: options.DemoMeanLength = None,
    as_json: Json = False,
) -> None:
    """Turn a log into a prepared dataset, with a fixed split."""
    from segue import dataset
    from segue.cli.console import notes
    from segue.cli.dataset_report import print_overview
    from segue.config import PrepareConfig, validated
    from segue.dataset.manifest import is_dataset

    demo = _given(sequences=sequences, items=items, mean_length=mean_length)
    if source is None and format is None:
        raise ConfigError("no SOURCE was given", "give a file or folder, or --format demo")
    if demo and format != "demo":
        option = next(iter(demo)).replace("_", "-")
        raise ConfigError(f"--{option} belongs to the demo", "add --format demo")
    config = {
        "source": _given(
            format=format,
            user_column=user_column,
            item_column=item_column,
            time_column=time_column,
            rating_column=rating_column,
            event_column=event_column,
            event_type=tuple(event_type or ()),
            items_file=None if items_file is None else str(items_file),
            memory_limit=memory_limit,
            demo=demo | _given(seed=seed),
        ),
        "filters": _given(
            min_rating=min_rating,
            session_gap_s=session_gap,
            drop_consecutive_repeats=drop_consecutive_repeats,
            min_item_events=min_item_events,
            min_sequence_events=min_sequence_events,
        ),
        "split": _given(kind=split, catalogue=catalogue, seed=seed),
    }
    replaces = is_dataset(output)
    with notes().status("preparing"):
        data = dataset.prepare(source, output, validated(PrepareConfig, config))
    if replaces:
        notes().print(f"replaced the dataset that was in {output}")
    print_overview(data, as_json)


def _given(**values: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}
