"""What a run takes, counted before it begins; runs that do not fit; what would suit better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segue.axes import N_SPECIALS
from segue.config import (
    Config,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.errors import ConfigError, DatasetError, ResourceError
from segue.runtime import MEMORY_VARIABLE, cache_folder
from segue.trainer import advice, plan, train
from segue.trainer.advice import (
    advised,
    check_memory,
    fits,
    is_exact_cheap,
    memory_errors,
    options,
)
from segue.trainer.loss import known_of
from segue.trainer.memory import estimate, size_of
from segue.trainer.start import inputs
from segue.trainer.step import jitted_step, tables_by_rows
from segue.trainer.workload import Workload
from small_datasets import dataset_of

MODEL = ModelConfig(layers=1, heads=2, width=16, feed_forward=32, context=8)
SAMPLED = LossConfig(kind="sampled-softmax", negatives=16)
SMALL = Config(model=MODEL, training=TrainingConfig(batch_size=16, max_steps=6, validate_every=3))
FACTOR = 2.0
"""The formula is this near to XLA's figure, in whole models; see ``segue.trainer.memory``."""


class Grown(Dataset):
    """A dataset that says that its catalogue is larger than it is."""

    n_items = 0

    @property
    def n_catalogue(self) -> int:
        return self.n_items


def with_items(data: Dataset, n_items: int) -> Grown:
    grown = Grown(data.path, data.manifest, data.sequences)
    grown.n_items = n_items
    return grown


def log_of(folder: Path, n_sequences: int, length: int, longest: int = 0) -> Dataset:
    """So many sequences of one length, and one of another."""
    lengths = [length] * n_sequences + [longest] * (longest > 0)
    log = {f"u{i}": [f"i{(i + j) % 19}" for j in range(n)] for i, n in enumerate(lengths)}
    (folder / str(n_sequences)).mkdir()
    return dataset_of(folder / str(n_sequences), log, SplitConfig(kind="leave-one-out"))


def work_of(data: Dataset, config: Config = SMALL) -> Workload:
    features, batches = inputs(config, data)
    return Workload.of(config, data, features, batches)


def changed(config: Config = SMALL, **parts: dict) -> Config:
    tables = config.model_dump()
    for part, changes in parts.items():
        tables[part] |= changes
    return Config.model_validate(tables)


def sampled(item_table: str = "dense", **changes) -> Config:
    loss = SAMPLED.model_copy(update=changes)
    return SMALL.model_copy(
        update={"loss": loss, "optimizer": OptimizerConfig(item_table=item_table)}
    )


# What is counted.


