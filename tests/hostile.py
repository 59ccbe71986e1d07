"""A name that tests give to a material."""

HOSTILE = """<b>&"'$_\u00b2</script>*"""
"""A name that would break HTML, JSON in a script, plotly's markup or mathtext, were it not escaped; of a known material."""
