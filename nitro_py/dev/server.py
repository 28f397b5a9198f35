"""The dev server: builds the project at every change and keeps the last good app running."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from nitro_py.build.config.env_files import read_env_files
from nitro_py.build.config.load import LoadedConfig, load_config
from nitro_py.build.interrupt import BuildInterruptedError, Interrupt
from nitro_py.build.pipeline import Plan, choose_preset, plan_build, write_plan
from nitro_py.dev.background import BackgroundServer, ErrorPage
from nitro_py.dev.changes import Changes, read_branch
from nitro_py.dev.child import ChildSpec
from nitro_py.dev.debugger import DebugRelay, find_debugpy, read_address
from nitro_py.dev.error_view import ErrorView, make_id
from nitro_py.dev.live_reload import LiveReload, ReloadGuard, make_script
from nitro_py.dev.process import (
    LAST_TIMEOUT,
    ChildProcess,
    TerminalGuard,
    list_ending_signals,
    start_child,
)
from nitro_py.dev.run_file import STATE_DIR, RunningServer, make_state_dir, remove_run_file, write_run_file
from nitro_py.dev.script_injector import ScriptInjector
from nitro_py.dev.watch import ProjectWatch, stop_task
from nitro_py.errors import BuildError, NitroError
from nitro_py.runtime.hosts import make_host_check
from nitro_py.server.ports import bind_port, format_url

# The app is built to run on this machine, whatever it will be deployed to.
PRESET = "asgi"
# A running app has its bundle as its working folder, so the next one is written to the other of these.
OUTPUT_DIRS = (f"{STATE_DIR}/dev/0", f"{STATE_DIR}/dev/1")
# How long a build or a start is left alone when a newer change waits for it, in seconds.
PATIENCE = 1.0
# How often the old app is asked whether its debugger still waits for a person, in seconds.
DEBUGGER_PAUSE = 0.2
# Files that hold settings: a change of theirs is noted even if it changes nothing.
CONFIG_FILES = frozenset({"nitro.toml", "pyproject.toml"})

Tone = Literal["good", "plain", "quiet", "warning"]


class Say(Protocol):
    """Prints a line for the person in front of the terminal."""

    def __call__(self, text: str, tone: Tone = "plain", *, timed: bool = True) -> None:
        """Print a line.

        Args:
            text: The line.
            tone: How it looks in a terminal.
            timed: Whether it begins with the time.
        """


class DevServer:
    """The server of a project in development.

    Args:
        root: The project's folder.
        overrides: The settings of the command line, by dotted key.
        environ: The environment.
        say: Called with a line of text for each thing that happens.
        fail: Called with what is wrong with the project; the last good app goes on.
        debug: The address that a debugger may connect to.
    """

    def __init__(
        self,
        root: Path,
        overrides: Mapping[str, object],
        environ: Mapping[str, str],
        *,
        say: Say,
        fail: Callable[[NitroError], None],
        debug: str | None = None,
    ) -> None:
        self._debug = debug
        self._relay: DebugRelay | None = None
        self._root = root
        self._overrides = overrides
        self._environ = environ
        self._say = say
        self._fail = fail
        self._token = secrets.token_urlsafe(32)
        self._child: ChildProcess | None = None
        # It stands by for the next change, which so waits for no imports of ours (row `reload`).
        self._spare: ChildProcess | None = None
        self._files: Mapping[str, bytes] = {}
        self._variables: Mapping[str, str] = {}
        self._warned: set[str] = set()
        self._output_dir = OUTPUT_DIRS[0]
        self._interrupt = Interrupt()
        self._view = ErrorView(root, environ)
        self._problem: str | None = None
        self._warnings: tuple[str, ...] = ()
        self._page: ErrorPage | None = None
        self._fallback: BackgroundServer | None = None
        # An app that ends by itself must not meet a restart.
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[ChildProcess] = set()
        self._terminal = TerminalGuard()
        self._announced = False
        self._branch = read_branch(root)

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            ConfigError: The configuration is wrong from the start.
            UsageError: A port is busy.
        """
        loaded = self._load({})
        self._dev = loaded.config.dev
        make_state_dir(self._root)
        async with AsyncExitStack() as stack:
            stop = watch_signals()
            stack.enter_context(self._terminal)
            self._listener = stack.enter_context(bind_port(self._dev.host, self._dev.port, setting="--port"))
            self._inbox, self._outbox = map(stack.enter_context, socket.socketpair())
            self._outbox.setblocking(False)
            await self._open_live_reload(stack)
            await self._open_debugger(stack)
            stack.push_async_callback(self._close)
            work = asyncio.create_task(self._rebuild_on_change(loaded.config.output_dir))
            stack.push_async_callback(stop_task, work)
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            self._say("Stopping ...", "quiet")
            self._interrupt.raise_now()

    def _load(self, overrides: Mapping[str, object]) -> LoadedConfig:
        given = {**self._overrides, **overrides}
        env_files = read_env_files(self._root, self._environ)
        loaded = load_config(
            self._root, mode="development", overrides=given, environ=self._environ, env_files=env_files
        )
        for warning in loaded.warnings:
            if warning not in self._warned:
                self._say(f"warning: {warning}", "warning")
        self._warned = set(loaded.warnings)
        return loaded

    async def _open_live_reload(self, stack: AsyncExitStack) -> None:
        port = self._listener.getsockname()[1]
        shared = self._dev.hmr_port == self._dev.port != 0
        guard = ReloadGuard(self._dev.host, port, self._dev.hmr.path or "/", secrets.token_urlsafe(32))
        self._live_reload = LiveReload(guard)
        self._shared = self._live_reload if shared else None
        if not shared:
            listener = bind_port(self._dev.host, self._dev.hmr_port, setting="--hmr-port")
            port = listener.getsockname()[1]
            server = BackgroundServer(self._live_reload, listener)
            await server.start()
            stack.push_async_callback(server.stop)
            url = format_url(listener).replace("http", "ws", 1)
            self._say(f"Live reload on {url}{guard.path}", "quiet", timed=False)
        self._reload_port = port

    def _make_script(self, number: int) -> bytes:
        return make_script(self._live_reload.guard, self._reload_port, number)

    async def _open_debugger(self, stack: AsyncExitStack) -> None:
        if self._debug is None:
            return
        host, port = read_address(self._debug)
        find_debugpy()
        listener = bind_port(host, port, setting="--debug")
        self._relay = DebugRelay(listener)
        await self._relay.start()
        stack.push_async_callback(self._relay.stop)
        self._say(f"Debugger on {format_url(listener).removeprefix('http://')}", "quiet", timed=False)

    async def _rebuild_on_change(self, output_dir: str) -> None:
        """Build at each change; a build that hangs gives way to the next change."""
        async with aclosing(ProjectWatch(self._root, output_dir).watch()) as changes:
            coming = asyncio.ensure_future(anext(changes))
            work: asyncio.Task[None] | None = None
            try:
                while True:
                    await asyncio.wait({coming, work or coming}, return_when=asyncio.FIRST_COMPLETED)
                    if work is not None and work.done():
                        work.result()
                        work = None
                    if not coming.done():
                        continue
                    changed = coming.result()
                    coming = asyncio.ensure_future(anext(changes))
                    if work is not None:
                        await self._give_way(work)
                    self._interrupt = Interrupt()
                    work = asyncio.create_task(self._rebuild(changed))
                    self._began = time.monotonic()
            finally:
                await stop_task(work)
                coming.cancel()
                await asyncio.wait({coming})

    async def _give_way(self, work: asyncio.Task[None]) -> None:
        patience = max(0.0, self._began + PATIENCE - time.monotonic())
        await asyncio.wait({work}, timeout=patience)
        if not work.done():
            self._interrupt.raise_now()
        await work

    async def _rebuild(self, changed: Changes) -> None:
        async with self._lock:
            began = time.perf_counter()
            had_app = self._child is not None
            try:
                plan = await asyncio.to_thread(self._plan)
                self._warn(plan.warnings)
                runs = (self._files, self._variables)
                if self._child is not None and (plan.bundle.files, plan.loaded.env_files.variables) == runs:
                    await self._clear_error()
                    self._report_unused(changed, plan)
                    return
                await self._wait_for_debugger(changed)
                await asyncio.to_thread(write_plan, plan)
                await self._replace(plan)
            except BuildInterruptedError:
                return
            except NitroError as error:
                await self._report_error(error)
            else:
                took = format_duration(time.perf_counter() - began)
                if had_app:
                    self._say(f"Reloaded {self._describe(changed)} in {took}", "good")
                else:
                    self._say(f"Ready in {took}", "good")

    def _warn(self, warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            if warning not in self._warnings:
                self._say(f"warning: {warning}.", "warning")
        self._warnings = warnings

    def _plan(self) -> Plan:
        loaded = self._load({"preset": PRESET, "output_dir": self._output_dir})
        if loaded.config.dev != self._dev:
            self._say("The settings in `dev` have changed: start `nitropy dev` again to use them.", "warning")
        self._live_reload.guard = replace(
            self._live_reload.guard, allowed_hosts=loaded.config.server.allowed_hosts
        )
        choice = choose_preset(loaded, self._environ)
        return plan_build(loaded, choice, interrupt=self._interrupt)

    async def _replace(self, plan: Plan) -> None:
        """Start a new app beside the old one, which ends only after that: one of them always answers."""
        folder = plan.output / PurePosixPath(plan.bundle.manifest).parent
        number = self._live_reload.number + 1
        spec = ChildSpec(
            listener=self._listener.fileno(),
            inbox=self._inbox.fileno(),
            outbox=self._outbox.fileno(),
            folder=str(folder),
            root=str(self._root),
            host=self._dev.host,
            script=self._make_script(number).decode(),
            guard=asdict(self._shared.guard) if self._shared else None,
            number=number,
            debug=self._relay is not None,
        )
        variables = plan.loaded.env_files.variables
        child = await self._take_spare(variables)
        try:
            with self._interrupt.ending(child.kill):
                await child.begin(spec)
        except BaseException:
            child.kill()
            await child.finish()
            raise
        old, self._child, self._files = self._child, child, plan.bundle.files
        self._variables = variables
        self._output_dir = OUTPUT_DIRS[self._output_dir == OUTPUT_DIRS[0]]
        if self._relay is not None:
            self._relay.target = child.debug_port
        self._spawn(self._watch_end(child))
        self._spawn(child.read_reports(self._announce))
        write_run_file(self._root, RunningServer(format_url(self._listener), self._token, os.getpid()))
        self._announce_url()
        if self._fallback is not None:
            await self._fallback.stop(successor=self._outbox)
            self._fallback = None
        if old is not None:
            await old.retire()
            self._retired.add(old)
            self._spawn(self._see_off(old))
        self._problem = None
        self._live_reload.number = number
        await self._live_reload.announce({"type": "reload"})
        self._spare = await self._start_child(variables)

    async def _take_spare(self, variables: Mapping[str, str]) -> ChildProcess:
        """Return a process that stands by with these variables, or else a new one."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.variables == variables and spare.runs:
            return spare
        if spare is not None:
            spare.kill()
            self._spawn(spare.finish())
        return await self._start_child(variables)

    async def _start_child(self, variables: Mapping[str, str]) -> ChildProcess:
        descriptors = [part.fileno() for part in (self._listener, self._inbox, self._outbox)]
        return await start_child(self._root, descriptors, self._token, variables, debug=self._relay is not None)

    def _announce_url(self) -> None:
        if not self._announced:
            self._announced = True
            self._say(f"Listening on {format_url(self._listener)}", timed=False)

    def _describe(self, changed: Changes) -> str:
        """Describe a change; many files at once are those of another branch, if that was checked out."""
        before, self._branch = self._branch, read_branch(self._root)
        if before == self._branch or self._branch is None:
            return changed.describe()
        return f"branch {self._branch} ({changed.count()})"

    def _report_unused(self, changed: Changes, plan: Plan) -> None:
        config = plan.loaded.config
        folders = (config.handlers_dir, config.public_dir)
        noted = any(
            path in CONFIG_FILES or any(PurePosixPath(path).is_relative_to(folder) for folder in folders)
            for path in changed.paths
        )
        if noted:
            self._say(f"Nothing to reload: {self._describe(changed)}", "quiet")

    async def _wait_for_debugger(self, changed: Changes) -> None:
        """Wait while a debugger of the running app waits for a person, whose terminal a new app would take."""
        told = False
        while self._child is not None and await self._child.is_paused():
            if not told:
                self._say(f"Changed {changed.describe()}: reloads when the debugger goes on", "quiet")
            told = True
            await asyncio.sleep(DEBUGGER_PAUSE)
            if self._interrupt.raised:
                raise BuildInterruptedError

    async def _see_off(self, child: ChildProcess) -> None:
        await child.finish()
        self._retired.discard(child)

    async def _clear_error(self) -> None:
        """Remove an error from the pages once the project is again what the running app was built from."""
        if self._problem is not None:
            self._problem = None
            await self._announce({"type": "reload"})
            self._say("All is well again", "good")

    async def _report_error(self, error: NitroError) -> None:
        # Reported once: a report that is written into the project would be a change, and cause the next report.
        if str(error) != self._problem:
            self._fail(error)
        self._problem = str(error)
        view = self._view.show_problem(error)
        await self._announce({"type": "error", "message": str(error), "html": view, "id": make_id(view)})
        if self._child is not None:
            return
        host_check = make_host_check(self._live_reload.guard.allowed_hosts, self._dev.host)
        if self._fallback is not None and self._page is not None:
            self._page.show(error, view, host_check)
            return
        script = self._make_script(self._live_reload.number)
        self._page = ErrorPage(script.decode())
        self._page.show(error, view, host_check)
        self._fallback = BackgroundServer(ScriptInjector(self._page, script, self._shared), self._listener.dup())
        await self._fallback.start()
        self._announce_url()

    async def _announce(self, message: dict[str, str]) -> None:
        await self._live_reload.announce(message)
        if self._shared is not None and self._child is not None:
            await self._child.announce(message)

    async def _watch_end(self, child: ChildProcess) -> None:
        status = await child.wait_gone()
        self._terminal.restore()
        async with self._lock:
            if self._child is child:
                self._child = None
                hint = "Save a file to start it again."
                await self._report_error(BuildError(f"The app has ended with status {status}.", hint=hint))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        remove_run_file(self._root)
        child, self._child = self._child, None
        for retired in self._retired:
            retired.kill()
        if self._spare is not None:
            self._spare.kill()
            await self._spare.finish()
        if child is not None:
            await child.stop(LAST_TIMEOUT)
        if self._fallback is not None:
            await self._fallback.stop()
        await asyncio.gather(*self._tasks)


def watch_signals() -> asyncio.Event:
    """Return an event that is set when a signal asks the program to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in list_ending_signals():
        loop.add_signal_handler(number, stop.set)
    return stop


def format_duration(seconds: float) -> str:
    """Write a time as a person reads it.

    Example:
        >>> format_duration(0.2141), format_duration(3.25)
        ('214 ms', '3.2 s')
    """
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
