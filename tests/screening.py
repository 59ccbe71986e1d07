"""The screening as most tests call it: problems, residuals and taken features side by side."""

from sisso_sal.engine import screen as module


def screen(space, problems, residuals, n_sis, *, taken=None, **options):
    """`screen` with a step for each problem."""
    parts = [problems, residuals] if taken is None else [problems, residuals, taken]
    steps = [module.ScreeningStep(*step) for step in zip(*parts, strict=True)]
    return module.screen(space, steps, n_sis, **options)
