"""``python -m sisso_sal.cli``."""

from sisso_sal.cli import main

main()
