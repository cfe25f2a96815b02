"""``python -m wasserscore``: the command line, where its script is not on the path."""

from wasserscore.cli.main import main

if __name__ == "__main__":
    main()
