"""``segue recommend`` and ``segue generate``: item ids of the log in, item ids of the log out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender
from segue.recommender.early_checks import check_arguments
from segue.tokens import N_SPECIALS


@pytest.fixture(scope="module")
def ids(world: Path) -> list[str]:
    """Item ids, the most popular first."""
    return Dataset.open(world).items.ids


@pytest.fixture(scope="module")
def long_playlist(world: Path) -> tuple[str, list[str]]:
    """Id and items of the first sequence that is longer than the model's context."""
    data = Dataset.open(world)
    row = int((data.sequences.lengths > 12).argmax())
    items = [data.items.ids[index - N_SPECIALS] for index in data.sequences.row(row).tolist()]
    return data.sequences.ids[row].as_py(), items


SHOWN = {"artist", "year", "genres"}


def answered_ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_recommend_prints_the_answer_of_the_library(run: Path, world: Path, ids: list[str]) -> None:
    answer = segue("recommend", run, "--items", f"{ids[0]}, {ids[3]}", "-k", 4, "--json").json
    expected = Recommender.load(run).recommend([ids[0], ids[3]], 4).to_dict()
    for values in (answer, expected):
        assert values.pop("took_ms") > 0
    items = Dataset.open(world).items
    for item, index in zip(answer["items"], items.find(answered_ids(answer)), strict=True):
        description = items.describe(int(index))
        shown = {name: description[name] for name in ("artist", "year", "genres")}
        assert item.pop("attributes") == shown
    assert answer == expected
    assert set(answer) == {"items", "unknown_items", "truncated", "model", "notes", "seen"}
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4]
    assert not {ids[0], ids[3]} & set(answered_ids(answer))


def test_reasons_and_probabilities_are_those_of_the_library(
    mixed_run: Path, ids: list[str]
) -> None:
    arguments = ("recommend", mixed_run, "--items", f"{ids[0]},{ids[3]}", "-k", 3)
    answer = segue(*arguments, "--why", "--probabilities", "--json").json
    expected = Recommender.load(mixed_run).explain([ids[0], ids[3]], 3, probabilities=True)
    assert [item.pop("attributes").keys() for item in answer["items"]] == [SHOWN] * 3
    assert answer["items"] == expected.answer.to_dict()["items"]
    assert answer["items"][0]["why"]["reasons"][0]["item_id"] in (ids[0], ids[3])
    printed = segue(*arguments, "--why", "--probabilities")
    assert "because of" in printed.out
    assert f"{100 * answer['items'][0]['probability']:.1f} %" in printed.out
    assert "the probabilities are not calibrated" in printed.err
    assert "because of" not in segue(*arguments).out


