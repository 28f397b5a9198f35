"""Building and running images without a daemon and without a registry: buildah, podman with runc, skopeo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.capabilities import lack, require_program
from tests.ports import find_port

PROGRAMS = ("buildah", "debootstrap", "podman", "runc", "skopeo")
# The base has what an image of Python has, and the Dockerfile needs: Python and pip.
PACKAGES = "python3,python3-pip"
# What a shell is called.
SHELLS = ("bash", "dash", "rbash", "sh")
HOST = "127.0.0.1"
ANNOUNCEMENT = "Listening on "
# Without these, podman asks for more than what a container that runs it may give.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
# How long a container may take to start or to stop, in seconds.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, which shares this machine's network.

    Args:
        engine: What runs it.
        name: Its name.
        url: Where it listens.
    """

    engine: Engine
    name: str
    url: str

    def read_log(self) -> str:
        """Return all that it has printed so far."""
        done = self.engine.podman("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """Stop it as every platform does, and return its exit status; one that needs force has another than 0."""
        self.engine.podman("stop", "--time", f"{PATIENCE:g}", self.name)
        status = self.engine.podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout
        return int(status)


@dataclass(frozen=True, slots=True)
class Engine:
    """The tools, on a storage of their own.

    Args:
        storage: The folder of the storage.
    """

    storage: Path

    def buildah(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run buildah, which must succeed."""
        return run("buildah", *self._place(), *arguments)

    def podman(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run podman, which must succeed."""
        # No systemd is needed, and messages about it are none of the container's.
        options = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "fatal")
        return run("podman", *self._place(), *options, *arguments)

    def name_in_storage(self, image: str) -> str:
        """Name an image of the storage as skopeo does."""
        driver = json.loads(self.buildah("info").stdout)["store"]["GraphDriverName"]
        return f"containers-storage:[{driver}@{self.storage / 'root'}+{self.storage / 'run'}]{image}"

    def describe(self, image: str) -> Any:
        """Return what podman knows of an image."""
        (described,) = json.loads(self.podman("image", "inspect", image).stdout)
        return described

    def build(self, context: Path, base: str, image: str, *options: str) -> None:
        """Build an image with the Dockerfile of a folder."""
        local = ("--isolation=chroot", "--pull-never", f"--build-arg=BASE_IMAGE={base}")
        self.buildah("bud", *local, "--format=docker", *options, f"--tag={image}", context)

    def find_python(self, image: str) -> str:
        """Return the version of an image's Python."""
        work = self.buildah("from", "--pull-never", image).stdout.strip()
        code = "import sys; print('{}.{}'.format(*sys.version_info))"
        try:
            return self.buildah("run", "--isolation", "chroot", work, "--", "python3", "-c", code).stdout.strip()
        finally:
            self.buildah("rm", work)

    def add_folder(self, image: str, folder: Path, place: str = "/") -> None:
        """Make an image of a folder."""
        work = self.buildah("from", "scratch").stdout.strip()
        self.buildah("add", "--quiet", work, folder, place)
        self.buildah("commit", "--quiet", "--rm", work, image)

    @contextmanager
    def start(
        self,
        image: str,
        *,
        host: str = HOST,
        port: int | None = None,
        options: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Iterator[Container]:
        """Run an image until the end of the block: nothing may be written, nothing is allowed.

        Args:
            image: The image.
            host: The address to listen on.
            port: The port; a free one by default.
            options: What podman is told as well.
            environ: What the app is told as well.
        """
        variables = {"HOST": host, "PORT": str(port or find_port(host)), **(environ or {})}
        told = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        closed = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
        command = ("run", "--detach", "--pull=never", "--network=host", *LIMITS, *closed, *told, *options)
        name = self.podman(*command, image).stdout.strip()
        try:
            yield Container(self, name, self._wait(name))
        finally:
            self.podman("rm", "--force", "--time", "5", name)

    def _wait(self, name: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done = self.podman("logs", name)
            for line in done.stdout.splitlines():
                if line.startswith(ANNOUNCEMENT):
                    return line.removeprefix(ANNOUNCEMENT).strip()
            if self.podman("inspect", "--format", "{{.State.Running}}", name).stdout.strip() != "true":
                break
            time.sleep(0.05)
        done = self.podman("logs", name)
        raise AssertionError(f"The container has announced no URL; it printed:\n{done.stdout}{done.stderr}")

    def _place(self) -> tuple[str, ...]:
        return ("--root", str(self.storage / "root"), "--runroot", str(self.storage / "run"))


@contextmanager
def open_engine() -> Iterator[Engine]:
    """Make a storage, until the end of the block; whatever is left running in it is ended."""
    for name in PROGRAMS:
        require_program(name)
    if os.geteuid() != 0:
        lack("Images are built by root.")
    # Not below pytest's own folders: sockets are made in it, whose paths are short.
    storage = Path(tempfile.mkdtemp(prefix="nitro-"))
    engine = Engine(storage)
    try:
        yield engine
    finally:
        engine.podman("rm", "--all", "--force", "--time", "0")
        engine.podman("umount", "--all", "--force")
        shutil.rmtree(storage, ignore_errors=True)


def make_rootfs(folder: Path) -> None:
    """Make a small Debian with Python in a folder, from where this machine has its own."""
    mirror, suite = find_mirror()
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, folder, mirror)
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(folder / name, ignore_errors=True)


def find_mirror() -> tuple[str, str]:
    """Find the address and the release that this machine's own packages come from."""
    listed = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)").stdout
    for line in listed.splitlines():
        address, release, component = line.split()
        if component == "main" and release.isalpha():
            return address, release
    raise AssertionError(f"No release of Debian among:\n{listed}")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program, which must succeed."""
    words = [str(word) for word in command]
    # `sbin` is where Debian has some of them, and not in everybody's path.
    environ = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done
