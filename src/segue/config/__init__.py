"""Configuration: one frozen model per section, read from TOML, presets and ``key=value``.

An unknown key is an error that names the nearest known key. A preset is a TOML file in
``segue/presets``; keys that it omits have the default of their section.
"""

from segue.config.evaluation import EvaluationConfig, SeenPolicy, Task
from segue.config.loading import load_config, nearest_hint, presets, validated
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
    "Config",
    "ConfigSection",
    "DemoConfig",
    "EnsembleConfig",
    "Estimator",
    "EvaluationConfig",
    "FilterConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Precision",
    "PrepareConfig",
    "SeenPolicy",
    "SourceConfig",
    "SplitConfig",
    "SplitKind",
    "Task",
    "TrainingConfig",
    "load_config",
    "nearest_hint",
    "presets",
    "validated",
]
