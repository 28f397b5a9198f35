"""The signals that end a server."""

from __future__ import annotations

import signal


def list_ending_signals() -> list[signal.Signals]:
    """Lists the signals that mean the end; a hang-up does not, where `nohup` says so."""
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    return ending
