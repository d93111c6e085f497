"""Child processes for heavy work: started on demand, paced by what the CPU quota leaves, ended when idle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.host.cpu import cpu_quota
from runtime.host.memory_limit import memory_for_planning
from runtime.serving.offload import process
from runtime.serving.offload.pacer import TICK_S, Throttle
from runtime.serving.offload.process import Child, ChildEnded
from runtime.serving.scheduling.admission import Overloaded

IDLE_S = 30.0  # without work, after which children end
START_S = 0.4  # that one takes to start, until it has been measured
RETRY_S = 300.0  # until it is tried again to start one
CHILD_BYTES = 24 * 2**20  # of its own, before it has anything to do
MEMORY_SHARE = 1 / 8  # of the memory, for all children
LEAST_MEMORY = 192 * 2**20  # with less there is no room beside the appliance

log = logging.getLogger(__name__)


class ChildDied(Overloaded):
    """The child process that had this work ended before it was done: for want of memory, or of a decoder's fault."""

    def __init__(self) -> None:
        """Another one does the next."""
        super().__init__("child_died", 1)
        self.args = ("the process that had this request in hand ended; send it again in 1 s, or a smaller photo",)


class ChildPool:
    """Leases child processes to threads; without any, these do the work themselves. Thread-safe."""

    def __init__(self, count: int) -> None:
        """At most `count` children; 0 for none."""
        self._count = count
        self._changed = threading.Condition()
        self._busy: set[Child] = set()
        self._idle: list[Child] = []
        self._idle_since = 0.0
        self._retry_at = 0.0
        self._start_s, self._starting_since = START_S, 0.0
        self._closed = False
        self._keeper: threading.Thread | None = None
        quota = cpu_quota() if count else None
        self._throttle = None if quota is None else Throttle(quota)
        self.deaths = 0

    @property
    def running(self) -> int:
        """Child processes that run now."""
        return len(self._busy) + len(self._idle)

    @property
    def ready_in_s(self) -> float:
        """How long until the first child is ready for work that comes now; 0 if one is, or threads do the work."""
        if self._count == 0 or time.monotonic() < self._retry_at:
            return 0.0
        if since := self._starting_since:
            return max(0.0, self._start_s - (time.monotonic() - since))
        return 0.0 if self.running else self._start_s

    def prepare(self) -> None:
        """Start a child for the next lease, unless one is idle or there are as many as there may be."""
        if not self._idle and (child := self._take()):
            self._give_back(child, alive=True)

    @contextmanager
    def lease(self) -> Iterator[Child | None]:
        """A child process for the block; None if the work is to be done in this thread.

        Raises ChildDied if it ends before its work is done.
        """
        child = self._take()
        if child is None:
            yield None
            return
        alive = True
        try:
            yield child
        except ChildEnded as error:
            alive = False
            self.deaths += 1
            if not self._closed:
                log.warning("a child process for heavy work ended: %s; the next request starts another", error)
            raise ChildDied from error
        finally:
            self._give_back(child, alive=alive)

    def close(self) -> None:
        """End all children at once; whoever waits for one that is busy gets ChildDied."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill()
            self._changed.notify_all()
        for child in idle:
            child.kill()  # it may be stopped, and has nothing to lose
            child.end()

    def _take(self) -> Child | None:
        with self._changed:
            if self._closed or time.monotonic() < self._retry_at or (self.running >= self._count and not self._idle):
                return None
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    self._begin(child)
                    return child
        return self._start()

    def _start(self) -> Child | None:
        child, began = None, time.monotonic()
        self._starting_since = began
        try:
            child = Child()
            with self._changed:
                self._begin(child)
                if self._closed:
                    child.kill()
            child.wait_until_ready()
            self._start_s = time.monotonic() - began
        except ChildEnded as error:
            if child:
                self._give_back(child, alive=False)
            if not (self._retry_at or self._closed):
                log.warning("no child process can be started for heavy work (%s); threads do it, slower", error)
            self._retry_at = time.monotonic() + RETRY_S
            return None
        finally:
            self._starting_since = 0.0
        return child

    def _begin(self, child: Child) -> None:
        self._busy.add(child)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="child-keeper", daemon=True)
            self._keeper.start()
        self._pace()
        self._changed.notify_all()

    def _give_back(self, child: Child, *, alive: bool) -> None:
        with self._changed:
            self._busy.discard(child)
            if alive and not self._closed:
                self._idle.append(child)
                self._idle_since = time.monotonic()

    def _keep(self) -> None:
        """Pace busy children, and end idle ones."""
        while not self._closed:
            with self._changed:
                if not self._busy:
                    self._changed.wait(IDLE_S if self._idle else None)
                ended = self._take_idle()
            for child in ended:
                child.end()
            while self._busy and not self._closed:
                time.sleep(TICK_S if self._throttle else IDLE_S / 10)
                with self._changed:
                    self._pace()
                    self._end_overdue()

    def _take_idle(self) -> list[Child]:
        if self._busy or time.monotonic() - self._idle_since < IDLE_S:
            return []
        idle, self._idle = self._idle, []
        return idle

    def _pace(self) -> None:
        """See what everybody has used of the CPU quota, and stop busy children or let them go on."""
        if self._throttle is None or self._throttle.may_run([*self._busy, *self._idle]):
            for child in self._busy:
                child.resume()
        else:
            for child in self._busy:
                child.stop()

    def _end_overdue(self) -> None:
        """A decoder that hangs must not keep a thread of the lane, and the memory that it was given, for ever."""
        for child in self._busy:
            if child.overdue:
                child.kill(f"it took longer than {process.CALL_S:g} s")


def children_for(workers: int) -> int:
    """How many child processes this host has room for, at most one for each of `workers`; 0 for threads instead."""
    memory = memory_for_planning()
    if memory is None:
        return workers
    if memory < LEAST_MEMORY:
        return 0
    return max(1, min(workers, int(MEMORY_SHARE * memory / CHILD_BYTES)))
