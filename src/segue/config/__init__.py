"""Configuration: one frozen model a part, read from TOML, presets and ``key=value``.

A key that does not exist is an error that names the nearest one that does. A preset is a
TOML file in ``segue/presets``; anything it leaves out has the default of its part.
"""

from segue.config.evaluation import EvaluationConfig, Seen, Task
from segue.config.part import Part
from segue.config.preparation import (
    DemoConfig,
    FilterConfig,
    PrepareConfig,
    SourceConfig,
    SplitConfig,
    SplitKind,
)
from segue.config.reading import load_config, nearest, presets, validated
from segue.config.training import (
    BlendConfig,
    Config,
    Estimator,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    Precision,
    TrainingConfig,
)

__all__ = [
    "BlendConfig",
    "Config",
    "DemoConfig",
    "Estimator",
    "EvaluationConfig",
    "FilterConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Part",
    "Precision",
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
