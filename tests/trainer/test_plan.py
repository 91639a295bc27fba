"""Memory estimates, runs that do not fit into memory, recommendations, and the plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segue.cli.option_values import parse_changes
from segue.config import (
    Config,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainingConfig,
    resolve_config,
)
from segue.dataset import Dataset
from segue.errors import ConfigError, DatasetError, ResourceError
from segue.machine import MEMORY_VARIABLE
from segue.tokens import N_SPECIALS
from segue.trainer import train
from segue.trainer.plan import plan, recommendations
from segue.trainer.plan.memory import estimate_memory, tree_bytes
from segue.trainer.plan.planning import compiled_step
from segue.trainer.plan.recommendations import (
    check_memory,
    fits,
    is_exact_softmax_cheap,
    recommended_option,
    training_options,
)
from segue.trainer.run_spec import RunSpec, training_inputs
from segue.trainer.start import memory_errors
from slow_cases import some_fast
from small_datasets import dataset_of

MODEL = ModelConfig(layers=1, heads=2, width=16, feed_forward=32, context=8)
SAMPLED = LossConfig(kind="sampled-softmax", negatives=16)
SMALL = Config(model=MODEL, training=TrainingConfig(batch_size=16, max_steps=6, validate_every=3))
FACTOR = 2.0
"""Largest ratio between the formula and XLA's figure; see ``segue.trainer.plan.memory``."""


class EnlargedDataset(Dataset):
    """A dataset that reports a larger catalogue than it has."""

    n_items = 0

    @property
    def n_catalogue(self) -> int:
        return self.n_items


def with_items(data: Dataset, n_items: int) -> EnlargedDataset:
    enlarged = EnlargedDataset(data.path, data.manifest, data.sequences)
    enlarged.n_items = n_items
    return enlarged


def log_of(folder: Path, n_sequences: int, length: int, longest: int = 0) -> Dataset:
    """A dataset of sequences of one length, and one longer sequence if ``longest`` is given."""
    lengths = [length] * n_sequences + [longest] * (longest > 0)
    log = {f"u{i}": [f"i{(i + j) % 19}" for j in range(n)] for i, n in enumerate(lengths)}
    (folder / str(n_sequences)).mkdir()
    return dataset_of(folder / str(n_sequences), log, SplitConfig(kind="leave-one-out"))


def spec_of(data: Dataset, config: Config = SMALL) -> RunSpec:
    features, batches = training_inputs(config, data)
    return RunSpec.of(config, data, features, batches)


def changed(config: Config = SMALL, **changes: dict) -> Config:
    sections = config.model_dump()
    for section, values in changes.items():
        sections[section] |= values
    return Config.model_validate(sections)


def sampled(embedding_updates: str = "dense", **changes) -> Config:
    loss = SAMPLED.model_copy(update=changes)
    return SMALL.model_copy(
        update={"loss": loss, "optimizer": OptimizerConfig(embedding_updates=embedding_updates)}
    )


# The memory estimate.