def test_candidates_and_members_of_a_query_are_those_of_explain(
    mixed_run: Path, ids: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "query.json"
    request = {"items": ids[:2], "candidates": [ids[9], ids[5], ids[0]], "members": True}
    file.write_text(json.dumps(request))
    arguments = ("recommend", mixed_run, "--why", "--query", file)
    content = segue(*arguments, "--json").json
    expected = Recommender.load(mixed_run).explain(**request).to_dict()
    for item in content["items"]:
        assert item.pop("attributes").keys() == SHOWN
    for values in (content, expected):
        assert values.pop("took_ms") > 0
    assert content == expected
    assert set(answered_ids(content)) == {ids[9], ids[5], ids[0]}
    printed = segue(*arguments).out
    _, ranks = printed.split("rank by each member alone:\n")
    heading, *rows = (line.split() for line in ranks.splitlines() if line.strip())
    assert heading == ["rank", "id", *expected["member_ranks"]]
    by_item = zip(*expected["member_ranks"].values(), strict=True)
    assert [row for row in rows if row[0].isdigit()] == [
        [str(item["rank"]), item["item_id"], *map(str, of_item)]
        for item, of_item in zip(expected["items"], by_item, strict=True)
    ]


@pytest.mark.parametrize(("key", "value"), [("candidates", ["1"]), ("members", True)])
def test_a_key_of_explain_needs_why(
    run: Path, tmp_path: Path, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recommender, "load", None)
    file = tmp_path / "query.json"
    file.write_text(json.dumps({key: value}))
    assert segue("recommend", run, "--query", file).error == (
        f"error: the --query file has the key {key}, which is for --why "
        "(add --why, or leave the key out)"
    )


def test_no_candidates_and_unknown_ones(run: Path, ids: list[str], tmp_path: Path) -> None:
    file = tmp_path / "query.json"
    file.write_text(json.dumps({"items": ids[:1], "candidates": [], "members": True}))
    outcome = segue("recommend", run, "--why", "--query", file)
    assert (outcome.code, outcome.out) == (0, "")
    file.write_text(json.dumps({"items": ids[:1], "candidates": ["nothing"]}))
    error = segue("recommend", run, "--why", "--query", file).error
    assert "candidate 'nothing' is not in the catalogue" in error


@pytest.mark.parametrize("verb", ["recommend", "generate"])
def test_the_ensemble_can_be_left_out(
    verb: str, run: Path, mixed_run: Path, ids: list[str]
) -> None:
    arguments = ("--item", ids[0], "--json", *(("--greedy",) if verb == "generate" else ()))
    transformer = segue(verb, run, *arguments).json
    without = segue(verb, mixed_run, "--without-ensemble", *arguments).json
    mixed = segue(verb, mixed_run, *arguments).json
    assert without["items"] == transformer["items"] != mixed["items"]
    assert (mixed["model"], without["model"]) == ("mixed", "mixed (without ensemble)")


def test_ids_of_items_and_item_are_joined(run: Path, ids: list[str]) -> None:
    joined = segue("recommend", run, "--items", f"{ids[0]},{ids[1]}", "--json").json
    single = segue("recommend", run, "--item", ids[0], "--item", ids[1], "--json").json
    mixed = segue("recommend", run, "--items", ids[0], "--item", ids[1], "--json").json
    assert answered_ids(joined) == answered_ids(single) == answered_ids(mixed)


def test_item_takes_an_id_with_commas(run: Path) -> None:
    outcome = segue("recommend", run, "--item", "what, ever", "--json")
    assert outcome.json["unknown_items"] == ["what, ever"]
    assert outcome.err == "unknown items were replaced by <unk>: what, ever\n"


@pytest.mark.parametrize("verb", ["recommend", "generate"])
@pytest.mark.parametrize("option", ["--item", "--items"])
def test_an_empty_id_is_an_error(run: Path, verb: str, option: str) -> None:
    assert segue(verb, run, option, "").error == (
        "error: an item id is empty, expected an id of the log "
        "(leave --items and --item out where there is no history)"
    )


def test_an_empty_title_is_ignored(run: Path) -> None:
    """This model reads no names, so that any other title would be an error."""
    assert segue("recommend", run, "--title", "", "--json").json["notes"] == []


def test_seen_items_may_be_included(run: Path, world: Path, ids: list[str]) -> None:
    catalogue = Dataset.open(world).n_catalogue
    options = ("--item", ids[0], "-k", catalogue, "--include-seen", "--json")
    assert ids[0] in answered_ids(segue("recommend", run, *options).json)


def test_user_stands_for_the_history_of_a_sequence(
    run: Path, long_playlist: tuple[str, list[str]]
) -> None:
    user, items = long_playlist
    outcome = segue("recommend", run, "--user", user, "--json")
    assert answered_ids(outcome.json) == answered_ids(
        segue("recommend", run, "--items", ",".join(items), "--json").json
    )
    assert outcome.json["truncated"] == len(items) - 12
    assert "did not fit into the model's context" in outcome.err


def test_the_table_has_titles_and_artists(run: Path, world: Path, ids: list[str]) -> None:
    printed = segue("recommend", run, "--item", ids[0], "-k", 3).out
    first = segue("recommend", run, "--item", ids[0], "-k", 3, "--json").json["items"][0]
    item = Dataset.open(world).items.describe(ids.index(first["item_id"]) + N_SPECIALS)
    for word in ("rank", "artist", first["item_id"], item["title"], item["artist"]):
        assert word in printed
    assert str(item["year"]) in printed


def test_generate_prints_the_answer_of_the_library(run: Path, ids: list[str]) -> None:
    options = ("--length", 5, "--temperature", 1.5, "--top-k", 20, "--seed", 3)
    answer = segue("generate", run, "--item", ids[0], *options, "--json").json
    expected = Recommender.load(run).generate([ids[0]], 5, temperature=1.5, top_k=20, seed=3)
    assert answered_ids(answer) == [item.item_id for item in expected.items]
    assert len({ids[0], *answered_ids(answer)}) == 6


def test_generate_locks_positions_and_samples_from_a_nucleus(run: Path, ids: list[str]) -> None:
    options = ("--length", 4, "--top-p", 0.8, "--lock", f"2={ids[7]}", "--lock", f"4 = {ids[5]}")
    answer = segue("generate", run, "--item", ids[0], *options, "--json").json
    locked = {1: ids[7], 3: ids[5]}
    expected = Recommender.load(run).generate([ids[0]], 4, top_p=0.8, locked=locked)
    assert answered_ids(answer) == [item.item_id for item in expected.items]
    assert answered_ids(answer)[1::2] == [ids[7], ids[5]]


def test_greedy_is_temperature_0(run: Path, ids: list[str]) -> None:
    arguments = ("generate", run, "--item", ids[0], "--length", 3, "--json")
    greedy = segue(*arguments, "--greedy", "--seed", 1).json
    assert answered_ids(greedy) == answered_ids(
        segue(*arguments, "--temperature", 0, "--seed", 2).json
    )


def test_an_empty_history_is_allowed(run: Path) -> None:
    assert len(segue("recommend", run, "-k", 3, "--json").json["items"]) == 3


@pytest.mark.parametrize("verb", ["recommend", "generate", "search"])
@pytest.mark.parametrize("columns", ["12", "30"])
def test_tables_are_printed_in_narrow_terminals(
    run: Path, verb: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = segue(verb, run, *(["a"] if verb == "search" else []))
    assert outcome.code == 0
    assert outcome.out


@pytest.mark.parametrize("verb", ["recommend", "generate"])
def test_sequence_features_reach_the_model(
    run: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict] = []

    def record(*_: object, **options: object) -> None:
        calls.append(options)
        raise RequestError("recorded")

    monkeypatch.setattr(Recommender, verb, record)
    features = ("--sequence-feature", "mood = calm", "--sequence-feature", "a=b=c")
    segue(verb, run, "--title", "rainy day", *features)
    segue(verb, run)
    assert calls[0]["sequence_features"] == {"name": "rainy day", "mood": "calm", "a": "b=c"}
    assert not calls[1].get("sequence_features")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["recommend", "--title", "rain"], "the model tiny-run has no sequence feature 'name'"),
        (
            ["generate", "--sequence-feature", "mood=calm"],
            "has no sequence feature 'mood' (its sequence features: none)",
        ),
        (["recommend", "--sequence-feature", "calm"], "--sequence-feature 'calm' has no '='"),
        (
            ["generate", "--end-weight", "0.5"],
            "end_weight is 0.5, but the model does not predict END",
        ),
        (
            ["generate", "--end-weight", "-1"],
            "'--end-weight': Input should be greater than or equal to 0",
        ),
        (["recommend", "-k", "0"], "'-k': Input should be greater than or equal to 1"),
        (["recommend", "-k", "161"], "k is 161, more than the catalogue of "),
        (["recommend", "--user", "nobody"], "'nobody' is not in the dataset"),
        (["generate", "--length", "0"], "Input should be greater than or equal to 1"),
        (["generate", "--length", "161"], "length is 161, more than the catalogue of "),
        (["generate", "--top-k", "-1"], "Input should be greater than or equal to 1"),
        (["generate", "--temperature", "-0.5"], "Input should be greater than or equal to 0"),
        (["generate", "--greedy", "--temperature", "0.5"], "--greedy and --temperature are both"),
        (["generate", "--top-p", "0"], "top_p is 0.0, expected a number above 0 and up to 1"),
        (["generate", "--top-p", "1.1"], "Input should be less than or equal to 1"),
        (["generate", "--lock", "21=a"], "--lock '21=a': the list has 20 items"),
        (["generate", "--lock", "0=a"], "--lock '0=a': ranks of a list count from 1"),
        (["generate", "--lock", "2=nothing"], "the locked item 'nothing' is not in the catalogue"),
        (["generate", "--lock", "first=a"], "--lock 'first=a' is not of the form RANK=ID"),
        (["generate", "--lock", "2="], "--lock '2=' is not of the form RANK=ID"),
        (["generate", "--lock", "2=a", "--lock", "2=b"], "the rank is locked already"),
    ],
)
def test_invalid_requests_are_errors(arguments: list[str], expected: str, run: Path) -> None:
    verb, *options = arguments
    assert expected in segue(verb, run, *options).error


