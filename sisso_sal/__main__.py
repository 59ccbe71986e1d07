"""``python -m sisso_sal``: the command line."""

from sisso_sal.cli import main

if __name__ == "__main__":
    main()
