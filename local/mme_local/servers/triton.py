"""NVIDIA Triton with its SageMaker front-end, from the ``nvidia-pytriton`` wheel: Linux x86_64, Python backend only."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes.util
import functools
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import psutil

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import (
    INVOKE_SECONDS,
    LoadError,
    ServerBroken,
    ServerError,
    ServerResponse,
    UnsupportedImage,
)
from mme_local.servers.contract import HttpModelServer
from mme_local.servers.lanes import separate_session
from mme_local.servers.process import PORT, Launch, LaunchRefused, container_environment, scratch_folder

REPOSITORY = "sagemaker-tritonserver"
"""The image repository that this server stands in for."""

_SHIM = Path(__file__).with_name("unix_socket.c")

# The serve script's arguments that come from the environment (FACTS A.11), in its order.
_OPTIONS = {
    "SAGEMAKER_SAFE_PORT_RANGE": "--sagemaker-safe-port-range={}",
    "SAGEMAKER_TRITON_BUFFER_MANAGER_THREAD_COUNT": "--buffer-manager-thread-count={}",
    "SAGEMAKER_TRITON_THREAD_COUNT": "--sagemaker-thread-count={}",
    "SAGEMAKER_TRITON_LOG_VERBOSE": "--log-verbose={}",
    "SAGEMAKER_TRITON_LOG_INFO": "--log-info={}",
    "SAGEMAKER_TRITON_LOG_WARNING": "--log-warning={}",
    "SAGEMAKER_TRITON_LOG_ERROR": "--log-error={}",
    "SAGEMAKER_TRITON_METRICS_PORT": "--metrics-port={}",
    "SAGEMAKER_TRITON_GRPC_PORT": "--grpc-port={}",
    "SAGEMAKER_TRITON_TENSORFLOW_VERSION": "--backend-config=tensorflow,version={}",
}
# The same with the script's defaults.
_DEFAULTED_OPTIONS = {
    "SAGEMAKER_TRITON_DISABLE_MODEL_NAMESPACING": ("--model-namespacing={}", "true"),  # sic: the value goes straight in
    "SAGEMAKER_TRITON_ALLOW_GRPC": ("--allow-grpc={}", "false"),
    "SAGEMAKER_TRITON_ALLOW_METRICS": ("--allow-metrics={}", "false"),
    "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE": ("--backend-config=python,shm-default-byte-size={}", "16777216"),
    "SAGEMAKER_TRITON_SHM_GROWTH_BYTE_SIZE": ("--backend-config=python,shm-growth-byte-size={}", "1048576"),
}
# SageMaker reaches no other port of a container. The later of two options counts.
_NO_OTHER_PORTS = ["--allow-http=false", "--allow-grpc=false", "--allow-metrics=false", "--allow-vertex-ai=false"]
_UNSAFE = re.compile(r"""[\s;&|<>()$`\\"'*{}\[\]!~]""")
_GAVE_UP = re.compile(rb"Stub process .*is not healthy|Failed to obtain the health mutex")
_INFERENCE_TYPES = ("infer", "generate", "generate_stream")


class TritonServer(HttpModelServer):
    """One tritonserver that nothing but this process can reach.

    Its SageMaker port has no address option and binds 0.0.0.0, so the server runs in a network namespace of its own,
    without a way out. Where the system forbids that, or ``MME_LOCAL_TRITON_NETWORK`` is ``shared`` since models need
    the network, a shim preloaded into it makes that port a unix socket, and it has no other.
    """

    title = "Triton"

    def __init__(self, container: ContainerSpec, work_dir: Path) -> None:
        super().__init__(container, work_dir)
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise UnsupportedImage(
                f"Triton runs locally on Linux x86_64 only, this is {sys.platform} {platform.machine()}: run mme-local "
                "in a Linux x86_64 machine or container"
            )
        self._options = serve_options(container.environment)
        self._private_network = os.environ.get("MME_LOCAL_TRITON_NETWORK", "private") == "private"
        self._views: Path | None = None

    async def _start_once(self, deadline: float) -> None:
        try:
            await super()._start_once(deadline)
        except LaunchRefused as refusal:
            if not self._private_network:
                raise
            await self.stop()
            self._private_network = False
            try:
                await super()._start_once(deadline)
            except ServerError as error:
                raise ServerError(
                    f"{error} (without a network namespace, which the system refused: {refusal})"
                ) from error

    async def _control_session(self, launch: Launch) -> aiohttp.ClientSession:
        new_session = functools.partial(self._new_session, launch, limit=1)
        separate = await separate_session(self._base, launch.directory, new_session)
        return separate or new_session()

    def _prepare(self) -> Launch:
        package = _package_directory()
        scratch = scratch_folder("mme-triton-")
        socket = None if self._private_network else scratch / "sagemaker.sock"
        self._views = scratch / "models"
        self._views.mkdir()
        (scratch / "repository").mkdir()
        region = f"mme_local_{uuid.uuid4().hex[:12]}"
        own = {
            "SAGEMAKER_TRITON_PING_MODE": "live",
            "TMPDIR": str(scratch),
            # The backend's stub finds the site-packages of the Python that is first here.
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": f"{package.parent / 'nvidia_pytriton.libs'}:{_libpython_directory()}",
        }
        try:
            _link_python_backend(package, scratch / "backends")
            if socket is not None:
                own |= {"LD_PRELOAD": str(_compile_shim(scratch)), "MME_LOCAL_SOCKET": str(socket)}
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        command = [str(package / "tritonserver" / "bin" / "tritonserver")]
        command += ["--allow-sagemaker=true", f"--sagemaker-port={PORT}", "--allow-http=false"]
        command += ["--model-control-mode=explicit", f"--model-repository={scratch / 'repository'}"]
        command += [f"--backend-directory={scratch / 'backends'}"]
        # Named so that the launcher finds what a killed server leaves: 16 MB for each model.
        command += [f"--backend-config=python,shm-region-prefix-name={region}", *self._options]
        if socket is not None:
            command += _NO_OTHER_PORTS
        return Launch(
            command,
            container_environment(self.container.environment, own),
            scratch,
            socket,
            remove=[str(scratch), f"/dev/shm/{region}*"],  # noqa: S108 - POSIX shared memory, not a temporary folder
        )

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        """See ``ContainerServer``; names that Triton cannot take are refused with status 400, as it would."""
        if _UNSAFE.search(target_model):
            message = f"Triton's Python backend starts each model through a shell, with its name: {target_model!r}"
            raise LoadError(400, json.dumps({"error": f"{message} has blanks or characters of the shell"}).encode())
        try:
            await super().load(name, target_model, directory)
        except LoadError as error:
            if _GAVE_UP.search(error.body) and not await asyncio.to_thread(self._lost_a_model):
                raise ServerBroken(str(error)) from error
            raise

    async def abandon(self, name: str) -> None:
        """See ``ContainerServer``: to unload a model Triton waits for its calls to end, and everybody for Triton."""
        raise ServerBroken("Triton can't unload a model that does not answer")

    async def invoke(
        self, name: str, target_model: str, body: bytes, headers: Mapping[str, str], seconds: float = INVOKE_SECONDS
    ) -> ServerResponse:
        """See ``ContainerServer``.

        The Python backend gives up a model's process when it has heard nothing of it for a second, dead or just slow on
        a busy machine. It never starts another, and takes a late answer for that to the next call.
        """
        response = await super().invoke(name, target_model, body, headers, seconds)
        if response.status == 400 and _GAVE_UP.search(response.body):
            died = await asyncio.to_thread(self._lost_a_model)
            raise ServerBroken(response.body.decode(errors="replace"), response if died else None)
        return response

    def _lost_a_model(self) -> bool:
        """Whether a model's process has ended by itself, for Triton does not wait for them."""
        with contextlib.suppress(psutil.Error):
            processes = [] if self._process is None else self._process.children()
            return any(process.status() == psutil.STATUS_ZOMBIE for process in processes)
        return False

    def _url_of(self, name: str, directory: Path) -> Path:
        """The directory itself, or for an archive with ``config.pbtxt`` at its root one that holds it as ``model``.

        Triton takes such an archive only from ``/opt/ml/models/<hash>/model``, which it splits into the repository
        ``/opt/ml/models/<hash>`` and the model's folder. We give it the same two parts elsewhere. The folder must be a
        real one, so it is its content that is linked.
        """
        if self._views is None or not (directory / "config.pbtxt").is_file():
            return directory
        model = self._view(name) / "model"
        model.mkdir(parents=True, exist_ok=True)
        for entry in directory.iterdir():
            link = model / entry.name
            link.unlink(missing_ok=True)
            link.symlink_to(entry.resolve())
        return model.parent

    def _forget(self, name: str) -> None:
        if self._views is not None:
            shutil.rmtree(self._view(name), ignore_errors=True)

    def _view(self, name: str) -> Path:
        assert self._views is not None
        return self._views / uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def serve_options(environment: Mapping[str, str]) -> list[str]:
    """The arguments that NVIDIA's serve script makes of a container's environment in multi-model mode.

    One default differs: the script logs every request verbosely, which on a laptop only costs disk and time.

    Raises:
        ServerError: A value for which the script ends the container.
    """
    kind = environment.get("SAGEMAKER_TRITON_INFERENCE_TYPE", "infer")
    if kind not in _INFERENCE_TYPES:
        raise ServerError(
            f"SAGEMAKER_TRITON_INFERENCE_TYPE must be one of {', '.join(_INFERENCE_TYPES)}, got {kind!r}: "
            "the container would end at start"
        )
    options = [
        option.format(environment.get(variable) or default)
        for variable, (option, default) in _DEFAULTED_OPTIONS.items()
    ]
    options += [
        option.format(environment[variable]) for variable, option in _OPTIONS.items() if environment.get(variable)
    ]
    # The script leaves them unquoted: blanks separate, quotes are not special.
    return options + environment.get("SAGEMAKER_TRITON_ADDITIONAL_ARGS", "").split()


def _package_directory() -> Path:
    package = importlib.util.find_spec("pytriton")
    if package is None or package.origin is None:
        raise ServerError(
            "Triton is not installed: pip install 'multi-model-endpoint[local]' brings it for Python 3.11 and 3.12"
        )
    return Path(package.origin).parent


def _link_python_backend(package: Path, backends: Path) -> None:
    """A backend directory of links to the wheel's Python backend and to the stub for this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise ServerError(f"the Triton wheel has no Python backend for Python {version}: use 3.11 or 3.12")
    python = backends / "python"
    python.mkdir(parents=True)
    for file in (*(package / "tritonserver" / "backends" / "python").iterdir(), stub):
        (python / file.name).symlink_to(file)


def _libpython_directory() -> str:
    """Where the shared libpython is that the backend's stub is linked with; empty when the system's loader knows."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    for candidate in (sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix) / "lib"):
        if candidate and (Path(candidate) / name).is_file():
            return str(candidate)
    if ctypes.util.find_library(name.removeprefix("lib").partition(".so")[0]) is None:
        raise ServerError(
            f"Triton's Python backend needs {name}, which this Python was built without: install it "
            f"(Debian, Ubuntu: apt install {name.partition('.so')[0]}) or use uv's Python"
        )
    return ""


def _compile_shim(scratch: Path) -> Path:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise ServerError(
            "Triton would listen on every address of this machine. It can be shut in where user namespaces are allowed "
            "(sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, on Ubuntu also "
            "kernel.apparmor_restrict_unprivileged_userns=0) or a C compiler is installed"
        )
    library = scratch / "unix_socket.so"
    built = subprocess.run(  # noqa: S603 - a compiler from PATH on our own source
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SHIM), "-ldl"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if built.returncode != 0:
        raise ServerError(f"could not compile the shim that gives Triton a unix socket:\n{built.stderr[-1000:]}")
    return library
