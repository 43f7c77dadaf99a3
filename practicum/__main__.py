"""`python -m practicum` is the command line."""

from practicum.cli.main import main

if __name__ == "__main__":
    main()
