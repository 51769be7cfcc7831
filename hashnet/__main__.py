"""``python -m hashnet`` is the ``hashnet`` command."""

from hashnet.cli import main

if __name__ == "__main__":
    main()
