"""Training runs from start to end: files, signals, refusals, and the training step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.batches import Bucket
from segue.config import (
    Config,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PrepareConfig,
    SplitConfig,
)
from segue.dataset import Dataset, PopularityOrder
from segue.errors import ConfigError, NotFiniteError, RunError
from segue.evaluation import evaluate
from segue.model import Transformer
from segue.optimizers import optimizer
from segue.preparation import prepare
from segue.recommender import Ensemble, Recommender
from segue.runs.folder import RunFolder
from segue.tokens import N_SPECIALS, PAD
from segue.trainer import Progress, Trainer, train
from segue.trainer.inputs import StepConstants
from segue.trainer.progress import Meter, StepSummary
from segue.trainer.run_spec import RunSpec, training_inputs
from segue.trainer.step import StepReport, all_finite, jitted_step
from segue.trainer.train_state import TrainState
from segue.trainer.validation import Validation
from slow_cases import some_fast
from small_runs import write_cycles


def changed(config: Config, **sections: dict) -> Config:
    """A configuration with some values of some sections replaced."""
    return config.model_copy(
        update={
            name: getattr(config, name).model_copy(update=new) for name, new in sections.items()
        }
    )


def metrics_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_learns_the_cycle(cycle_run: Path, cycles: Dataset) -> None:
    ranker = Recommender.load(cycle_run).ranker(cycles)
    (result,) = evaluate(ranker, cycles, baselines=None, part="test").results
    assert result.metrics["hr@1"].mean > 0.95


def test_a_run_folder_contains_the_documented_files(cycle_run: Path, cycles: Dataset) -> None:
    names = {path.name for path in cycle_run.iterdir()}
    assert names == {
        "config.json",
        "weights.safetensors",
        "checkpoints",
        "events",
        "metrics.jsonl",
        "search.sqlite",
        "card.json",
        "items.parquet",
    }
    card = json.loads((cycle_run / "card.json").read_text())
    assert card["dataset"]["fingerprint"] == cycles.fingerprint
    assert card["finished"] == "all steps taken"
    assert card["steps"] == 120
    assert card["results"]["protocol"]["split"] == "leave-one-out"
    (result,) = card["results"]["results"]
    assert result["metrics"]["ndcg@10"]["mean"] == card["validation"]["best"]
    assert RunFolder(cycle_run).verify() == card


def test_every_logged_step_is_recorded_once(cycle_run: Path) -> None:
    rows = metrics_of(cycle_run)
    trained = [row["step"] for row in rows if row["kind"] == "train"]
    validated = [row["step"] for row in rows if row["kind"] == "validation"]
    assert trained == list(range(10, 121, 10))
    assert validated == [30, 60, 90, 120]
    assert rows[0]["loss"] > rows[-2]["loss"]
    assert list((cycle_run / "events").iterdir())


def test_weights_are_those_of_the_best_validation(cycle_run: Path, cycles: Dataset) -> None:
    validations = [row for row in metrics_of(cycle_run) if row["kind"] == "validation"]
    best = max(row["ndcg@10"] for row in validations)
    ranker = Recommender.load(cycle_run).ranker(cycles)
    (result,) = evaluate(ranker, cycles, baselines=None, part="validation").results
    assert result.metrics["ndcg@10"].mean == pytest.approx(best, abs=1e-6)


def test_the_step_compiles_once(cycles: Dataset, config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "items.parquet").write_bytes((cycles.path / "items.parquet").read_bytes())
    folder.write_json(folder.config, {})
    features, batches = training_inputs(config, cycles)
    spec = RunSpec.of(config, cycles, features, batches)
    trainer = Trainer(spec, folder, batches, lambda _: None)
    compiled = count_compilations(trainer.run)
    assert compiled.count("step") == 1
    assert compiled.count("loss_and_states") == 1


def count_compilations(run) -> list[str]:
    """Names of the functions that JAX compiles while ``run`` runs."""
    names: list[str] = []

    def note(event: str, _seconds: float, **details) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(details.get("fun_name", "").removeprefix("jit(").removesuffix(")"))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        run()
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    return names


def test_watch_gets_progress_and_validations(
    cycle_run: Path, cycle_progress: list[Progress]
) -> None:
    assert cycle_progress[-1].step == cycle_progress[-1].total_steps == 120
    assert cycle_progress[0].events_per_s > 0
    assert any("ndcg@10" in progress.message for progress in cycle_progress)


@pytest.mark.slow
def test_patience_ends_a_run(cycles: Dataset, config: Config, tmp_path: Path) -> None:
    config = changed(
        config,
        optimizer={"learning_rate": 1e-12},
        training={"patience": 2, "validate_every": 5, "max_steps": None, "epochs": 40},
    )
    card = train(cycles, tmp_path / "run", config=config).card
    assert card["steps"] == 15
    assert "did not improve in 2 validations" in card["finished"]


@pytest.mark.parametrize(
    "number", some_fast([(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,)], every=3)
)
def test_a_signal_saves_a_checkpoint_and_the_run_can_be_resumed(
    cycles: Dataset, config: Config, cycle_run: Path, tmp_path: Path, number: int
) -> None:
    run = tmp_path / cycle_run.name

    def interrupt(progress: Progress) -> None:
        if progress.step == 50:
            os.kill(os.getpid(), number)

    train(cycles, run, config=config, watch=interrupt)
    assert json.loads((run / "card.json").read_text())["finished"] == "not yet"
    assert metrics_of(run)[-1]["step"] == 51  # the step after which the signal was noticed
    train(cycles, run, resume=True)
    for name in ("weights.safetensors", "config.json"):
        assert (run / name).read_bytes() == (cycle_run / name).read_bytes()
    steps = [(row["step"], row["kind"]) for row in metrics_of(run)]
    assert len(steps) == len(set(steps))


def test_resuming_a_finished_run_changes_nothing(cycle_run: Path, cycles: Dataset) -> None:
    before = {path: path.read_bytes() for path in cycle_run.glob("*.*")}
    train(cycles, cycle_run, resume=True)
    assert before == {path: path.read_bytes() for path in cycle_run.glob("*.*")}


def test_resuming_completes_the_card_after_a_kill(cycle_run: Path, cycles: Dataset) -> None:
    card = cycle_run / "card.json"
    finished = card.read_text()
    card.write_text(finished.replace("all steps taken", "not yet"))
    train(cycles, cycle_run, resume=True)
    assert card.read_text() == finished


@pytest.mark.slow
def test_resuming_does_not_accept_altered_weights(
    cycles: Dataset, config: Config, tmp_path: Path
) -> None:
    run = train(cycles, tmp_path / "run", config=changed(config, training={"patience": 1}))
    weights, card = run.path / "weights.safetensors", run.card
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"?")
    if card["validation"]["step"] == card["steps"]:
        train(cycles, run, resume=True)  # the last checkpoint still has them
        assert weights.read_bytes() == content
    else:
        with pytest.raises(RunError, match="checksum differs"):
            train(cycles, run, resume=True)


def test_a_folder_with_files_is_refused(cycles: Dataset, cycle_run: Path) -> None:
    with pytest.raises(RunError, match=r"not empty.*--resume"):
        train(cycles, cycle_run)


def test_resume_refuses_another_configuration_or_dataset(
    cycles: Dataset, cycle_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="another configuration"):
        train(cycles, cycle_run, layers=3, resume=True)
    content = json.loads((cycle_run / "config.json").read_text())
    content["dataset"]["fingerprint"] = "another"
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="another dataset"):
        train(cycles, tmp_path, resume=True)


def test_resume_needs_a_run(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a complete run: no config\.json"):
        train(cycles, tmp_path / "run", resume=True)
    with pytest.raises(RunError, match=r"there is no run to resume.*without --resume"):
        train(cycles, tmp_path, resume=True)


def test_an_interrupted_start_can_be_repeated(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        """An exception that no code handles, like a kill."""

    def killed(*_: object) -> None:
        raise KilledError

    run, config = tmp_path / "run", changed(config, training={"max_steps": 1})
    monkeypatch.setattr(RunFolder, "write", killed)
    with pytest.raises(KilledError):
        train(cycles, run, config=config)
    monkeypatch.undo()
    assert [path.name for path in run.iterdir()] == ["config.json.partial"]
    with pytest.raises(RunError, match="without --resume"):
        train(cycles, run, resume=True)
    train(cycles, run, config=config)
    assert not list(run.glob("*.partial"))


@pytest.mark.slow
def test_a_cut_off_above_the_catalogue_size_is_refused(
    cycles: Dataset, config: Config, tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    rows = [f"u{user},i{(user + position) % 5}" for user in range(9) for position in range(4)]
    few.write_text("\n".join(["user,item", *rows]) + "\n")
    data = prepare(
        few, tmp_path / "few", config=PrepareConfig(split=SplitConfig(kind="leave-one-out"))
    )
    with pytest.raises(ConfigError, match=r"ndcg@10 needs more items than the 5.*=mrr"):
        train(data, tmp_path / "run", config=config)
    by_mrr = changed(config, training={"validation_metric": "mrr", "max_steps": 4})
    assert train(data, tmp_path / "run", config=by_mrr).path.exists()


@pytest.mark.slow
def test_without_a_validation_part_the_last_weights_are_the_best(
    config: Config, tmp_path: Path
) -> None:
    write_cycles(tmp_path / "log.csv")
    split = SplitConfig(kind="windows", validation_share=0.0)
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config=PrepareConfig(split=split))
    run = train(data, tmp_path / "run", config=config)
    card = run.card
    assert card["validation"]["best"] is None
    (result,) = evaluate(
        Recommender.load(run).ranker(data), data, baselines=None, part="test"
    ).results
    assert result.metrics["hr@1"].mean > 0.9


def test_a_log_without_training_labels_is_refused(config: Config, tmp_path: Path) -> None:
    """Two of three events are held out, and one event without START gives no label."""
    rows = [f"{user},{item}" for user in "abc" for item in "xyz"]
    (tmp_path / "log.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    split = SplitConfig(kind="leave-one-out")
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config=PrepareConfig(split=split))
    changes = {"model": {"start": False}, "training": {"validation_metric": "mrr"}}
    with pytest.raises(ConfigError, match="no sequence of the dataset has enough training events"):
        train(data, tmp_path / "run", config=changed(config, **changes))
    assert not (tmp_path / "run").exists()


def test_end_needs_whole_sequences(cycles: Dataset, config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.end"):
        train(cycles, tmp_path / "run", config=changed(config, model={"end": True}))
    assert not (tmp_path / "run").exists()


# A single step.

MODEL = ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=4)
VOCABULARY_SIZE = N_SPECIALS + 10
CONSTANTS = StepConstants(popularity_order=PopularityOrder.of(np.zeros(VOCABULARY_SIZE, np.int64)))
BUCKET = Bucket(
    tokens=np.array([[1, 4, 5, 6], [1, 7, PAD, PAD]], np.int32),
    labels=np.array([[4, 5, 6, 7], [7, 8, PAD, PAD]], np.int32),
)
BATCH = (BUCKET,)


def new_step(loss: LossConfig):
    graph, params = nnx.split(Transformer(MODEL, VOCABULARY_SIZE, rngs=nnx.Rngs(0)))
    tx = optimizer(OptimizerConfig(learning_rate=1e-2), 100)
    return jitted_step(graph, tx, loss, jax.random.key(0)), TrainState(params, tx.init(params))


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(),
        LossConfig(kind="sampled-softmax", negatives=8),
        LossConfig(kind="sampled-softmax", negatives=8, shared_negatives=False),
        LossConfig(kind="sampled-softmax", negatives=8, log_q=False),
        LossConfig(kind="sampled-softmax", negatives=8, negative_sampler="log-uniform"),
        LossConfig(kind="sampled-softmax", negatives=8, estimator="negatives-only"),
        LossConfig(kind="sampled-softmax", negatives=8, estimator="bias-corrected"),
    ],
    ids=[
        "softmax",
        "shared",
        "per-position",
        "uncorrected",
        "log-uniform",
        "negatives-only",
        "bias-corrected",
    ],
)
def test_every_loss_falls_on_one_batch(loss: LossConfig) -> None:
    step, state = new_step(loss)
    losses = []
    for number in range(1, 61):
        state, report = step(state, CONSTANTS, BATCH, jnp.int32(number))
        losses.append(float(report.loss))
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_padding_rows_change_nothing() -> None:
    longer = (Bucket(*(np.pad(part, ((0, 3), (0, 0))) for part in BUCKET[:2])),)
    config = MODEL.model_copy(update={"dropout": 0.0})
    graph, params = nnx.split(Transformer(config, VOCABULARY_SIZE, rngs=nnx.Rngs(0)))
    tx = optimizer(OptimizerConfig(), 100)
    reports = []
    for batch in (BATCH, longer):
        state = TrainState(jax.tree.map(jnp.copy, params), tx.init(params))
        step = jitted_step(graph, tx, LossConfig(), jax.random.key(0))
        reports.append(step(state, CONSTANTS, batch, jnp.int32(1))[1])
    np.testing.assert_allclose(reports[0].loss, reports[1].loss, rtol=1e-6)
    np.testing.assert_allclose(reports[0].gradient_norm, reports[1].gradient_norm, rtol=1e-5)


def test_a_non_finite_update_leaves_the_state_as_it_was() -> None:
    step, state = new_step(LossConfig())
    state, _ = step(state, CONSTANTS, BATCH, jnp.int32(1))
    embeddings = state.params["item_embeddings"]
    state.params["item_embeddings"] = embeddings.replace(embeddings[...].at[5].set(jnp.inf))
    before = jax.tree.map(np.array, state)
    after, report = step(state, CONSTANTS, BATCH, jnp.int32(2))
    assert not bool(report.is_finite)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, after))


def test_the_meter_lists_skipped_steps_and_excludes_them_from_the_mean() -> None:
    meter = Meter()
    for step, loss in ((1, 2.0), (2, float("nan")), (3, 4.0)):
        is_finite = np.isfinite(loss)
        meter.add(
            step, StepReport(jnp.float32(loss), jnp.float32(1), jnp.bool_(is_finite)), events=7
        )
    summary = meter.summary()
    assert summary.skipped == [2]
    assert summary.loss == 3.0
    assert summary.steps == 3
    assert meter.summary().steps == 0


@pytest.mark.slow
def test_the_logged_learning_rate_does_not_count_skipped_updates(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(
        config,
        optimizer={"schedule": "linear"},
        training={"max_steps": 10, "log_every": 1, "validate_every": 10},
    )
    original = Meter.summary

    def summary(meter: Meter) -> StepSummary:
        step = len(steps) + 1
        steps.append(step)
        return original(meter)._replace(skipped=[step] if step in (3, 4) else [])

    steps: list[int] = []
    monkeypatch.setattr(Meter, "summary", summary)
    train(cycles, tmp_path / "run", config=config)
    rows = metrics_of(tmp_path / "run")
    rates = [row["learning_rate"] for row in rows if row["kind"] == "train"]
    peak = config.optimizer.learning_rate
    counts = [0, 1, 2, 2, 2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(rates, [peak * (1 - count / 10) for count in counts], rtol=1e-5)


def test_two_processes_do_not_train_in_one_folder(
    cycles: Dataset, config: Config, tmp_path: Path
) -> None:
    config = changed(config, training={"max_steps": 2})
    run = train(cycles, tmp_path / "run", config=config)
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with (
        RunFolder(run).locked(),
        pytest.raises(RunError, match=r"another process trains in .*run.*wait"),
    ):
        train(cycles, run, resume=True)
    assert before == {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    train(cycles, run, resume=True)  # the lock is released


def test_a_folder_in_which_another_process_starts_is_not_changed(
    cycles: Dataset, config: Config, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        partial = folder.path / "config.json.partial"
        partial.write_text("partial")
        with pytest.raises(RunError, match="another process trains"):
            train(cycles, folder.path, config=config)
        assert partial.read_text() == "partial"


def test_without_a_finite_validation_value_the_run_has_diverged(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(config, training={"max_steps": 2, "validation_metric": "loss"})
    monkeypatch.setattr(Validation, "_mean_loss", lambda *_: (float("nan"), []))
    with pytest.raises(RunError, match=r"diverged: no validation had a finite metric"):
        train(cycles, tmp_path / "run", config=config)
    assert not RunFolder(tmp_path / "run").card.exists()


@pytest.mark.slow
def test_weights_with_an_absurd_loss_are_never_the_best(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, mean_loss = iter([1e6, 2.0, 1e6]), Validation._mean_loss
    monkeypatch.setattr(
        Validation, "_mean_loss", lambda *inputs: (next(losses), mean_loss(*inputs)[1])
    )
    config = changed(config, training={"max_steps": 6, "validate_every": 2})
    run = train(cycles, tmp_path / "run", config=config)
    assert run.card["validation"]["step"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("n_skipped", [3, 4])
def test_a_short_run_fails_if_most_updates_were_skipped(
    cycles: Dataset,
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_skipped: int,
) -> None:
    original = Meter.summary
    skipped = list(range(1, n_skipped + 1))
    monkeypatch.setattr(Meter, "summary", lambda meter: original(meter)._replace(skipped=skipped))
    config = changed(config, training={"max_steps": 6, "validate_every": 6, "checkpoint_every": 6})
    if n_skipped == 3:
        assert train(cycles, tmp_path / "run", config=config).card["skipped_steps"] == skipped
        return
    with pytest.raises(RunError, match=r"diverged: 4 of the last 6 updates before step 6"):
        train(cycles, tmp_path / "run", config=config)
    assert not RunFolder(tmp_path / "run").weights.exists()


@pytest.mark.slow
def test_scores_that_are_not_finite_in_a_validation_are_a_divergence(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_: object) -> None:
        raise NotFiniteError("the scores of the model are not finite", "")

    monkeypatch.setattr(Ensemble, "ranks", overflow)
    config = changed(config, training={"max_steps": 2})
    with pytest.raises(RunError, match="diverged: at step 2 the scores of the model are not"):
        train(cycles, tmp_path / "run", config=config)


def test_the_update_is_part_of_what_must_be_finite() -> None:
    finite = {"a": jnp.ones(3), "count": jnp.int32(1)}
    assert bool(all_finite(finite))
    for value in (jnp.nan, jnp.inf, -jnp.inf):
        assert not bool(all_finite(finite | {"b": jnp.array([0.0, value])}))


def test_a_run_that_diverges_is_an_error(cycles: Dataset, config: Config, tmp_path: Path) -> None:
    config = changed(config, optimizer={"learning_rate": 1e30}, training={"validate_every": 100})
    with pytest.raises(RunError, match=r"diverged.*learning_rate"):
        train(cycles, tmp_path / "run", config=config)
    skipped = [row for row in metrics_of(tmp_path / "run") if row.get("skipped_steps")]
    assert skipped
