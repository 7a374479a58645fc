"""``python3 -m secondorder`` is the command ``secondorder``."""

from secondorder.cli import main

if __name__ == "__main__":
    main()
