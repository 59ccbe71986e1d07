"""What a person sees of a run: text in the terminal, figures, and the page in one file."""
