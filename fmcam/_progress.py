"""Bars that show how far a long piece of work is."""

from tqdm import tqdm

__all__ = ["ProgressBar"]


class ProgressBar(tqdm):
    """tqdm's bar without its thread, which would outlive the bar; nothing is shown in a pipe."""

    monitor_interval = 0

    def __init__(self, *args, **kwargs):
        # each update looks at the clock, which is what tqdm has the thread for
        super().__init__(*args, **{"disable": None, "miniters": 1, **kwargs})

    def skip(self, n):
        """Count as done what took no time, so that the speed does not count it."""
        if self.disable:
            return
        self.initial += n
        self.n += n
        self.refresh()
