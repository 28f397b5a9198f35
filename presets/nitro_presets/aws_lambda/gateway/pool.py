"""The processes of one function: an invocation goes to a free one, to a new one, or waits."""

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
    THROTTLED,
    InvocationError,
    InvocationResult,
    PendingInvocation,
    StreamedResult,
)
from nitro_presets.aws_lambda.gateway.process import FunctionProcess
from nitro_presets.aws_lambda.gateway.quotas import Quotas

logger = logging.getLogger("nitro_py.aws.gateway")


class FunctionPool:
    """A function with its processes.

    Args:
        function: The function.
        concurrency: The most processes.
        make_process: Makes a process, given its number.
        faults: The faults to inject.
        limits: The quotas.
    """

    def __init__(
        self,
        function: Function,
        concurrency: int,
        make_process: Callable[[int], FunctionProcess],
        faults: Faults,
        limits: Quotas,
    ) -> None:
        self.function = function
        self.invocations = 0
        self.cold_starts = 0
        self.throttles = 0
        self._concurrency = concurrency
        self._make_process = make_process
        self._faults = faults
        self._limits = limits
        self._queue: deque[PendingInvocation] = deque()
        self._idle: list[FunctionProcess] = []
        self._processes: set[FunctionProcess] = set()
        self._tasks = BackgroundTasks()
        self._started = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the running processes."""
        return tuple(process.pid for process in self._processes if process.alive)

    async def invoke(self, payload: bytes, trace: str | None) -> InvocationResult:
        """Invoke the function and wait for its response, or for the start of a streamed one.

        Args:
            payload: The event as JSON.
            trace: The trace header of the call.
        """
        extended, depth = extend_trace(trace, self.function.name)
        if depth > self._limits.depth:
            message = (
                f"`{self.function.name}` has called itself {self._limits.depth} times in a row, and was stopped."
            )
            logger.error("%s", message)
            return InvocationError.make("RecursiveInvocationException", message)
        if self._faults.hits("lambda_throttle"):
            self.throttles += 1
            return InvocationError.make(THROTTLED, "Rate Exceeded.")
        invocation = PendingInvocation(payload, extended)
        self._queue.append(invocation)
        self._assign()
        try:
            return await asyncio.shield(invocation.outcome)
        except asyncio.CancelledError:
            invocation.outcome.add_done_callback(_discard)
            raise

    async def kill(self) -> None:
        """Kill all processes at once."""
        processes = tuple(self._processes)
        for process in processes:
            process.kill()
        for process in processes:
            await process.wait()

    @property
    def busy(self) -> bool:
        """Whether an invocation runs or waits."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until no invocation runs or waits."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        while self._queue:
            self._queue.popleft().resolve(InvocationError.make("ServiceException", "The gateway stops."))
        await self._tasks.close()
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()
        self._idle.clear()

    def _assign(self) -> None:
        self._drop_dead()
        while self._queue:
            if self._idle:
                # The process that ran last, as on Lambda.
                process = self._idle.pop()
                self._tasks.start(self._run(process, self._queue.popleft()))
            elif len(self._processes) < self._concurrency:
                self._started += 1
                process = self._make_process(self._started)
                self._processes.add(process)
                self._tasks.start(self._run_cold(process, self._queue.popleft()))
            else:
                return

    async def _run_cold(self, process: FunctionProcess, invocation: PendingInvocation) -> None:
        self.cold_starts += 1
        failure = await process.start(self._limits.init)
        if failure is not None:
            # As on Lambda: once more, in the invocation and its time.
            logger.warning("[%s] INIT failed, and is tried again: %s", process.name, failure.message)
            self._processes.discard(process)
            process = self._make_process(process.number)
            self._processes.add(process)
            invocation.begin(self.function.timeout)
            failure = await process.start(invocation.seconds_left)
        if failure is None:
            await self._run(process, invocation)
            return
        logger.error("[%s] cannot start: %s", process.name, failure.message)
        self.invocations += 1
        self._processes.discard(process)
        invocation.resolve(failure)
        self._assign()

    async def _run(self, process: FunctionProcess, invocation: PendingInvocation) -> None:
        if self._faults.slow:
            await asyncio.sleep(self._faults.draw("slow"))
        self.invocations += 1
        if not invocation.deadline:
            invocation.begin(self.function.timeout)
        await process.run(invocation, self._faults)
        if process.alive:
            self._idle.append(process)
        else:
            self._processes.discard(process)
        self._assign()

    def _drop_dead(self) -> None:
        for process in [process for process in self._idle if not process.alive]:
            self._idle.remove(process)
            self._processes.discard(process)
            self._tasks.start(process.stop())


def _discard(outcome: asyncio.Future[InvocationResult]) -> None:
    if not outcome.cancelled() and isinstance(stream := outcome.result(), StreamedResult):
        stream.discard()
