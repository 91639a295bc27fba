"""Training curves: what is read from the metrics log of a run, and how it is drawn."""

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
from segue.runs import RunFolder
from segue.runs.metrics_log import BestValidation, MetricsLog

METRIC = "ndcg@10"
PRIVATE = "\U0010f123"
"""A character that no font has."""


def train(step: int, loss: float | None = 2.0) -> dict:
    values = {"epoch": step / 100, "loss": loss, "learning_rate": 1e-3, "events_per_s": 9.0}
    return {"step": step, "kind": "train", **values}


def validation(step: int, value: float | None, loss: float = 3.0) -> dict:
    metrics = {METRIC: value, "ndcg@5": 0.1, "hr@10": 0.3}
    return {"step": step, "kind": "validation", **metrics, "loss": loss}


@pytest.fixture
def run(picture_run: Path, tmp_path: Path) -> Path:
    """A folder with the configuration of a run, and no log yet."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(picture_run / "config.json", folder)
    return folder


def write_log(run: Path, *records: dict | str) -> MetricsLog:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (run / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    return MetricsLog(RunFolder(run))


def set_validation_metric(run: Path, metric: str) -> None:
    content = json.loads((run / "config.json").read_text())
    content["config"]["training"]["validation_metric"] = metric
    (run / "config.json").write_text(json.dumps(content))


def test_series_by_step_have_nan_for_values_that_were_not_finite(run: Path) -> None:
    log = write_log(run, train(1), train(2, None), validation(2, 0.2), train(3, 1.5))
    steps, losses = log.series("train", "loss")
    assert steps.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(losses, [2.0, np.nan, 1.5])
    assert log.series("validation", "loss")[1].tolist() == [3.0]
    assert log.metric_at_all_cutoffs() == [METRIC, "ndcg@5"]
    assert log.damaged_lines == 0


def test_the_records_as_a_table_distinguish_missing_from_not_finite(run: Path) -> None:
    log = write_log(run, train(1), "[]", train(2, None), validation(2, 0.2), validation(3, None))
    table = log.to_arrow()
    assert table.column("step").to_pylist() == [1, 2, 2, 3]
    assert table.column("kind").to_pylist() == ["train", "train", "validation", "validation"]
    losses = table.column("loss").to_pylist()
    assert losses == [2.0, pytest.approx(np.nan, nan_ok=True), 3.0, 3.0]
    values = table.column(METRIC).to_pylist()
    assert values == [None, None, 0.2, pytest.approx(np.nan, nan_ok=True)]


def test_the_best_is_the_first_with_the_highest_metric_or_the_lowest_loss(run: Path) -> None:
    values, losses = (0.1, None, 0.3, 0.3, 0.2), (5.0, 4.0, 3.0, 2.0, 2.0)
    records = [validation(s, v, loss) for s, v, loss in zip(range(5), values, losses, strict=True)]
    assert write_log(run, train(1), *records).best() == BestValidation(2, 0.3)
    set_validation_metric(run, "loss")
    assert MetricsLog(RunFolder(run)).best() == BestValidation(3, 2.0)
    assert MetricsLog(RunFolder(run)).metric_at_all_cutoffs() == ["loss"]
    assert write_log(run, train(1)).best() is None
    assert write_log(run, train(1), validation(1, None)).best() is not None


def test_the_best_is_that_of_the_card(picture_run: Path) -> None:
    card = json.loads((picture_run / "card.json").read_text())["validation"]
    assert MetricsLog(RunFolder(picture_run)).best() == BestValidation(card["step"], card["best"])


@pytest.mark.parametrize(
    "line",
    ['{"step": 3, "ki', "[]", '{"step": 1}', '{"kind": "train"}', '{"step": 1, "kind": 2}', ""],
)
def test_damaged_lines_are_counted_and_left_out(run: Path, tmp_path: Path, line: str) -> None:
    log = write_log(run, train(1), line, validation(1, 0.1))
    assert log.damaged_lines == 1
    picture = draw_curves(run, tmp_path / "curves.png")
    assert picture.notes == ["1 line of metrics.jsonl could not be read"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    figures: list[Figure] = []
    make_panels = curves._panels

    def record_figure(figure: Figure, n: int) -> list:
        figures.append(figure)
        return make_panels(figure, n)

    monkeypatch.setattr(curves, "_panels", record_figure)
    return figures


def test_axes_have_labels_with_units_and_the_best_step_is_marked(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    write_log(run, train(10), validation(10, 0.1), train(20), validation(20, 0.4), train(30))
    assert draw_curves(run, tmp_path / "curves.png").notes == []
    (figure,) = figures
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        "loss\n(nats per label)",
        "ndcg@10 on validation\n(0 to 1)",
        "learning rate\n(per step)",
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


def test_the_validation_loss_is_drawn_with_the_training_loss(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    set_validation_metric(run, "loss")
    write_log(run, train(1), validation(1, None, 4.0), validation(2, None, 3.5), train(2))
    draw_curves(run, tmp_path / "curves.png")
    loss, rate = figures[0].axes
    assert loss.get_legend() is not None
    assert any(list(line.get_ydata()) == [4.0, 3.5] for line in loss.lines)
    assert rate.get_ylabel().startswith("learning rate")


def test_a_run_without_a_validation_can_be_drawn(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    write_log(run, train(1))
    draw_curves(run, tmp_path / "curves.svg")
    assert len(figures[0].axes) == 2
    assert figures[0].texts[1].get_text() == "no validation yet"
    write_log(run, train(1, None))
    draw_curves(run, tmp_path / "curves.png")


def test_many_records_get_a_running_mean(run: Path, tmp_path: Path, figures: list[Figure]) -> None:
    random = np.random.default_rng(0)
    losses = 2 + random.normal(size=500)
    write_log(run, *(train(step, float(loss)) for step, loss in enumerate(losses, 1)))
    draw_curves(run, tmp_path / "curves.png")
    raw, mean = (np.asarray(line.get_ydata()) for line in figures[0].axes[0].lines)
    np.testing.assert_array_equal(raw, losses)
    slow = [np.mean(losses[max(0, i - 10) : i + 11]) for i in range(500)]
    np.testing.assert_allclose(mean, slow)


def test_the_curves_of_a_run_have_the_same_bytes_every_time(
    picture_run: Path, tmp_path: Path
) -> None:
    for suffix in (".svg", ".png"):
        files = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
        for file in files:
            draw_curves(picture_run, file)
        assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        assert image.size[0] == 1280


def test_a_run_name_without_a_glyph_is_drawn_with_a_box_and_a_note(
    run: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    renamed = run.rename(run.parent / f"a{PRIVATE}$b$")
    write_log(renamed, train(1), "")
    picture = draw_curves(renamed, tmp_path / "curves.svg")
    assert picture.notes == [
        "1 line of metrics.jsonl could not be read",
        "1 character is drawn as a box: no installed font has a glyph",
    ]
    assert figures[0].texts[0].get_text() == f"a{NO_GLYPH}$b$"


def test_a_folder_without_a_run_or_a_log_is_refused(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "curves.png"
    with pytest.raises(RunError, match=r"no config\.json"):
        draw_curves(tmp_path, file)
    with pytest.raises(RunError, match=r"cannot read .*metrics\.jsonl: No such file"):
        draw_curves(run, file)
    (run / "metrics.jsonl").touch()
    with pytest.raises(RunError, match="has logged no step yet"):
        draw_curves(run, file)
    assert not file.exists()


def test_curves_that_cannot_be_written_are_an_error(picture_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"ends in '\.gif'"):
        draw_curves(tmp_path / "no run", tmp_path / "curves.gif")
    with pytest.raises(StorageError, match="No such file or directory"):
        draw_curves(picture_run, tmp_path / "nowhere" / "curves.png")
