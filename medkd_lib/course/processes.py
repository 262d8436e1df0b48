"""A started process and everything it started: how much memory, and how to end it all."""

from collections.abc import Sequence

import psutil


class ProcessTree:
    """The descendants of one process, remembered even when their parent is gone.

    A killed parent's children are handed to the system's first process and no longer found
    below it; what was seen once can still be ended.
    """

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._top = psutil.Process(pid)
        self._seen: set[psutil.Process] = set()

    def sample(self) -> None:
        """Note the descendants and the memory they hold now (resident set, summed).

        Pages shared between forked workers count once for each of them.
        """
        total = 0
        for process in self._look():
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it ended between the listing and the question
        self.peak_bytes = max(self.peak_bytes, total)

    def kill(self) -> None:
        """End the process and all descendants ever seen; return when none is left."""
        for _ in range(5):  # a dying process may have started another in between
            self._look()
            if not _kill([self._top, *self._seen]):
                return

    def _look(self) -> list[psutil.Process]:
        try:
            found = self._top.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._seen.update(found)
        return found


def _kill(processes: Sequence[psutil.Process]) -> bool:
    """Kill those that still run and wait for their end; return whether there were any."""
    # is_running() compares start times: a later process with the same number is left alone.
    alive = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue  # it ended by itself in between
    psutil.wait_procs(alive, timeout=3)
    return bool(alive)


def same_process_alive(pid: int, started: float) -> bool:
    """Whether process ``pid`` runs and is the one that started at ``started`` (numbers recur)."""
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1
    except psutil.NoSuchProcess:
        return False
