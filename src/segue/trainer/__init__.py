"""Training: from a prepared dataset to a run folder, resumable after any interruption.

All randomness is a function of the seed and the step number, so a checkpoint contains no random
state. It contains the parameters, the optimizer state, the position in the training data and
the trainer state; a resumed run ends with the same bits as an uninterrupted one.
"""

from segue.trainer.loop import Trainer
from segue.trainer.overfit import OverfitResult, overfit_one_batch
from segue.trainer.progress import Progress
from segue.trainer.start import train

__all__ = ["OverfitResult", "Progress", "Trainer", "overfit_one_batch", "train"]
