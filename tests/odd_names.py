"""Names of columns as people write them, and worse."""

from hypothesis import strategies as st

ODD = (
    "a/b", "c/d", "I/P", "E-A", "d b", "2r", "2theta", "sin", "exp", "abs", "sqrt", "ln", "log", "exp(x)", "a'b", "EA'", 'x"y',
    "a\\b", "a\\nb", "a\nb", "t\tx", "\x1b[31mred", "|x|", "r^2", "r**2", "1e5", "1", "nan", "Inf", "(a", "a)", "f(x)",
    "abs(a - b)", "add(a,b)", "a,b", "`", "``", "a`b", "\\", "\\`", "", " ", " a", "a·b", "χ²", "xⁿ", "r₁", "\u202ertl", "a\u00a0b",
    "\ud800", "%", "50%", "$a$", "{0}", "a{b", "a}b{c", "#&~", "a_b/c", "<script>", "<mi>x</mi>", "&amp;", "__import__('os')",
    "*/ int main", "%{x}", "coding: utf-7", "r+s", "--", "a--b", "x=1", "\\frac", "\U0001f600", "???/", "/*/", "x" * 200 + "/",
)  # fmt: skip
"""Each is quoted."""

PLAIN = (
    "a", "b", "c", "r_s", "r_s_p", "ρ", "χ_A", "É", "日本", "lambda", "class", "EA", "_x", "x_", "_", "__", "sub", "div", "frac",
    "Sin",
)  # fmt: skip
"""Identifiers, which stand as they are."""

NAMES = st.one_of(
    st.sampled_from(sorted({*ODD, *PLAIN})), st.text(max_size=8), st.text("ab_1`\\/*+-() \n'\"", max_size=6)
)
