"""``python -m reverie`` is the command ``reverie``."""

from reverie.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
