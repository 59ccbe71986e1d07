"""Colours that people with any colour vision tell apart, shared by all figures."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's."""

DASHES = ("-", "--", "-.", ":")
"""Of lines one after another: with `COLOURS`, 28 of them differ, and neighbours differ without colour too."""

FAILED = COLOURS[3]

SCALES = {"mean": "Viridis", "std": "Cividis", "score": "Viridis"}
"""Colour scale of each colouring of the map; they run from dark to light, so they stay in order in grey too."""

DIVERGING = [[0.0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1.0, "#b2182b"]]
"""From stable (blue) to not (red)."""
