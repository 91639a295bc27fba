"""Parameters of baselines: frozen and validated, those of the history in a section of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field

from segue.baselines.item_item import HistoryWeights
from segue.config import ConfigSection, set_key, validated

Positive = Annotated[float, Field(gt=0, strict=True)]
Real = Annotated[float, Field(strict=True)]
Regularisation = Annotated[float, Field(ge=1e-3, strict=True)]
"""Added to the diagonal of a Gram matrix; less would leave it singular but for rounding."""
NotNegative = Annotated[float, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Count = Annotated[int, Field(gt=0, le=1_000_000, strict=True)]


class Parameters(ConfigSection):
    """The parameters of a baseline; each baseline has its own class. This one has none."""

    # Else no mapping could stand for the weights of the history. The numbers are strict.
    model_config = ConfigDict(strict=False)


class HistoryParameters(Parameters):
    """The parameters of a baseline that scores by a weighted history.

    A change of ``history`` needs no new fit: see ``HistoryRanker.with_history``. All other
    parameters are those of the fit.
    """

    history: HistoryWeights = HistoryWeights()


ParametersT = TypeVar("ParametersT", bound=Parameters)


def parameters_of(
    name: str, kind: type[ParametersT], values: Mapping[str, Any] | None
) -> ParametersT:
    """The parameters of a baseline: its defaults with some of them changed.

    Args:
        name: name of the baseline, for messages.
        kind: the class of its parameters.
        values: by name, as in ``{"window": 3, "history.half_life": 4.0}``. A name before a dot is
            that of a section, which can also be given as a mapping or as ``HistoryWeights``.

    Raises:
        ConfigError: a parameter is unknown, or has an impossible value.
    """
    nested = kind().model_dump()
    for key, value in (values or {}).items():
        if key == "history" and isinstance(value, Mapping):
            for inner_key, inner_value in value.items():
                set_key(nested, f"history.{inner_key}", inner_value)
        else:
            set_key(nested, key, value)
    return validated(kind, nested, label=f"{name} parameter")
