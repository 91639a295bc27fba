"""Configuration: one frozen model per section, read from TOML, presets and keyword arguments.

An unknown key is an error that names the nearest known key. A preset is a TOML file in
``segue/presets``; keys that it omits have the default of their section.
"""

from segue.config.evaluation import EvaluationConfig, SeenPolicy, TargetChoice, Task
from segue.config.loading import (
    dotted_key,
    load_config,
    nearest_hint,
    presets,
    resolve_config,
    set_key,
    validated,
)
from segue.config.options import (
    ArrowStream,
    EvaluationOptions,
    PrepareOptions,
    evaluation_config,
    prepare_config,
)
from segue.config.preparation import (
    DemoConfig,
    FilterConfig,
    PrepareConfig,
    SourceConfig,
    SplitConfig,
    SplitKind,
)
from segue.config.section import ConfigSection
from segue.config.training import (
    Config,
    EnsembleConfig,
    Estimator,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    Precision,
    TrainingConfig,
)

__all__ = [
    "ArrowStream",
    "Config",
    "ConfigSection",
    "DemoConfig",
    "EnsembleConfig",
    "Estimator",
    "EvaluationConfig",
    "EvaluationOptions",
    "FilterConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Precision",
    "PrepareConfig",
    "PrepareOptions",
    "SeenPolicy",
    "SourceConfig",
    "SplitConfig",
    "SplitKind",
    "TargetChoice",
    "Task",
    "TrainingConfig",
    "dotted_key",
    "evaluation_config",
    "load_config",
    "nearest_hint",
    "prepare_config",
    "presets",
    "resolve_config",
    "set_key",
    "validated",
]