def test_a_list_that_is_shorter_has_a_note_in_text_and_json(run: Path, ids: list[str]) -> None:
    """The history is the whole catalogue; titles, ids and figures go to stdout, notes to stderr."""
    history = ["--items", ",".join(ids)]
    text = segue("recommend", run, *history, "-k", 5, "--exclude-seen")
    assert text.code == 0
    assert "the list has 0 of the 5 items requested" in text.err
    assert "--include-seen" in text.err
    answer = segue("recommend", run, *history, "-k", 5, "--exclude-seen", "--json").json
    assert (answer["items"], answer["seen"]) == ([], "exclude")
    assert answer["notes"][0] in text.err
    assert (
        len(segue("recommend", run, *history, "-k", 5, "--include-seen", "--json").json["items"])
        == 5
    )


# --- controls ---


def artists_of(world: Path, answer: dict) -> list[str]:
    items = Dataset.open(world).items
    indices = items.find(answered_ids(answer))
    return [items.describe(int(index))["artist"] for index in indices]


def test_controls_are_those_of_the_library(run: Path, world: Path, ids: list[str]) -> None:
    options = ["--exclude", f"{ids[1]},{ids[2]}", "--cap", "artist=1", "--popularity", "-0.5"]
    options += ["--where", "training_count > 2", "--where", f"item_id != {ids[4]}"]
    options += ["--like", ids[5], "--unlike", ids[6], "--diversity", "0.3"]
    answer = segue("recommend", run, "--item", ids[0], "-k", 6, *options, "--json").json
    expected = Recommender.load(run).recommend(
        [ids[0]],
        6,
        exclude=[ids[1], ids[2]],
        cap={"artist": 1},
        popularity=-0.5,
        where=["training_count > 2", f"item_id != {ids[4]}"],
        like=[ids[5]],
        unlike=[ids[6]],
        diversity=0.3,
    )
    assert answered_ids(answer) == [item.item_id for item in expected]
    artists = artists_of(world, answer)
    assert len(set(artists)) == len(artists) == 6
    only = segue("recommend", run, "--only", f"{ids[7]},{ids[8]}", "-k", 2, "--json").json
    assert set(answered_ids(only)) == {ids[7], ids[8]}


