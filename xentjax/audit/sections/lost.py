"""Lost answers: how many right ones a change may cost before something is to be done."""

from xentjax.audit.sections.bounds import below

# Of the right answers, the share that may be lost to a small change; one in twenty passes for
# wear, one in five does not.
LOST = below(0.05, act=0.2)
