"""Training: from a prepared dataset to a run folder, stoppable and resumable anywhere.

Everything random is a function of the seed and the step, so that a checkpoint holds no
random state: parameters, moments, the position in the data and a little bookkeeping say it
all, and a resumed run ends with the same bits as one that was never stopped.
"""

from segue.trainer.loop import Trainer
from segue.trainer.overfit import Overfitted, overfit_one_batch
from segue.trainer.planning import Plan, plan
from segue.trainer.progress import Progress
from segue.trainer.start import train

__all__ = ["Overfitted", "Plan", "Progress", "Trainer", "overfit_one_batch", "plan", "train"]
