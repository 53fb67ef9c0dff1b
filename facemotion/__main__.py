"""``python -m facemotion``."""

from facemotion.cli.app import main

if __name__ == "__main__":
    main()
