"""A process of a function: started cold, frozen between invocations, killed after the time-out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.invocation import InvocationError, PendingInvocation
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.gateway.runtime_api import RuntimeApi

logger = logging.getLogger("nitro_py.aws.gateway")

PIECE = 64 * 1024


class FunctionProcess:
    """A process that runs one invocation at a time.

    Args:
        function: The function's name.
        number: The process's number, which its output in the log begins with.
        command: The command of the process.
        environment: Its environment variables, without the Runtime API's address.
        arn: The function's ARN.
        limits: The quotas.
    """

    def __init__(
        self,
        function: str,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        arn: str,
        limits: Quotas,
    ) -> None:
        self.name = f"{function} {number}"
        self.number = number
        self._command = command
        self._environment = environment
        self._limits = limits
        self._api = RuntimeApi(arn, limits)
        self._process: asyncio.subprocess.Process | None = None
        self._exited: asyncio.Future[int] | None = None
        self._reading: asyncio.Future[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process can take another invocation."""
        return self._exited is not None and not self._exited.done()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def start(self, seconds: float) -> InvocationError | None:
        """Start the process and wait until it asks for its first invocation.

        Args:
            seconds: How long that may take.

        Returns:
            The error, if it cannot start; the process has ended then.
        """
        started = time.monotonic()
        await self._api.open()
        # In a process group of its own: if we are killed, the kernel sends SIGHUP and SIGCONT to a frozen one.
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._environment["LAMBDA_TASK_ROOT"],
            env={**self._environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        self._exited = asyncio.ensure_future(self._process.wait())
        self._reading = asyncio.ensure_future(self._copy_output(self._process))
        ready = await self._first(self._api.waiting.wait(), self._api.failed_start, seconds=seconds)
        if ready:
            logger.info("[%s] started in %.0f ms", self.name, (time.monotonic() - started) * 1000)
            self._freeze()
            return None
        failure = self._explain_start(seconds)
        await self.stop()
        return failure

    async def run(self, invocation: PendingInvocation, faults: Faults) -> None:
        """Give the process an invocation, and wait until it asks for another or has ended."""
        seconds = invocation.seconds_left
        self._thaw()
        self._api.give(invocation)
        timer: asyncio.TimerHandle | None = None
        if faults.hits("kill"):
            timer = asyncio.get_running_loop().call_later(faults.draw("kill_seconds"), self.kill)
        try:
            if await self._first(self._api.waiting.wait(), seconds=seconds):
                self._freeze()
                return
        finally:
            if timer is not None:
                timer.cancel()
        failure = self._explain_end(invocation, seconds)
        logger.error("[%s] %s", self.name, failure.message)
        await self.stop()
        await invocation.fail(failure)

    def kill(self) -> None:
        """Kill the process, frozen or not."""
        self._signal(signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until the process has ended."""
        if self._exited is not None:
            await asyncio.wait({self._exited})

    async def stop(self) -> None:
        """Kill the process and wait until it has ended."""
        self.kill()
        await self.wait()
        await self._api.close()
        if self._reading is not None:
            # Its child processes may keep its output open.
            await asyncio.wait({self._reading}, timeout=0.5)
            self._reading.cancel()

    async def _first(
        self,
        expected: Coroutine[Any, Any, object],
        *others: asyncio.Future[Any],
        seconds: float,
    ) -> bool:
        """Wait for a coroutine; return whether it has ended before the others, the process and the time."""
        assert self._exited is not None
        waiting: asyncio.Future[Any] = asyncio.ensure_future(expected)
        try:
            await asyncio.wait(
                {waiting, self._exited, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            return waiting.done()
        finally:
            waiting.cancel()

    def _explain_start(self, seconds: float) -> InvocationError:
        if self._api.failed_start.done():
            return self._api.failed_start.result()
        if not self.alive:
            return InvocationError.make(
                "Runtime.ExitError", f"Runtime exited before it started: {self._exit_text()}."
            )
        return InvocationError.make(
            "Sandbox.Timedout", f"The function did not start within {seconds:.2f} seconds."
        )

    def _explain_end(self, invocation: PendingInvocation, seconds: float) -> InvocationError:
        if not self.alive:
            message = f"RequestId: {invocation.id} Error: Runtime exited with error: {self._exit_text()}"
            return InvocationError.make("Runtime.ExitError", message)
        return InvocationError.make(
            "Sandbox.Timedout", f"RequestId: {invocation.id} Error: Task timed out after {seconds:.2f} seconds"
        )

    def _exit_text(self) -> str:
        assert self._exited is not None
        status = self._exited.result()
        return f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def _freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _copy_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while piece := await process.stdout.read(PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                logger.info("[%s] %s", self.name, line.decode(errors="replace"))
        if rest:
            logger.info("[%s] %s", self.name, rest.decode(errors="replace"))