@pytest.mark.parametrize("item_table", ["dense", "sparse", "sparse-lean"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_and_moments_are_counted_to_the_byte(
    cycles: Dataset, item_table: str, tied: bool
) -> None:
    work = work_of(cycles, changed(sampled(item_table), model={"tied_output": tied}))
    memory, state = estimate(work), work.fresh_state()
    assert memory.parameters == sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    assert memory.optimizer == sum(leaf.nbytes for leaf in jax.tree.leaves(state.moments))


def test_a_model_that_reads_features_is_counted_to_the_byte(
    genres: Dataset, reader: Config
) -> None:
    work = work_of(genres, reader)
    memory = estimate(work)
    assert memory.parameters == size_of(work.fresh_state().params)
    assert memory.features == size_of(work.features.items) > 0


def test_lean_moments_cost_two_numbers_a_row(cycles: Dataset) -> None:
    rows, width = 1_000_000 + N_SPECIALS, MODEL.width
    grown = with_items(cycles, 1_000_000)
    sparse, lean = (estimate(work_of(grown, sampled(kind))) for kind in ("sparse", "sparse-lean"))
    assert sparse.optimizer - lean.optimizer == 4 * rows * (2 * width + 1) - 4 * rows * 2
    assert sparse.parameters == lean.parameters


CASES = {
    "exact": SMALL,
    "dense": changed(sampled(shared_negatives=False), model={"layers": 2}),
    "sparse": changed(sampled("sparse"), training={"batch_size": 64}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_formula_is_near_to_what_xla_says(cycles: Dataset, name: str) -> None:
    work = work_of(with_items(cycles, 3_000), CASES[name])
    graph, state = work.abstract_state()
    config = work.config
    step = jitted_step(
        graph, work.tx, config.loss, jax.random.key(0), by_rows=tables_by_rows(config)
    )
    known = known_of(work.data, config, work.features)
    found = step.lower(state, known, work.batch, jnp.int32(1)).compile().memory_analysis()
    counted = estimate(work).step
    assert found.temp_size_in_bytes / FACTOR < counted < found.temp_size_in_bytes * FACTOR


def test_steps_by_rows_do_not_grow_with_the_catalogue(cycles: Dataset) -> None:
    few, many = (
        estimate(work_of(with_items(cycles, n), sampled("sparse"))) for n in (10_000, 1_000_000)
    )
    assert many.step == few.step
    assert many.parameters > 50 * few.parameters


def test_the_peaks_are_made_of_their_parts(cycles: Dataset) -> None:
    memory = estimate(work_of(cycles))
    state = memory.parameters + memory.optimizer
    assert memory.saving == memory.process + memory.compiler + memory.dataset + state
    assert memory.training == memory.saving + max(memory.step, memory.validation)
    assert memory.resuming == memory.saving + memory.resume
    assert memory.process > 50_000_000  # of any process that has loaded JAX


def test_singular_vectors_are_counted_where_a_run_begins_with_them(cycles: Dataset) -> None:
    grown = with_items(cycles, 1_000_000)
    warm = changed(model={"initialisation": "singular-vectors"})
    blended = changed(blend={"vectors": 64})
    plain = estimate(work_of(grown))
    assert plain.beginning == 0 < estimate(work_of(grown, warm)).beginning
    assert estimate(work_of(grown, blended)).training > plain.training + 4 * 64 * 1_000_000


def test_singular_vectors_of_many_sequences_are_counted_too(tmp_path: Path) -> None:
    blended = changed(blend={"vectors": 64})
    few, many = (estimate(work_of(log_of(tmp_path, n, 4), blended)).beginning for n in (50, 5_000))
    assert many - few > 4 * 64 * 4_950


# What is advised.


def test_advice_goes_from_exact_to_sampled_to_sparse_as_the_catalogue_grows(
    cycles: Dataset,
) -> None:
    taken = []
    for n_items in (200, 4_500, 1_000_000):
        work = work_of(with_items(cycles, n_items))
        best = advised(work, options(work, None))
        assert best is not None
        taken.append(best)
    assert [option.name for option in taken] == [
        "exact softmax",
        "sampled softmax",
        "sampled softmax, sparse-lean updates",
    ]
    assert taken[0].settings == []
    assert "loss.kind=sampled-softmax" in taken[1].settings
    assert "loss.proposal=log-uniform" in taken[2].settings
    assert "optimizer.item_table=sparse-lean" in taken[2].settings


def test_a_deeper_model_can_afford_an_exact_softmax_longer(cycles: Dataset) -> None:
    work = work_of(with_items(cycles, 6_000))
    deep = replace(work, config=changed(model={"layers": 16}))
    assert not is_exact_cheap(work)
    assert is_exact_cheap(deep)


def test_the_lean_state_is_advised_where_the_full_one_does_not_fit(cycles: Dataset) -> None:
    work = work_of(with_items(cycles, 10_000_000))
    by_name = {option.name: option for option in options(work, None)}
    lean, full = (by_name[f"sampled softmax, {kind} updates"] for kind in ("sparse-lean", "sparse"))
    assert lean.needed < full.needed
    found = options(work, (lean.needed + full.needed) // 2)
    best = advised(work, [option for option in found if option.fits])
    assert best is not None
    assert best.name == lean.name


def test_negatives_of_each_position_become_many_that_all_share(cycles: Dataset) -> None:
    config = sampled(shared_negatives=False, estimator="negatives-only")
    work = work_of(with_items(cycles, 1_000_000), config)
    best = advised(work, options(work, None))
    assert best is not None
    assert set(best.settings) == {
        "loss.proposal=log-uniform",
        "loss.shared_negatives=true",
        "loss.estimator=with-target",
        "loss.negatives=1024",
        "optimizer.item_table=sparse-lean",
        "optimizer.row_rate=10.0",
        "loss.in_batch=true",
    }


def test_advice_can_be_pasted(cycles: Dataset) -> None:
    work = work_of(with_items(cycles, 1_000_000))
    for option in options(work, None):
        again = plan_config(option.settings)
        own = replace(work, config=again)
        same = next(other for other in options(own, None) if other.name == option.name)
        assert same.settings == []


def plan_config(settings: list[str]) -> Config:
    from segue.config import load_config

    base = [
        f"{part}.{key}={value}"
        for part, values in SMALL.model_dump(exclude_defaults=True).items()
        for key, value in values.items()
    ]
    return load_config(overrides=[*base, *settings])


def test_every_way_can_be_told_of_a_run_by_rows_with_all_its_options(cycles: Dataset) -> None:
    by_rows = {"item_table": "sparse", "moment_precision": "bfloat16", "row_rate": 3.0}
    config = changed(sampled(), optimizer=by_rows, model={"table_precision": "bfloat16"})
    found = {option.name: option.settings for option in options(work_of(cycles, config), None)}
    back = {"optimizer.moment_precision=float32", "optimizer.row_rate=1.0"}
    assert back | {"model.table_precision=float32"} <= set(found["exact softmax"])
    own = found["sampled softmax, sparse updates"]
    assert not any("precision" in setting or "row_rate" in setting for setting in own)


def test_whether_it_fits() -> None:
    assert fits(10, None) is None
    assert fits(advice.SMALL_RUN, 0) is True
    assert fits(2 * advice.SMALL_RUN, advice.SMALL_RUN) is False
    assert fits(2 * advice.SMALL_RUN, 2 * advice.SMALL_RUN) is True


# Runs that do not fit.


def test_a_run_that_does_not_fit_is_refused_and_the_hint_fits(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(with_items(cycles, 10_000_000))
    monkeypatch.setenv(MEMORY_VARIABLE, "1.5")
    with pytest.raises(ResourceError, match=r"take about .* GB of memory, and 1.5 GB") as refused:
        check_memory(work)
    assert "--set optimizer.item_table=sparse-lean" in refused.value.hint
    assert MEMORY_VARIABLE in refused.value.hint
    settings = refused.value.hint.split(" would take")[0].replace("--set ", "").split()
    check_memory(replace(work, config=plan_config(settings)))


def test_where_nothing_fits_the_model_is_too_large(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.01")
    with pytest.raises(ResourceError, match=r"smaller model\.width"):
        check_memory(work_of(with_items(cycles, 50_000_000)))


def test_a_refused_run_leaves_nothing_and_a_small_one_is_never_refused(
    cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.000001")
    check_memory(work_of(cycles))
    monkeypatch.setattr(advice, "SMALL_RUN", 0)
    with pytest.raises(ResourceError, match="of memory"):
        train(cycles, tmp_path / "run", config=SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("allocate", [np.empty, jnp.empty])
def test_memory_that_is_lacking_after_all_is_one_clear_error(allocate) -> None:
    with pytest.raises(ResourceError, match=r"no more memory: .*--resume"), memory_errors():
        allocate(1 << 50)


def test_another_error_of_the_device_is_not_one_of_memory() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost"), memory_errors():
        raise jax.errors.JaxRuntimeError("INTERNAL: the device was lost")


def test_where_nothing_says_how_much_there_is_no_run_is_refused(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "available_memory", lambda: None)
    check_memory(work_of(with_items(cycles, 50_000_000)))


def test_a_limit_that_is_no_number(cycles: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "plenty")
    with pytest.raises(ConfigError, match="'plenty', expected a number of gigabytes"):
        check_memory(work_of(cycles))


# The plan.


def test_a_plan_compiles_what_the_run_then_has_already(cycles: Dataset, tmp_path: Path) -> None:
    folder = cache_folder()
    assert folder is not None
    config = changed(model={"width": 12})  # no other test's
    found = plan(cycles, config=config)
    compiled = set((folder / "xla").glob("jit_step*"))
    train(cycles, tmp_path / "run", config=config)
    assert set((folder / "xla").glob("jit_step*")) == compiled
    assert found.fits is True
    assert found.available is not None
    assert found.total_steps == 6
    assert found.softmax_block == found.table_size == cycles.table_size
    assert found.memory.parameters == estimate(work_of(cycles, config)).parameters
    assert found.times is not None
    assert found.times.step > 0
    np.testing.assert_allclose(found.times.run, found.times.step * found.total_steps)
    np.testing.assert_allclose(found.times.epoch, found.times.step * found.steps_per_epoch)


def test_batches_of_several_widths_are_all_probed_and_the_widest_counts(cycles: Dataset) -> None:
    config = changed(training={"bucket": True, "batch_size": 30})
    work = work_of(cycles, config)
    widths = {batch.tokens.shape[1] for batch in work.sample}
    assert work.batch.tokens.shape[1] == max(widths) == MODEL.context
    assert len(widths) > 1
    found = plan(cycles, config=config)
    assert found.times is not None
    assert found.times.steps >= len(widths)


def test_the_widest_batch_counts_wherever_it_comes(tmp_path: Path) -> None:
    data = log_of(tmp_path, 800, 4, longest=60)
    bucketed = {"bucket": True, "batch_size": 4, "max_steps": None}
    config = changed(model={"context": 40}, training=bucketed)
    for seed in range(3):
        work = work_of(data, changed(config, training={"seed": seed}))
        assert work.batch.tokens.shape == (4, 40)
        first = work_of(data, changed(config, training={"seed": seed, "max_steps": 1}))
        assert first.batch.tokens.shape == first.sample[0].tokens.shape


def test_no_step_is_taken_where_the_run_does_not_fit_or_none_is_wanted(
    cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "fresh_state", None)
    assert plan(cycles, config=SMALL, probe=False).times is None
    monkeypatch.setattr(advice, "SMALL_RUN", 0)
    monkeypatch.setenv(MEMORY_VARIABLE, "0.001")
    found = plan(cycles, config=SMALL)
    assert found.fits is False
    assert found.times is None
    assert found.to_json()["available"] == 1_000_000


def test_a_plan_of_what_is_not_there(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        plan(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        plan(cycles, overrides={"model.layer": 2})
    with pytest.raises(ConfigError, match=r"model\.end"):
        plan(cycles, overrides={"model.end": True})
