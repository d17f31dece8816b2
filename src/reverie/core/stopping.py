"""Being told to stop: termination ends the work as Ctrl-C does, so that nothing is left half done or running."""

from __future__ import annotations

import contextlib
import signal


def stop_on_signals() -> dict:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does; a second Ctrl-C does not disturb the finishing.

    Returns the handlers that were there before.
    """
    def stop(number, frame):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        with contextlib.suppress(ValueError):  # not in the main thread: our caller has signals of its own
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, stop)
    return before
