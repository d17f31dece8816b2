"""Every error that Reverie raises on purpose.

    ReverieError            exit 1   the work could not be done
      BadInput              exit 2   an argument, prompt, script or camera move that makes no sense
      BadMedia              exit 1   an image or video that cannot be read
      BadWeights            exit 1   a model that is missing, truncated or of another shape
      BadData               exit 1   a data set or shard that is missing or damaged
      CannotWrite           exit 1   an output that cannot be written (permission, disk full)

Each message is one line: what was wrong, where, and what to do.
"""


class ReverieError(Exception):
    """Base of the tree; ``exit_code`` is what the command line returns for it."""

    exit_code = 1


class BadInput(ReverieError):
    """An argument that makes no sense."""

    exit_code = 2


class BadMedia(ReverieError):
    """An image or video that cannot be read."""


class BadWeights(ReverieError):
    """A model that is missing, truncated, or of another shape than its config says."""


class BadData(ReverieError):
    """A data set or shard that is missing or damaged."""


class CannotWrite(ReverieError):
    """An output that cannot be written."""
