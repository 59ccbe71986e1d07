"""Units, operators, expressions and the feature space built from them."""
