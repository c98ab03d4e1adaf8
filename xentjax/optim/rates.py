"""What a learning rate may be: a number, a traced scalar in a sweep, or a schedule."""

from typing import TypeAlias

from xentjax.optim.progress import Schedule
from xentjax.optim.ranges import Scalar

LearningRate: TypeAlias = Scalar | Schedule