@pytest.mark.parametrize("embedding_updates", ["dense", "sparse", "sparse-rowwise"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_and_optimizer_state_are_counted_exactly(
    cycles: Dataset, embedding_updates: str, tied: bool
) -> None:
    spec = spec_of(cycles, changed(sampled(embedding_updates), model={"tied_output": tied}))
    memory, state = estimate_memory(spec), spec.initial_state()
    assert memory.parameters == sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    assert memory.optimizer == sum(leaf.nbytes for leaf in jax.tree.leaves(state.optimizer_state))


def test_a_model_with_features_is_counted_exactly(genres: Dataset, feature_config: Config) -> None:
    spec = spec_of(genres, feature_config)
    memory = estimate_memory(spec)
    assert memory.parameters == tree_bytes(spec.initial_state().params)
    assert memory.features == tree_bytes(spec.features.items) > 0


def test_rowwise_optimizer_state_has_two_numbers_per_row(cycles: Dataset) -> None:
    rows, width = 1_000_000 + N_SPECIALS, MODEL.width
    enlarged = with_items(cycles, 1_000_000)
    sparse, rowwise = (
        estimate_memory(spec_of(enlarged, sampled(kind))) for kind in ("sparse", "sparse-rowwise")
    )
    assert sparse.optimizer - rowwise.optimizer == 4 * rows * (2 * width + 1) - 4 * rows * 2
    assert sparse.parameters == rowwise.parameters


CASES = {
    "exact": SMALL,
    "dense": changed(sampled(shared_negatives=False), model={"layers": 2}),
    "sparse": changed(sampled("sparse"), training={"batch_size": 64}),
}


@pytest.mark.parametrize("name", some_fast(((name,) for name in CASES), every=3))
def test_the_formula_is_close_to_the_figure_of_xla(cycles: Dataset, name: str) -> None:
    spec = spec_of(with_items(cycles, 3_000), CASES[name])
    measured = compiled_step(spec).memory_analysis().temp_size_in_bytes
    assert measured / FACTOR < estimate_memory(spec).step < measured * FACTOR


def test_sparse_steps_do_not_grow_with_the_catalogue(cycles: Dataset) -> None:
    few, many = (
        estimate_memory(spec_of(with_items(cycles, n), sampled("sparse")))
        for n in (10_000, 1_000_000)
    )
    assert many.step == few.step
    assert many.parameters > 50 * few.parameters


def test_peaks_are_sums_of_the_parts(cycles: Dataset) -> None:
    memory = estimate_memory(spec_of(cycles))
    state = memory.parameters + memory.optimizer
    assert memory.saving == memory.process + memory.compiler + memory.dataset + state
    assert memory.training == memory.saving + max(memory.step, memory.validation)
    assert memory.resuming == memory.saving + memory.resume
    assert memory.process > 50_000_000  # JAX alone takes more


def test_initial_singular_vectors_are_counted(cycles: Dataset) -> None:
    enlarged = with_items(cycles, 1_000_000)
    warm = changed(model={"initialisation": "singular-vectors"})
    ensemble = changed(ensemble={"puresvd_factors": 64})
    plain = estimate_memory(spec_of(enlarged))
    assert plain.initialisation == 0 < estimate_memory(spec_of(enlarged, warm)).initialisation
    assert (
        estimate_memory(spec_of(enlarged, ensemble)).training > plain.training + 4 * 64 * 1_000_000
    )


def test_singular_vectors_of_many_sequences_need_more_memory(tmp_path: Path) -> None:
    ensemble = changed(ensemble={"puresvd_factors": 64})
    few, many = (
        estimate_memory(spec_of(log_of(tmp_path, n, 4), ensemble)).initialisation
        for n in (50, 5_000)
    )
    assert many - few > 4 * 64 * 4_950


def test_the_second_transformer_and_the_members_are_part_of_the_peak(tmp_path: Path) -> None:
    data = log_of(tmp_path, 50, 12)
    alone = estimate_memory(spec_of(data, SMALL))
    with_second = estimate_memory(spec_of(data, changed(ensemble={"second_context": 5})))
    assert alone.second == alone.members == 0 < with_second.second
    assert with_second.training >= with_second.steady + with_second.second
    linear, with_pairs = (
        estimate_memory(spec_of(data, changed(ensemble={"members": members})))
        for members in (("tale",), ("co-occurrence", "tale"))
    )
    assert linear.members == 40 * data.n_catalogue**2
    assert with_pairs.training >= with_pairs.steady + with_pairs.members > linear.training


# Recommendations.


def test_larger_catalogues_get_sampled_softmax_and_then_sparse_updates(
    cycles: Dataset,
) -> None:
    recommended = []
    for n_items in (200, 4_500, 1_000_000):
        spec = spec_of(with_items(cycles, n_items))
        best = recommended_option(spec, training_options(spec, None))
        assert best is not None
        recommended.append(best)
    assert [option.name for option in recommended] == [
        "exact softmax",
        "sampled softmax",
        "sampled softmax, sparse-rowwise updates",
    ]
    assert recommended[0].settings == {}
    assert recommended[1].settings["loss.kind"] == "sampled-softmax"
    assert recommended[2].settings["loss.negative_sampler"] == "log-uniform"
    assert recommended[2].settings["optimizer.embedding_updates"] == "sparse-rowwise"


def test_a_deeper_model_keeps_the_exact_softmax_for_larger_catalogues(cycles: Dataset) -> None:
    spec = spec_of(with_items(cycles, 6_000))
    deep = replace(spec, config=changed(model={"layers": 16}))
    assert not is_exact_softmax_cheap(spec)
    assert is_exact_softmax_cheap(deep)


def test_rowwise_updates_are_recommended_if_sparse_updates_do_not_fit(cycles: Dataset) -> None:
    spec = spec_of(with_items(cycles, 10_000_000))
    by_name = {option.name: option for option in training_options(spec, None)}
    rowwise, sparse = (
        by_name[f"sampled softmax, {kind} updates"] for kind in ("sparse-rowwise", "sparse")
    )
    assert rowwise.needed < sparse.needed
    options = training_options(spec, (rowwise.needed + sparse.needed) // 2)
    best = recommended_option(spec, [option for option in options if option.fits])
    assert best is not None
    assert best.name == rowwise.name


def test_negatives_per_position_become_shared_negatives(cycles: Dataset) -> None:
    config = sampled(shared_negatives=False, estimator="negatives-only")
    spec = spec_of(with_items(cycles, 1_000_000), config)
    best = recommended_option(spec, training_options(spec, None))
    assert best is not None
    assert best.settings == {
        "loss.negative_sampler": "log-uniform",
        "loss.shared_negatives": True,
        "loss.estimator": "with-target",
        "loss.negatives": 1024,
        "optimizer.embedding_updates": "sparse-rowwise",
        "optimizer.sparse_learning_rate_scale": 10.0,
        "loss.in_batch": True,
    }


@pytest.mark.slow
def test_applying_an_option_leaves_nothing_to_change(cycles: Dataset) -> None:
    spec = spec_of(with_items(cycles, 1_000_000))
    for option in training_options(spec, None):
        applied = replace(spec, config=resolve_config(None, SMALL, option.settings))
        settings = {new.name: new.settings for new in training_options(applied, None)}
        assert settings[option.name] == {}


def test_options_reset_the_settings_of_a_sparse_run_that_they_do_not_use(cycles: Dataset) -> None:
    sparse = {
        "embedding_updates": "sparse",
        "state_precision": "bfloat16",
        "sparse_learning_rate_scale": 3.0,
    }
    config = changed(sampled(), optimizer=sparse, model={"embedding_precision": "bfloat16"})
    settings = {
        option.name: option.settings for option in training_options(spec_of(cycles, config), None)
    }
    reset = {
        "optimizer.state_precision": "float32",
        "optimizer.sparse_learning_rate_scale": 1.0,
        "model.embedding_precision": "float32",
    }
    assert settings["exact softmax"].items() >= reset.items()
    unchanged = settings["sampled softmax, sparse updates"]
    assert not any(
        "precision" in setting or "sparse_learning_rate_scale" in setting for setting in unchanged
    )


def test_fits_compares_needed_with_available_memory() -> None:
    assert fits(10, None) is None
    assert fits(recommendations.SMALL_RUN, 0) is True
    assert fits(2 * recommendations.SMALL_RUN, recommendations.SMALL_RUN) is False
    assert fits(2 * recommendations.SMALL_RUN, 2 * recommendations.SMALL_RUN) is True


# Runs that do not fit into memory.


def test_a_run_that_does_not_fit_is_refused_with_a_hint_that_fits(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(with_items(cycles, 10_000_000))
    monkeypatch.setenv(MEMORY_VARIABLE, "1.5")
    with pytest.raises(
        ResourceError, match=r"need about .* GB of memory, but only 1.5 GB"
    ) as caught:
        check_memory(spec)
    assert "--set optimizer.embedding_updates=sparse-rowwise" in caught.value.hint
    assert MEMORY_VARIABLE in caught.value.hint
    settings = caught.value.hint.split(" would need")[0].replace("--set ", "").split()
    changes = parse_changes(settings)
    check_memory(replace(spec, config=resolve_config(None, SMALL, changes)))


def test_if_no_option_fits_the_hint_is_a_smaller_model(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.01")
    with pytest.raises(ResourceError, match=r"smaller model\.width"):
        check_memory(spec_of(with_items(cycles, 50_000_000)))


def test_a_refused_run_writes_nothing_and_a_small_run_is_never_refused(
    cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.000001")
    check_memory(spec_of(cycles))
    monkeypatch.setattr(recommendations, "SMALL_RUN", 0)
    with pytest.raises(ResourceError, match="of memory"):
        train(cycles, tmp_path / "run", config=SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("allocate", [np.empty, jnp.empty])
def test_running_out_of_memory_is_one_clear_error(allocate) -> None:
    with pytest.raises(ResourceError, match=r"ran out of memory: .*--resume"), memory_errors():
        allocate(1 << 50)


def test_other_device_errors_are_not_converted() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost"), memory_errors():
        raise jax.errors.JaxRuntimeError("INTERNAL: the device was lost")


def test_if_the_free_memory_is_unknown_no_run_is_refused(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "available_memory", lambda: None)
    check_memory(spec_of(with_items(cycles, 50_000_000)))


def test_a_memory_limit_that_is_not_a_number_is_an_error(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "plenty")
    with pytest.raises(ConfigError, match="'plenty', expected a number of gigabytes"):
        check_memory(spec_of(cycles))


# The plan.


@contextmanager
def cached_steps() -> Iterator[list[bool]]:
    """For each training step that JAX needs compiled, whether it is read from the cache."""
    is_hit, steps = False, []

    def note(event: str, **_: object) -> None:
        nonlocal is_hit
        if event == "/jax/compilation_cache/compile_requests_use_cache":
            is_hit = False
        elif event == "/jax/compilation_cache/cache_hits":
            is_hit = True

    def note_duration(event: str, _seconds: float, **details: object) -> None:
        is_step = details.get("fun_name") in ("step", "jit(step)")
        if event == "/jax/core/compile/backend_compile_duration" and is_step:
            steps.append(is_hit)

    jax.monitoring.register_event_listener(note)
    jax.monitoring.register_event_duration_secs_listener(note_duration)
    try:
        yield steps
    finally:
        jax.monitoring.unregister_event_listener(note)
        jax.monitoring.unregister_event_duration_listener(note_duration)


@pytest.mark.slow
def test_a_run_reuses_the_step_that_its_plan_compiled(cycles: Dataset, tmp_path: Path) -> None:
    config = changed(model={"width": 12})  # not used by any other test
    result = plan(cycles, config=config)
    for name, steps in {"as planned": 6, "longer": 9}.items():
        with cached_steps() as from_cache:
            train(cycles, tmp_path / name, config=config, max_steps=steps)
        assert from_cache == [True]
    assert result.fits is True
    assert result.available is not None
    assert result.total_steps == 6
    assert result.vocabulary_size == cycles.vocabulary_size
    assert result.softmax_logits == 256 * result.vocabulary_size
    assert result.memory.parameters == estimate_memory(spec_of(cycles, config)).parameters
    assert result.times is not None
    assert result.times.step > 0
    np.testing.assert_allclose(result.times.run, result.times.step * result.total_steps)
    np.testing.assert_allclose(result.times.epoch, result.times.step * result.steps_per_epoch)


def test_all_batches_of_a_run_have_the_shapes_of_the_sample(tmp_path: Path) -> None:
    data = log_of(tmp_path, 800, 4, longest=60)
    config = changed(model={"context": 40}, training={"batch_size": 8, "max_steps": None})
    spec = spec_of(data, config)
    assert len(spec.bucket_shapes) > 1
    assert spec.bucket_shapes[0][1] == 40
    assert sum(rows for rows, _ in spec.bucket_shapes) == 8
    _, batches = training_inputs(config, data)
    for number in range(spec.steps_per_epoch):
        assert [bucket.tokens.shape for bucket in batches[number]] == spec.bucket_shapes
    assert spec.n_positions == spec.n_labels < 8 * 40


@pytest.mark.slow
def test_no_step_is_timed_without_probe_or_if_the_run_does_not_fit(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunSpec, "initial_state", None)
    assert plan(cycles, config=SMALL, probe=False).times is None
    monkeypatch.setattr(recommendations, "SMALL_RUN", 0)
    monkeypatch.setenv(MEMORY_VARIABLE, "0.001")
    result = plan(cycles, config=SMALL)
    assert result.fits is False
    assert result.times is None
    assert result.to_dict()["available"] == 1_000_000


def test_a_plan_with_invalid_input_is_an_error(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        plan(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        plan(cycles, **{"model.layer": 2})
    with pytest.raises(ConfigError, match=r"model\.end"):
        plan(cycles, end=True)
