"""The kernel a run uses: this very Python, over local sockets, whatever Jupyter has installed.

An installed kernelspec named ``python3`` may point to another environment, and TCP ports picked
in advance are lost to other programs when many notebooks start at once ("address already in
use"). So the kernelspec is built here, and the transport is IPC where the system has it.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

# A unix socket's path ends before byte 104 (macOS) or 108 (Linux).
MAX_SOCKET_PATH = 100


def kernel_command() -> list[str]:
    """Return the command that starts a kernel of the running interpreter."""
    # Frozen modules off: else the kernel's debugger warns on stderr in every run.
    return [
        *(sys.executable, "-Xfrozen_modules=off"),
        *("-m", "ipykernel_launcher", "-f", "{connection_file}"),
    ]


def socket_fits(folder: Path) -> bool:
    """Try whether a unix socket can be made in ``folder`` (short enough path, able file system)."""
    path = os.fsencode(folder / "k-ipc-0")
    if os.name == "nt" or not zmq.has("ipc") or len(path) > MAX_SOCKET_PATH:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(path)
    except OSError:
        return False  # some network and container file systems have no sockets: use TCP there
    (folder / "k-ipc-0").unlink()
    return True


class ThisPython(KernelSpecManager):
    """A kernelspec manager that knows one kernel: the running interpreter's."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the spec of the running interpreter under whatever name a notebook asks for."""
        return KernelSpec(
            argv=kernel_command(),
            display_name="Python 3 (ipykernel)",
            language="python",
            interrupt_mode="signal",
        )


class LocalKernelManager(AsyncKernelManager):
    """A kernel manager with sockets and connection file in one short private folder.

    ``folder`` is set on a subclass by `kernel_manager`, because papermill takes a class.
    """

    folder: Path
    process: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_file = str(self.folder / "k.json")
        if socket_fits(self.folder):
            self.transport = "ipc"
            self.ip = str(self.folder / "k-ipc")

    @default("kernel_spec_manager")
    def _this_python(self) -> KernelSpecManager:
        return ThisPython()

    def client(self, **kwargs: Any) -> Any:
        """Return a client; note the process so that its exit status outlives the manager."""
        type(self).process = getattr(self.provisioner, "process", None)
        return super().client(**kwargs)


def kernel_manager(folder: Path) -> type[LocalKernelManager]:
    """Return the manager class to hand to papermill, its sockets in ``folder``."""
    return type("RunKernelManager", (LocalKernelManager,), {"folder": folder})


def exit_text(manager: type[LocalKernelManager]) -> str:
    """Say how the last kernel of ``manager`` ended, as far as the system told."""
    code = manager.process.poll() if manager.process is not None else None
    if code is None:
        return "the kernel stopped answering"
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
        return f"the kernel was killed by {name}{hint}"
    return f"the kernel ended with exit code {code}"
