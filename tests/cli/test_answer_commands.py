"""``segue recommend``, ``continue`` and ``search``: the caller's ids in, the caller's ids out."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender


@pytest.fixture(scope="module")
def ids(world: Path) -> list[str]:
    """Item ids, the most popular first."""
    return Dataset.open(world).items.ids


@pytest.fixture(scope="module")
def playlist(world: Path) -> tuple[str, list[str]]:
    """The first sequence that is longer than the model's context: its id, and its items."""
    data = Dataset.open(world)
    row = int((data.sequences.lengths > 12).argmax())
    items = [data.items.ids[index - 4] for index in data.sequences.row(row).tolist()]
    return data.sequences.ids[row].as_py(), items


def listed(found: dict) -> list[str]:
    return [item["item_id"] for item in found["items"]]


def test_recommend_says_what_the_library_says(run: Path, ids: list[str]) -> None:
    found = segue("recommend", run, "--items", f"{ids[0]}, {ids[3]}", "-k", 4, "--json").json
    expected = Recommender.load(run).recommend([ids[0], ids[3]], 4).to_json()
    for answer in (found, expected):
        assert answer.pop("took_ms") > 0
    assert found == expected
    assert set(found) == {"items", "unknown_items", "truncated", "model", "notes"}
    assert [item["rank"] for item in found["items"]] == [1, 2, 3, 4]
    assert not {ids[0], ids[3]} & set(listed(found))


def test_ids_come_from_items_and_item(run: Path, ids: list[str]) -> None:
    joined = segue("recommend", run, "--items", f"{ids[0]},{ids[1]}", "--json").json
    single = segue("recommend", run, "--item", ids[0], "--item", ids[1], "--json").json
    mixed = segue("recommend", run, "--items", ids[0], "--item", ids[1], "--json").json
    assert listed(joined) == listed(single) == listed(mixed)


def test_ids_with_commas_are_one_id(run: Path) -> None:
    outcome = segue("recommend", run, "--item", "what, ever", "--json")
    assert outcome.json["unknown_items"] == ["what, ever"]
    assert outcome.err == "unknown items stand as <unk>: what, ever\n"


@pytest.mark.parametrize("verb", [("recommend",), ("continue",)])
@pytest.mark.parametrize("option", ["--item", "--items"])
def test_an_empty_id_is_one_clear_line(run: Path, verb: tuple[str], option: str) -> None:
    assert segue(*verb, run, option, "").error == (
        "error: an item id is empty, expected one as in the log "
        "(leave --items and --item out where there is no history)"
    )


def test_an_empty_title_is_none(run: Path) -> None:
    """This model reads no names; with no title nothing is asked of it."""
    assert segue("recommend", run, "--title", "", "--json").json["notes"] == []


def test_seen_items_may_be_included(run: Path, world: Path, ids: list[str]) -> None:
    catalogue = Dataset.open(world).n_catalogue
    options = ("--item", ids[0], "-k", catalogue, "--include-seen", "--json")
    assert ids[0] in listed(segue("recommend", run, *options).json)


def test_a_user_of_the_dataset(run: Path, playlist: tuple[str, list[str]]) -> None:
    user, items = playlist
    outcome = segue("recommend", run, "--user", user, "--json")
    assert listed(outcome.json) == listed(
        segue("recommend", run, "--items", ",".join(items), "--json").json
    )
    assert outcome.json["truncated"] == len(items) - 12
    assert "beyond the model's context" in outcome.err


def test_the_table_has_titles_and_artists(run: Path, world: Path, ids: list[str]) -> None:
    shown = segue("recommend", run, "--item", ids[0], "-k", 3).out
    first = segue("recommend", run, "--item", ids[0], "-k", 3, "--json").json["items"][0]
    known = Dataset.open(world).items.describe(ids.index(first["item_id"]) + 4)
    for word in ("rank", "artist", first["item_id"], known["title"], known["artist"]):
        assert word in shown
    assert str(known["year"]) in shown


