"""Where labels come from: look-up tables, first-principles calculations, acid stability."""
