"""The four seams of a campaign: what can be chosen, what predicts, what scores, what labels.

The loop knows these and no implementation. The table, the SISSO ensemble, expected improvement and FHI-aims are the first of each.
"""

from sisso_sal.protocols.acquisition import Acquisition, Maximiser
from sisso_sal.protocols.cause import Cause
from sisso_sal.protocols.cost import Cost
from sisso_sal.protocols.oracle import FAILURES, Answer, KnownLabel, Oracle, Receipt, Request
from sisso_sal.protocols.space import HasClasses, HasPartial, Quantity, Rows, Space, classes_of
from sisso_sal.protocols.surrogate import (
    Continues,
    Described,
    Documented,
    HasEstimates,
    HasOutOfBag,
    MayTellNothing,
    Prediction,
    Progress,
    Surrogate,
    SurrogateKind,
    one_label,
)

__all__ = [
    "Acquisition",
    "Answer",
    "Cause",
    "Continues",
    "Cost",
    "Described",
    "Documented",
    "FAILURES",
    "HasClasses",
    "HasEstimates",
    "HasOutOfBag",
    "HasPartial",
    "KnownLabel",
    "Maximiser",
    "MayTellNothing",
    "Oracle",
    "Prediction",
    "Progress",
    "Quantity",
    "Receipt",
    "Request",
    "Rows",
    "Space",
    "Surrogate",
    "SurrogateKind",
    "classes_of",
    "one_label",
]