def test_continue_says_what_the_library_says(run: Path, ids: list[str]) -> None:
    options = ("--length", 5, "--temperature", 1.5, "--top-k", 20, "--seed", 3)
    found = segue("continue", run, "--item", ids[0], *options, "--json").json
    expected = Recommender.load(run).continue_sequence(
        [ids[0]], 5, temperature=1.5, top_k=20, seed=3
    )
    assert listed(found) == [item.item_id for item in expected.items]
    assert len({ids[0], *listed(found)}) == 6


def test_greedy_is_temperature_0(run: Path, ids: list[str]) -> None:
    question = ("continue", run, "--item", ids[0], "--length", 3, "--json")
    greedy = segue(*question, "--greedy", "--seed", 1).json
    assert listed(greedy) == listed(segue(*question, "--temperature", 0, "--seed", 2).json)


def test_from_nothing_the_model_begins_by_itself(run: Path) -> None:
    assert len(segue("recommend", run, "-k", 3, "--json").json["items"]) == 3


def test_search_finds_titles_in_any_case(run: Path, world: Path) -> None:
    items = Dataset.open(world).items
    title = items.describe(9)["title"]
    for folder in (run, world):
        found = segue("search", folder, title.upper(), "--json").json
        assert items.describe(9) in found["items"]
        assert title in segue("search", folder, title.lower()).out


def test_search_is_by_popularity_and_limited(world: Path) -> None:
    found = segue("search", world, "a", "-n", 7, "--json").json["items"]
    counts = [item["training_count"] for item in found]
    assert len(found) == 7
    assert counts == sorted(counts, reverse=True)


def test_search_may_find_nothing(world: Path) -> None:
    outcome = segue("search", world, "zzzzz")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "nothing holds 'zzzzz'\n")
    assert segue("search", world, "zzzzz", "--json").json == {"query": "zzzzz", "items": []}


@pytest.mark.parametrize("verb", ["recommend", "continue", "search"])
@pytest.mark.parametrize("columns", ["12", "30"])
def test_titles_survive_narrow_terminals(
    run: Path, verb: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = segue(verb, run, *(["a"] if verb == "search" else []))
    assert outcome.code == 0
    assert outcome.out


@pytest.mark.parametrize(
    ("verb", "method"), [("recommend",) * 2, ("continue", "continue_sequence")]
)
def test_what_is_told_reaches_the_model(
    run: Path, verb: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict] = []

    def record(*_: object, **options: object) -> None:
        asked.append(options)
        raise RequestError("recorded")

    monkeypatch.setattr(Recommender, method, record)
    segue(verb, run, "--title", "rainy day", "--about", "mood = calm", "--about", "a=b=c")
    segue(verb, run)
    assert asked[0]["about"] == {"name": "rainy day", "mood": "calm", "a": "b=c"}
    assert not asked[1]["about"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["recommend", "--title", "rain"], "the model tiny-run reads no 'name' of a sequence"),
        (["continue", "--about", "mood=calm"], "reads no 'mood' of a sequence (it reads: nothing)"),
        (["recommend", "--about", "calm"], "--about 'calm' has no '='"),
        (["continue", "--end-weight", "0.5"], "end_weight is 0.5, but the model has no END"),
        (["continue", "--end-weight", "-1"], "end_weight is -1.0, expected a number from 0 to 1e"),
        (["recommend", "-k", "0"], "expected 1 or more"),
        (["recommend", "-k", "161"], "k is 161, beyond the catalogue of "),
        (["recommend", "--user", "nobody"], "'nobody' is not in the dataset"),
        (["continue", "--length", "0"], "expected 1 or more"),
        (["continue", "--length", "161"], "beyond the catalogue"),
        (["continue", "--top-k", "-1"], "expected 1 or more"),
        (["continue", "--temperature", "-0.5"], "temperature"),
    ],
)
def test_questions_without_an_answer(arguments: list[str], expected: str, run: Path) -> None:
    verb, *options = arguments
    assert expected in segue(verb, run, *options).error
