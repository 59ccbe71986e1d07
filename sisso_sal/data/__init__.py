"""Tables of candidates, primary features from composition, and pools of charge-balanced oxides."""
