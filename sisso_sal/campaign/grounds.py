"""What the choices of an iteration rest on, measured right after they were made, see `sisso_sal.acquisition.why`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sisso_sal.acquisition.proposal import Proposal
from sisso_sal.acquisition.why import Choice, Ground, Others, chances, choices
from sisso_sal.oxides.elements import element_data
from sisso_sal.protocols import Acquisition, HasEstimates, Prediction, Space, Surrogate

N_OTHERS = 300
"""Likeliest other candidates, of which is asked whether the formulas move them together with a pick."""


def grounds(
    surrogate: Surrogate,
    space: Space,
    acquisition: Acquisition,
    prediction: Prediction,
    proposal: Proposal,
    free: np.ndarray,
    guessed: Mapping[str, np.ndarray],
) -> list[Choice]:
    """Why each pick of a proposal was chosen.

    Parameters
    ----------
    surrogate : Surrogate
        Fitted; one of formulas predicts the picks and the likeliest others once more, with its members.
    space : Space
    acquisition : Acquisition
    prediction : Prediction
        Of all n candidates.
    proposal : Proposal
    free : ndarray (n,) of bool
        Candidates that could be chosen.
    guessed : mapping of str to ndarray (n,)
        Standard deviations of features that are predicted themselves, 0 where they are known.
    """
    if not len(proposal.picks):
        return []
    scored, told = proposal.scored, prediction.told
    chance = chances(told, scored.goal, scored.reference)
    rows = np.setdiff1d(np.flatnonzero(free & np.isfinite(chance)), proposal.picks)
    rows = rows[np.argsort(-chance[rows], kind="stable")[:N_OTHERS]]
    names = surrogate.estimates if isinstance(surrogate, HasEstimates) else ()
    features = space.rows().features if names else {}
    others = Others.none(len(proposal.picks))
    if prediction.formulas_mean is not None:
        others = Others(*_members(surrogate, space, proposal.picks, rows), _elements(space, rows))
    return choices(
        Ground(
            acquisition, scored.goal, scored.reference, told, scored.scores, free, proposal.picks, proposal.standing.chosen_by,
            others, proposal.standing.far, {name: features[name] for name in names if name in features}, guessed,
        )
    )  # fmt: skip


def _members(surrogate: Surrogate, space: Space, picks: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each member says of the picks and of the others, NaN where it is not valid."""
    told = surrogate.predict(space, np.concatenate([picks, rows]))
    values = np.where(told.valid, told.members, np.nan) if len(told.members) else told.members
    return values[:, : len(picks)], values[:, len(picks) :]


def _elements(space: Space, rows: np.ndarray) -> list[frozenset[str]]:
    """The elements of candidates; empty sets where there are no formulas."""
    shares = space.rows(rows).composition
    if shares is None:
        return [frozenset()] * len(rows)
    symbols = np.array(list(element_data()))
    return [frozenset(symbols[row > 0].tolist()) for row in shares]
