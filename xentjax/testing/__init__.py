"""The contract every loss here keeps, offered to a loss of your own.

`assert_loss_contract(loss, (logits, labels))` checks shapes, dtypes, derivatives, masks, extremes,
precision and every transform, and says which clause broke, where, with got and wanted.
"""

from xentjax.testing.contract import CLAUSES, assert_loss_contract
from xentjax.testing.report import LossContractReport
from xentjax.testing.violation import LossContractError

__all__ = ["CLAUSES", "LossContractError", "LossContractReport", "assert_loss_contract"]
