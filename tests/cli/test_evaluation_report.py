"""Results as tables and Markdown: every number is printed in full at every width."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest
from commands import segue
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from segue import baselines
from segue.cli.console import fitting_tables, markdown_table, table
from segue.cli.evaluation_report import print_comparison, print_evaluation, print_markdown
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.evaluation import Evaluation, compare, evaluate
from small_datasets import ArbitraryRanker, dataset_of, random_log

WIDTHS = (60, 80, 100, 160)
NAME = "a-run-with-a-name-that-lists-all-of-its-hyperparameters"


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="holdout", test_share=0.4)
    artists = {f"i{n}": f"artist {n // 4}" for n in range(60)}
    folder = tmp_path_factory.mktemp("p")
    return dataset_of(folder, random_log(30, 60, seed=6), split, artists=artists)


@pytest.fixture(scope="module")
def evaluation(playlists: Dataset) -> Evaluation:
    model = ArbitraryRanker(playlists, NAME)
    model.notes = ("it guesses",)
    config = EvaluationConfig(
        resamples=20,
        given=(1, 5),
        given_random=(),
        ks=(3, 10),
        beyond_accuracy=True,
        max_sequences=9,
    )
    return evaluate(
        [model, baselines.fit("popularity", playlists)], playlists, baselines=None, config=config
    )


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def table_lines(out: str) -> list[str]:
    """The lines above notes and protocol, which the terminal wraps."""
    return out[: out.index(f"{NAME}: it guesses")].splitlines()


def test_every_number_is_printed_in_full_at_every_width(evaluation, width, capsys) -> None:
    print_evaluation(evaluation, (3, 10), as_json=False)
    lines = table_lines(capsys.readouterr().out)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    seen = set(itertools.chain.from_iterable(map(cells, lines)))
    for result in evaluation.results:
        assert f"{result.n:,}" in seen
        for name in [name for name in result.metrics if name in seen]:
            mean, ends = result.metrics[name]
            assert f"{mean:.4f}" in seen
            assert ends is None or f"{ends[0]:.4f}-{ends[1]:.4f}" in seen


def test_the_columns_have_the_chosen_cutoffs_at_every_width(evaluation, width, capsys) -> None:
    print_evaluation(evaluation, (3, 10), as_json=False)
    seen = set(itertools.chain.from_iterable(map(cells, capsys.readouterr().out.splitlines())))
    beyond_accuracy = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")
    shown = {f"{name}@{k}" for k in (3, 10) for name in ("hr", "ndcg", *beyond_accuracy)}
    assert shown | {"mrr", "r_precision", "r_precision_artist", "clicks"} <= seen
    assert not {"map@3", "f1@10"} & seen


def test_a_long_name_is_folded_and_repeated_in_every_table(evaluation, width, capsys) -> None:
    print_evaluation(evaluation, None, as_json=False)
    lines = table_lines(capsys.readouterr().out)
    headings = [i for i, line in enumerate(lines) if line.startswith("model")]
    assert len(headings) > 1
    for start, end in itertools.pairwise([*headings, len(lines)]):
        names = "".join(line.split(" ")[0] for line in lines[start:end])
        assert NAME in names
        assert "popularity" in names


def test_the_default_cutoff_is_10(evaluation, capsys) -> None:
    print_evaluation(evaluation, None, as_json=False)
    out = capsys.readouterr().out
    assert "ndcg@10" in out
    assert "gini@10" in out
    assert "@3" not in out


def test_notes_and_samples_are_printed_once(evaluation: Evaluation, capsys) -> None:
    print_evaluation(evaluation, None, as_json=False)
    out = capsys.readouterr().out
    assert out.count("it guesses") == 1
    assert "at most 9 sequences, drawn with seed 0" in out
    assert "diversity by artist" in out


def test_each_task_has_its_own_targets_and_ceiling(evaluation: Evaluation, width, capsys) -> None:
    print_evaluation(evaluation, None, as_json=False)
    *_, protocol, next_item, continuation = capsys.readouterr().out.rstrip().splitlines()
    first, *continuations = [result for result in evaluation.results if result.model == NAME]
    assert protocol.startswith("split holdout; ")
    assert next_item == (
        f"next-item: n {first.n:,} of {first.n_sequences} sequences; "
        f"unknown targets miss ({first.target_statistics.unknown_targets}); "
        f"ceiling {100 * first.target_statistics.ceiling:.1f} %"
    )
    assert continuation.startswith(
        f"continuation: n {min(result.n for result in continuations)} to 9 sequences; "
    )
    ceilings = sorted(result.target_statistics.ceiling for result in continuations)
    assert continuation.endswith(
        f"; ceiling {100 * ceilings[0]:.1f} % to {100 * ceilings[1]:.1f} %"
    )


def test_the_targets_of_a_single_task_are_printed_with_the_protocol(
    playlists: Dataset, capsys
) -> None:
    config = EvaluationConfig(task="next-item", resamples=0)
    print_evaluation(evaluate("popularity", playlists, config=config), None, as_json=False)
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert re.match(r"split holdout; .*; fit train; n [\d,]+ of \d+ sequences; unknown ", last)
    assert last.count("ceiling") == 1


def read_markdown(out: str) -> list[list[list[str]]]:
    """Tables as rows of cells, without the rule below the heading, which is checked."""
    tables = []
    for block in out.split("\n\n"):
        if block.startswith("|"):
            rows = [
                [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in block.strip().splitlines()
            ]
            assert all(re.fullmatch(r":--|--:", cell) for cell in rows[1])
            assert len({len(row) for row in rows}) == 1
            tables.append([rows[0], *rows[2:]])
    return tables


def test_markdown_has_every_metric_at_every_cutoff(evaluation, width, capsys) -> None:
    print_markdown(evaluation)
    tables = read_markdown(capsys.readouterr().out)
    printed_values: dict[tuple[str, str | None], dict[str, str]] = {}
    for heading, *rows in tables:
        for row in rows:
            values = dict(zip(heading, row, strict=True))
            key = (values.pop("model"), values.pop("given", None))
            printed_values.setdefault(key, {}).update(values)
    assert len(printed_values) == len(evaluation.results)
    for result in evaluation.results:
        values = printed_values[result.model, result.given]
        assert values.pop("n") == f"{result.n:,}"
        assert set(values) == set(result.metrics)
        for name, (mean, ends) in result.metrics.items():
            interval = "" if ends is None else f" ({ends[0]:.4f}-{ends[1]:.4f})"
            assert values[name] == f"{mean:.4f}{interval}"


def test_markdown_is_one_table_per_cutoff_below_the_protocol(evaluation, capsys) -> None:
    print_markdown(evaluation)
    out = capsys.readouterr().out
    assert out.startswith("split holdout; ")
    assert out.index("split holdout") < out.index("**next-item, test part") < out.index("| model")
    assert out.rstrip().endswith(f"- {NAME}: it guesses")
    cutoffs = [
        {name.split("@")[1] for name in heading if "@" in name}
        for heading, *_ in read_markdown(out)
    ]
    assert cutoffs[:2] == [{"3"}, {"10"}]
    assert all(len(ks) == 1 for ks in cutoffs)


def test_a_warning_is_a_separate_paragraph(tmp_path: Path, capsys) -> None:
    data = dataset_of(tmp_path, random_log(20, 30, seed=3), SplitConfig(kind="windows"))
    print_markdown(evaluate("popularity", data, config=EvaluationConfig(resamples=0)))
    assert "\n\nleaky: " in capsys.readouterr().out


def test_markdown_escapes_vertical_bars() -> None:
    text = markdown_table(("model", "x"), [["a|b", "1"]], n_labels=1)
    assert text.splitlines() == ["| model | x |", "| :-- | --: |", r"| a\|b | 1 |"]


def test_a_comparison_is_printed_in_full_at_every_width(evaluation, width, capsys) -> None:
    comparison = compare(evaluation, metric="ndcg@10", permutations=100)
    print_comparison(comparison, as_json=False)
    out = capsys.readouterr().out
    (difference,) = comparison.differences
    numbers = [f"{mean:.4f}" for mean in difference.means]
    numbers += [f"{difference.difference:+.4f}", f"{difference.p_value:.4f}"]
    numbers.append(f"{difference.ci95[0]:+.4f} to {difference.ci95[1]:+.4f}")
    assert all(number in out for number in numbers)


def printed_lines(width: int, *tables) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False)
    for built in tables:
        console.print(built, crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


NUMBERS = st.floats(-1e12, 1e12).map("{:.4f}".format)


@given(
    st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=1, max_size=3),
    st.text(alphabet="abc-", min_size=1, max_size=40),
    st.integers(10, 200),
)
def test_no_number_is_cut_at_any_width(rows, name, width) -> None:
    columns = ["model", *(f"metric@{k}" for k in range(4))]
    lines = printed_lines(
        width, *fitting_tables(columns, [[name, *row] for row in rows], n_labels=1, width=width)
    )
    seen = set(itertools.chain.from_iterable(line.split() for line in lines))
    assert set(itertools.chain(columns[1:], *rows)) <= seen
    if width >= 32:  # enough for a label and the widest number
        assert max(map(len, lines)) <= width


def test_a_table_that_fits_is_one_table() -> None:
    columns = ("model", "given", "hr@10", "n")
    row = ["popularity", "first-1", "0.1234", "5"]
    tables = fitting_tables(columns, [row], n_labels=2, width=60)
    assert len(tables) == 1
    assert printed_lines(60, *tables)[-1].split() == row


@pytest.mark.parametrize("width", WIDTHS)
def test_titles_are_shortened_before_numbers(width: int) -> None:
    title = "a title that goes on and on " * 10
    rows = [["1", "id" * 40, title, "-12.345"], ["10", "x", "y", "3.000"]]
    built = table(("rank", "id", "title", "score"), rows, text_columns=("id", "title"))
    lines = printed_lines(width, built)
    assert lines[-2].split()[0] == "1"
    assert lines[-2].endswith("-12.345")
    assert lines[-1].split() == ["10", "x", "y", "3.000"]
    assert len(lines) == 4
    assert max(map(len, lines)) <= width


def test_markdown_and_beyond_accuracy_on_the_command_line(world: Path) -> None:
    options = ("--data", world, "--ks", "3,5,10", "--task", "next-item", "--max-sequences", 10)
    out = segue("evaluate", "popularity", "last-item", *options, "--markdown").out
    first, second, third = read_markdown(out)
    names = ("hr", "ndcg", "mrr", "map", "precision", "recall", "f1")
    for k, (heading, *rows) in zip((3, 5, 10), (first, second, third), strict=True):
        assert {f"{name}@{k}" for name in names} <= set(heading)
        assert [row[0] for row in rows] == ["popularity", "last-item"]
    assert "gini" not in out
    content = segue("evaluate", "popularity", *options, "--beyond-accuracy", "--json").json
    assert content["results"][0]["metrics"]["gini@5"]["ci95"] is None
    assert content["protocol"]["similarity"] == "genres"


def test_markdown_and_json_exclude_each_other(world: Path) -> None:
    outcome = segue("evaluate", "popularity", "--data", world, "--json", "--markdown")
    assert "exclude each other" in outcome.error
