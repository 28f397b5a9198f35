"""The processes of one function: calls go to a free one, to a new one, or wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from nitro_presets.aws_lambda.gateway.background_tasks import BackgroundTasks
from nitro_presets.aws_lambda.gateway.bundle import Function
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.formats import extend_trace
from nitro_presets.aws_lambda.gateway.invocation import (
    InvocationError,
    InvocationResult,
    PendingInvocation,
    StreamedResult,
)
from nitro_presets.aws_lambda.gateway.process import FunctionProcess
from nitro_presets.aws_lambda.gateway.quotas import Quotas

logger = logging.getLogger("nitro_py.aws.gateway")


class FunctionPool:
    """Runs a function in as many processes as are needed, up to a number.

    Args:
        function: The function.
        concurrency: How many processes there are at most.
        make_worker: Makes one, given its number.
        faults: What goes wrong on purpose.
        limits: What the platform allows.
    """

    def __init__(
        self,
        function: Function,
        concurrency: int,
        make_worker: Callable[[int], FunctionProcess],
        faults: Faults,
        limits: Quotas,
    ) -> None:
        self.function = function
        self._concurrency = concurrency
        self._make_worker = make_worker
        self._faults = faults
        self._limits = limits
        self._queue: deque[PendingInvocation] = deque()
        self._idle: list[FunctionProcess] = []
        self._workers: set[FunctionProcess] = set()
        self._tasks = BackgroundTasks()
        self._started = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the processes that have started."""
        return tuple(worker.pid for worker in self._workers if worker.alive)

    async def invoke(self, payload: bytes, trace: str | None) -> InvocationResult:
        """Call the function and wait for its answer, or for the start of a streamed one.

        Args:
            payload: The event, JSON.
            trace: The trace of the call.
        """
        told, hops = extend_trace(trace, self.function.name)
        if hops > self._limits.hops:
            message = (
                f"`{self.function.name}` has called itself {self._limits.hops} times in a row, and was stopped."
            )
            logger.error("%s", message)
            return InvocationError.make("RecursiveInvocationException", message)
        invocation = PendingInvocation(payload, told)
        self._queue.append(invocation)
        self._assign()
        try:
            return await asyncio.shield(invocation.outcome)
        except asyncio.CancelledError:
            invocation.outcome.add_done_callback(_discard)
            raise

    async def kill(self) -> None:
        """Kill all processes, in the middle of whatever they do."""
        workers = tuple(self._workers)
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.wait()

    @property
    def busy(self) -> bool:
        """Return whether something is under way."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until no invocation runs or waits."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        while self._queue:
            self._queue.popleft().resolve(InvocationError.make("ServiceException", "The gateway stops."))
        await self._tasks.close()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()

    def _assign(self) -> None:
        self._drop_dead()
        while self._queue:
            if self._idle:
                # The one that ran last, as on Lambda: the others may be taken away.
                worker = self._idle.pop()
                self._tasks.start(self._run(worker, self._queue.popleft()))
            elif len(self._workers) < self._concurrency:
                self._started += 1
                worker = self._make_worker(self._started)
                self._workers.add(worker)
                self._tasks.start(self._run_cold(worker, self._queue.popleft()))
            else:
                return

    async def _run_cold(self, worker: FunctionProcess, invocation: PendingInvocation) -> None:
        failure = await worker.start(self._limits.init + self.function.timeout)
        if failure is None:
            await self._run(worker, invocation)
            return
        logger.error("[%s] cannot start: %s", worker.name, failure.message)
        self._workers.discard(worker)
        invocation.resolve(failure)
        self._assign()

    async def _run(self, worker: FunctionProcess, invocation: PendingInvocation) -> None:
        if self._faults.slow:
            await asyncio.sleep(self._faults.draw("slow"))
        invocation.begin(self.function.timeout)
        await worker.run(invocation, self._faults)
        if worker.alive:
            self._idle.append(worker)
        else:
            self._workers.discard(worker)
        self._assign()

    def _drop_dead(self) -> None:
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            self._workers.discard(worker)
            self._tasks.start(worker.stop())


def _discard(outcome: asyncio.Future[InvocationResult]) -> None:
    if not outcome.cancelled() and isinstance(stream := outcome.result(), StreamedResult):
        stream.discard()
