"""Configuration: one frozen model a part, read from TOML, presets and ``key=value``.

A key that does not exist is an error that names the nearest one that does. A preset is a
TOML file in ``segue/presets``; anything it leaves out has the default of its part.
"""

from segue.config.parts import (
    Config,
    DemoConfig,
    Estimator,
    EvaluationConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    Part,
    PrepareConfig,
    Seen,
    SourceConfig,
    SplitConfig,
    SplitKind,
    Task,
    TrainingConfig,
)
from segue.config.reading import load_config, nearest, presets, validated

__all__ = [
    "Config",
    "DemoConfig",
    "Estimator",
    "EvaluationConfig",
    "FilterConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Part",
    "PrepareConfig",
    "Seen",
    "SourceConfig",
    "SplitConfig",
    "SplitKind",
    "Task",
    "TrainingConfig",
    "load_config",
    "nearest",
    "presets",
    "validated",
]
