"""`python -m cauce` is the `cauce` command."""

from cauce.cli.main import main

if __name__ == "__main__":
    main()