def test_a_query_file_holds_a_request(run: Path, ids: list[str], tmp_path: Path) -> None:
    file = tmp_path / "query.json"
    file.write_text(json.dumps({"items": ids[:2], "k": 3, "exclude": [ids[3]]}))
    from_file = segue("recommend", run, "--query", file, "--json").json
    options = ("--items", f"{ids[0]},{ids[1]}", "-k", 3, "--exclude", ids[3])
    assert answered_ids(from_file) == answered_ids(segue("recommend", run, *options, "--json").json)
    changed = segue("recommend", run, "--query", file, "-k", 2, "--json").json
    assert answered_ids(changed) == answered_ids(from_file)[:2]


@pytest.mark.parametrize(("content", "message"), [
    ('{"itmes": ["1"]}', "unknown key itmes (did you mean 'items'?)"),
    ('{"items": [true]}', "items[0] is true, expected a string or an integer"),
    ('{"k": "5"}', 'k is "5", expected an integer'),
    ('{"cap": {"artist": 1.5}}', "cap.artist is 1.5, expected an integer"),
    ("[1]", "expected an object, got list"),
    ("{", "it is not JSON"),
    ('{"k": 3, "k": 4}', "has the key 'k' twice"),
    ('{"cap": {"year": 1, "year": 2}}', "has the key 'year' twice"),
])  # fmt: skip
def test_a_query_file_that_is_wrong(run: Path, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "query.json"
    file.write_text(content)
    error = segue("recommend", run, "--query", file).error
    assert message in error
    assert str(file) in error


@pytest.mark.parametrize(("content", "message"), [
    ('{"k": 3}', "unknown key k (valid names: "),
    ('{"lenght": 3}', "unknown key lenght (did you mean 'length'?)"),
    ('{"locked": {"first": "1"}}', 'a key of locked is "first", expected an integer'),
    ('{"length": 2, "locked": {"2": "1"}}', "position 2 is locked, but a list of 2"),
])  # fmt: skip
def test_a_query_of_generate_that_is_wrong(
    run: Path, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "query.json"
    file.write_text(content)
    assert message in segue("generate", run, "--query", file).error


@pytest.mark.parametrize(("option", "value", "message"), [
    ("--cap", "artist", "--cap 'artist' is not NAME=N"),
    ("--cap", "artist=0", "cap of artist is 0, expected an integer from 1 up"),
    ("--exclude", "a,,b", "--exclude 'a,,b' has an empty item id"),
    ("--where", "yaer > 3", "the items have no attribute 'yaer'"),
    ("--diversity", "2", "Input should be less than or equal to 1"),
])  # fmt: skip
def test_a_control_that_is_wrong(run: Path, option: str, value: str, message: str) -> None:
    assert message in segue("recommend", run, option, value).error


@pytest.mark.parametrize(("verb", "option", "message"), [
    ("recommend", "--where=yaer > 3", "the items have no attribute 'yaer'"),
    ("recommend", "--where=artist > 3", "but artist is a text"),
    ("recommend", "--where=training_count > many", "expected a number"),
    ("recommend", "--cap=artists=2", "cap is on an attribute that the items do not have"),
    ("generate", "--where=training_count has 3", "but training_count is a number"),
    ("generate", "--cap=artist=0", "expected an integer from 1 up"),
    ("similar", "--where=yaer > 3", "the items have no attribute 'yaer'"),
])  # fmt: skip
def test_an_impossible_control_is_an_error_before_the_model_is_loaded(
    run: Path, verb: str, option: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recommender, "load", None)
    item = ("--item", "1") if verb == "similar" else ()
    assert message in segue(verb, run, *item, option).error


NUMBERS_OUT_OF_RANGE = [
    ("recommend", {"k": 0}, "k is 0, expected 1 or more (ask for more)"),
    ("recommend", {"diversity": 1.5}, "diversity is 1.5, expected a number from 0 to 1"),
    ("recommend", {"popularity": -2.0}, "popularity is -2.0, expected a number from -1 to 1"),
    ("generate", {"length": 0}, "length is 0, expected 1 or more"),
    ("generate", {"temperature": -0.5}, "temperature is -0.5, expected a number from 0 to 1e"),
    ("generate", {"top_k": 0}, "top_k is 0, expected 1 or more"),
    ("generate", {"top_p": 1.5}, "top_p is 1.5, expected a number above 0 and up to 1"),
    ("generate", {"end_weight": -1.0}, "end_weight is -1.0, expected a number from 0 to 1e"),
    ("generate", {"seed": -1}, "seed is -1, expected 0 or more"),
    ("generate", {"locked": {"20": "1"}}, "position 20 is locked, but a list of 20 has"),
    ("generate", {"locked": {"0": "1", "1": "1"}}, "item '1' is locked at two positions"),
]


@pytest.mark.all_cases
@pytest.mark.parametrize(("verb", "request_", "message"), NUMBERS_OUT_OF_RANGE)
def test_a_number_out_of_range_in_a_query_is_an_error_before_the_model_is_loaded(
    run: Path,
    tmp_path: Path,
    verb: str,
    request_: dict,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "query.json"
    file.write_text(json.dumps(request_))
    with monkeypatch.context() as patch:
        patch.setattr(Recommender, "load", None)
        early = segue(verb, run, "--query", file).error
    assert message in early
    locked = {int(position): item for position, item in request_.get("locked", {}).items()}
    arguments = request_ | ({"locked": locked} if locked else {})
    with pytest.raises(RequestError) as caught:
        getattr(Recommender.load(run), verb)(**arguments)
    assert early == f"error: {caught.value}"


def test_similar_checks_k_before_the_model_is_loaded(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recommender, "load", None)
    assert "k is 0, expected 1 or more" in segue("similar", run, "--item", "1", "-k", 0).error


def test_possible_controls_pass_the_early_checks(run: Path) -> None:
    controls = {
        "where": ["training_count > 2", "title has x", "genres lacks Y", "artist != z"],
        "cap": {"artist": 1, "genres": 2},
        "only": ["not an item"],
        "like": ["1"],
        "unlike": ["2"],
        "exclude": ["3"],
        "diversity": 0.5,
        "popularity": -1.0,
    }
    check_arguments(run, {"items": ["1"], "k": 10**9, **controls})
    check_arguments(run / "nowhere", controls)
