"""`python -m maxwell` is the command `maxwell`."""

from maxwell.cli import main

if __name__ == "__main__":
    main()
