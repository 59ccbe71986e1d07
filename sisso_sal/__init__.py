"""Materials discovery by symbolic regression ensembles and sequential active learning.

>>> from sisso_sal import Campaign, SISSOEnsemble, SISSORegressor
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sisso_sal.api.campaign import Campaign
    from sisso_sal.data.table import Table, read_table
    from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
    from sisso_sal.models.classifier import SISSOClassifier
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.files import load_model, save_model
    from sisso_sal.models.multi_task import MultiTaskSISSO
    from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble
    from sisso_sal.models.regressor import SISSORegressor

__version__ = "0.1.0"
__all__ = [
    "Campaign", "MultiTaskSISSO", "MultiTaskSISSOEnsemble", "SISSOClassifier", "SISSOClassifierEnsemble", "SISSOEnsemble",
    "SISSORegressor", "Table", "__version__", "load_model", "read_table", "save_model",
]  # fmt: skip

_HOMES = {
    "Campaign": "sisso_sal.api.campaign",
    "MultiTaskSISSO": "sisso_sal.models.multi_task",
    "MultiTaskSISSOEnsemble": "sisso_sal.models.multi_task_ensemble",
    "SISSOClassifier": "sisso_sal.models.classifier",
    "SISSOClassifierEnsemble": "sisso_sal.models.class_ensemble",
    "SISSOEnsemble": "sisso_sal.models.ensemble",
    "SISSORegressor": "sisso_sal.models.regressor",
    "Table": "sisso_sal.data.table",
    "load_model": "sisso_sal.models.files",
    "read_table": "sisso_sal.data.table",
    "save_model": "sisso_sal.models.files",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: the command line must start fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sisso_sal' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return sorted(__all__)
