"""Lost answers: how many right ones a change may cost before something is to be done."""

from xentjax.audit.section import Verdict

# Of the right answers, the share that may be lost to a small change; one in twenty passes for
# wear, one in five does not.
LOST_GOOD, LOST_BAD = 0.05, 0.2


def judge_lost(low: float, high: float) -> Verdict:
    """The verdict on a share of right answers lost, from its interval."""
    return "good" if high < LOST_GOOD else "act" if low > LOST_BAD else "watch"
