"""``segue continue``: lengthen a sequence, item by item."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli import options


def continue_(  # noqa: PLR0913 - a parameter an option
    *,
    run: options.Run,
    items: options.ItemList = None,
    item: options.ItemIds = None,
    user: options.User = None,
    title: options.Title = None,
    about: options.About = None,
    length: Annotated[int, typer.Option(help="How many items to add.")] = 20,
    temperature: Annotated[
        float, typer.Option(help="0 takes the best item each time; more is more adventurous.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Sample among so many best items only.")] = 50,
    end_weight: Annotated[
        float, typer.Option(help="What the chance of the end is multiplied with; 0 never ends.")
    ] = 0.0,
    greedy: Annotated[bool, typer.Option("--greedy", help="The same as --temperature 0.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same sequence.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Lengthen a sequence item by item; none comes twice."""
    from segue.cli.answer_report import print_answer
    from segue.recommender import Recommender

    ids, known = options.item_ids(items, item), options.about(title, about)
    model = Recommender.load(run)
    answer = model.continue_sequence(
        ids,
        length,
        user=user,
        about=known,
        temperature=0.0 if greedy else temperature,
        top_k=top_k,
        end_weight=end_weight,
        seed=seed,
    )
    print_answer(answer, model, as_json)
