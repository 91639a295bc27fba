"""The picture of a training run: what is read of its log, and what is drawn of that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from segue.errors import RequestError, RunError, StorageError
from segue.pictures import curves, draw_curves
from segue.pictures.fonts import NO_GLYPH
from segue.pictures.training_log import Best, Log
from segue.run_folder import RunFolder

METRIC = "ndcg@10"
PRIVATE = "\U0010f123"
"""A character that no font has."""


def train(step: int, loss: float | None = 2.0) -> dict:
    values = {"epoch": step / 100, "loss": loss, "learning_rate": 1e-3, "events_per_s": 9.0}
    return {"step": step, "kind": "train", **values}


def validation(step: int, value: float | None, loss: float = 3.0) -> dict:
    ranks = {METRIC: value, "ndcg@5": 0.1, "hr@10": 0.3}
    return {"step": step, "kind": "validation", **ranks, "loss": loss}


@pytest.fixture
def run(picture_run: Path, tmp_path: Path) -> Path:
    """A folder with the configuration of a run, and no log yet."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(picture_run / "config.json", folder)
    return folder


def write(run: Path, *records: dict | str) -> Log:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (run / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    return Log(RunFolder(run))


def select(run: Path, metric: str) -> None:
    content = json.loads((run / "config.json").read_text())
    content["config"]["training"]["validation_metric"] = metric
    (run / "config.json").write_text(json.dumps(content))


def test_series_by_step_with_gaps_where_nothing_was_finite(run: Path) -> None:
    log = write(run, train(1), train(2, None), validation(2, 0.2), train(3, 1.5))
    steps, losses = log.series("train", "loss")
    assert steps.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(losses, [2.0, np.nan, 1.5])
    assert log.series("validation", "loss")[1].tolist() == [3.0]
    assert log.families() == [METRIC, "ndcg@5"]
    assert log.n_damaged == 0


def test_the_best_is_the_first_of_the_highest_or_of_the_lowest_loss(run: Path) -> None:
    values, losses = (0.1, None, 0.3, 0.3, 0.2), (5.0, 4.0, 3.0, 2.0, 2.0)
    records = [validation(s, v, loss) for s, v, loss in zip(range(5), values, losses, strict=True)]
    assert write(run, train(1), *records).best() == Best(2, 0.3)
    select(run, "loss")
    assert Log(RunFolder(run)).best() == Best(3, 2.0)
    assert Log(RunFolder(run)).families() == ["loss"]
    assert write(run, train(1)).best() is None
    assert write(run, train(1), validation(1, None)).best() is not None


def test_the_best_is_the_one_on_the_card(picture_run: Path) -> None:
    card = json.loads((picture_run / "card.json").read_text())["validation"]
    assert Log(RunFolder(picture_run)).best() == Best(card["step"], card["best"])


@pytest.mark.parametrize("line", ['{"step": 3, "ki', "[]", '{"step": 1}', '{"kind": "train"}', ""])
def test_damaged_lines_are_counted_and_left_out(run: Path, tmp_path: Path, line: str) -> None:
    log = write(run, train(1), line, validation(1, 0.1))
    assert log.n_damaged == 1
    drawn = draw_curves(run, tmp_path / "curves.png")
    assert drawn.notes == ["1 line of metrics.jsonl could not be read"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    seen: list[Figure] = []
    panels = curves._panels

    def kept(figure: Figure, n: int) -> list:
        seen.append(figure)
        return panels(figure, n)

    monkeypatch.setattr(curves, "_panels", kept)
    return seen


def test_axes_have_names_with_units_and_the_best_step_is_marked(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    write(run, train(10), validation(10, 0.1), train(20), validation(20, 0.4), train(30))
    assert draw_curves(run, tmp_path / "curves.png").notes == []
    (figure,) = figures
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        "loss\n(nats a label)",
        "ndcg@10 on validation\n(0 to 1)",
        "learning rate\n(a step)",
    ]
    assert figure.axes[-1].get_xlabel() == "training step, 0.3 epochs in all"
    for axes in figure.axes:
        assert any(list(line.get_xdata()) == [20, 20] for line in axes.lines)
    (mark,) = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([20], [0.4])
    texts = [text.get_text() for text in figure.texts]
    assert texts == ["run", "best ndcg@10 0.4000 on validation, at step 20"]
    legend = figure.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [METRIC, "ndcg@5"]


def test_the_validated_loss_stands_beside_the_training_loss(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    select(run, "loss")
    write(run, train(1), validation(1, None, 4.0), validation(2, None, 3.5), train(2))
    draw_curves(run, tmp_path / "curves.png")
    loss, rate = figures[0].axes
    assert loss.get_legend() is not None
    assert any(list(line.get_ydata()) == [4.0, 3.5] for line in loss.lines)
    assert rate.get_ylabel().startswith("learning rate")


def test_a_run_that_has_just_begun(run: Path, tmp_path: Path, figures: list[Figure]) -> None:
    write(run, train(1))
    draw_curves(run, tmp_path / "curves.svg")
    assert len(figures[0].axes) == 2
    assert figures[0].texts[1].get_text() == "no validation yet"
    write(run, train(1, None))
    draw_curves(run, tmp_path / "curves.png")


def test_many_records_get_a_running_mean(run: Path, tmp_path: Path, figures: list[Figure]) -> None:
    random = np.random.default_rng(0)
    losses = 2 + random.normal(size=500)
    write(run, *(train(step, float(loss)) for step, loss in enumerate(losses, 1)))
    draw_curves(run, tmp_path / "curves.png")
    raw, mean = (np.asarray(line.get_ydata()) for line in figures[0].axes[0].lines)
    np.testing.assert_array_equal(raw, losses)
    slow = [np.mean(losses[max(0, i - 10) : i + 11]) for i in range(500)]
    np.testing.assert_allclose(mean, slow)


def test_the_picture_of_a_real_run_is_the_same_every_time(
    picture_run: Path, tmp_path: Path
) -> None:
    for ending in (".svg", ".png"):
        files = [tmp_path / f"{name}{ending}" for name in ("first", "second")]
        for file in files:
            draw_curves(picture_run, file)
        assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        assert image.size[0] == 1280


def test_a_name_that_the_first_font_lacks_is_drawn_or_said(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    named = run.rename(run.parent / f"a{PRIVATE}$b$")
    write(named, train(1), "")
    drawn = draw_curves(named, tmp_path / "curves.svg")
    assert drawn.notes == [
        "1 line of metrics.jsonl could not be read",
        "no installed font has one character: boxes stand there",
    ]
    assert figures[0].texts[0].get_text() == f"a{NO_GLYPH}$b$"


def test_what_is_no_run_or_has_no_log(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "curves.png"
    with pytest.raises(RunError, match=r"no config\.json"):
        draw_curves(tmp_path, file)
    with pytest.raises(RunError, match=r"cannot read .*metrics\.jsonl: No such file"):
        draw_curves(run, file)
    (run / "metrics.jsonl").touch()
    with pytest.raises(RunError, match="has logged no step yet"):
        draw_curves(run, file)
    assert not file.exists()


def test_where_the_picture_cannot_go(picture_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"ends in '\.gif'"):
        draw_curves(tmp_path / "no run", tmp_path / "curves.gif")
    with pytest.raises(StorageError, match="No such file or directory"):
        draw_curves(picture_run, tmp_path / "nowhere" / "curves.png")
