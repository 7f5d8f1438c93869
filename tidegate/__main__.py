"""`python -m tidegate` is the console script."""

from tidegate.cli import main

if __name__ == "__main__":
    main()
