"""``python -m facemotion``."""

from facemotion.cli.entry import main

if __name__ == "__main__":
    main()
