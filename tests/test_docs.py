"""What the pages show works as shown: programs, commands, JSON and links."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.session
import click
import pytest
from botocore import xform_name

from multi_model_endpoint.command import mme

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "toolkit/*.md", "local/*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(page, *block) for page in PAGES for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))]

# Programs that are no CDK app, and transcripts: the test that runs them; a folder stands for its pages
ELSEWHERE = {
    "call.py": "tests/integration/test_start.py::test_every_caller_of_the_pages_gets_an_answer",
    "docs/choose-your-instances.md": "tests/integration/test_choosing.py::test_its_commands_say_what_the_page_says",
    "docs/client.md aliases.py": "tests/toolkit/aliases/test_store.py::test_what_the_documentation_shows_works",
    "docs/containers.md": "tests/local/docker/test_checks.py::test_the_documentation_shows_every_check",
    "docs/guides/testing.md test_deployed.py": "tests/integration/test_start.py::test_the_tests_of_the_guide_pass",
    "docs/guides/testing.md test_scoring.py": (
        "tests/integration/test_wheel.py::test_somebody_elses_snapshot_test_passes_and_notices_a_change"
    ),
    "docs/load.md": "tests/integration/test_choosing.py::test_the_locustfile_of_its_page_runs_on_two_workers",
    "docs/migration/from-boto3.md before.py": "tests/test_migration.py::test_stack_hosts_what_boto3_has_made",
    "docs/migration/from-sdk-v2.md before.py": (
        "tests/test_migration.py::test_what_the_page_calls_of_the_sdk_is_what_a_test_calls_of_it"
    ),
    "docs/promoting.md": (
        "tests/integration/test_promoting.py::test_a_better_model_is_promoted_and_rolled_back_while_callers_go_on"
    ),
    "docs/start.md": "tests/integration/test_start.py::test_the_transcript_of_the_page_happens",
}

RUN_ALL = """
import json, runpy, sys, traceback
from pathlib import Path

results = {}
for path in sys.argv[1:]:
    sys.path[0] = str(Path(path).parent)
    sys.modules.pop("scoring", None)
    results[path] = ""
    try:
        runpy.run_path(path, run_name="__main__")
    except BaseException:
        results[path] = traceback.format_exc()
print(json.dumps(results))
"""


def elsewhere(page: str, name: str = "") -> str | None:
    """The test that runs a page's program or its transcripts, if it is not one of these here."""
    places = [f"{page} {name}", name, page, *(parent.as_posix() for parent in Path(page).parents)]
    return next((ELSEWHERE[place] for place in places if place in ELSEWHERE), None)


def programs() -> Iterator[tuple[str, str, str]]:
    """Each program of a page: the page, its name, and itself."""
    for page, language, text in BLOCKS:
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", text)
            assert name is not None, f"{page} has a program without a name:\n{text}"
            yield page, name[1], text


APPS = [(page, name) for page, name, text in programs() if "app.synth()" in text and page not in ELSEWHERE]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs of the pages find where they are run."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("churn", "fraud"):
        shutil.copytree(ROOT / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / name)
    shutil.copytree(ROOT / "stacks" / "models" / "triton", folder / "triton")
    shutil.copytree(ROOT / "examples" / "own_container" / "container", folder / "container")
    (folder / "src").mkdir()
    (folder / "src" / "inference.py").write_text("def model_fn(model_dir): ...\n")
    return folder


@pytest.fixture(scope="session")
def ended(folder: Path) -> dict[str, str]:
    """How each app ended, all of them in one process: nothing, or its traceback."""
    paths = []
    scoring = next(text for page, name, text in programs() if (page, name) == ("README.md", "scoring.py"))
    for page, name, text in programs():
        if (page, name) in APPS:
            path = folder / page.replace("/", "-").removesuffix(".md") / name
            path.parent.mkdir(exist_ok=True)
            (path.parent / "scoring.py").write_text(scoring)
            path.write_text(text)
            paths.append(path)
            if name == "first_endpoint.py":
                instance = '"ml.inf2.xlarge", variant_name="all_traffic"'
                paths.append(path.with_name("broken.py"))
                paths[-1].write_text(text.replace('"ml.m5.xlarge"', instance))
    names = [path.relative_to(folder).as_posix() for path in paths]
    environment = {**os.environ, "CDK_OUTDIR": str(folder / "cdk.out")}
    command = [sys.executable, "-W", "error", "-c", RUN_ALL, *names]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize(("page", "name"), APPS)
def test_app_synthesizes(ended: dict[str, str], page: str, name: str) -> None:
    assert ended[f"{page.replace('/', '-').removesuffix('.md')}/{name}"] == ""


def test_mistakes_are_told_as_the_page_tells_them(ended: dict[str, str]) -> None:
    (message,) = [text for _, _, text in BLOCKS if text.startswith("cdk_multi_model_endpoint.InvalidEndpointError")]
    assert ended["docs-guides-first-endpoint/broken.py"].endswith(message)


def test_every_program_is_run() -> None:
    # which app.py runs
    scoring = [text for page, name, text in programs() if name == "scoring.py" and page not in ELSEWHERE]
    assert len(set(scoring)) == 1
    left = [(page, name) for page, name, _ in programs() if (page, name) not in APPS and name != "scoring.py"]
    assert [page for page in left if elsewhere(*page) is None] == []


def test_every_transcript_is_run() -> None:
    transcripts = {page for page, _, text in BLOCKS if text.startswith("$ ")}
    assert {page for page in transcripts if elsewhere(page) is None} == set()


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_what_runs_them_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def test_json_is_json() -> None:
    assert all(json.loads(text) for _, language, text in BLOCKS if language == "json")


def commands(page: str) -> Iterator[list[str]]:
    """Each command of a page's shell blocks and of its text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console" or lines[0].startswith("$ "):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif language or lines[0].split()[0] not in CHECKS.keys() | UNCHECKED:
            continue
        for line in lines:
            for command in line.split(" && "):
                if words := shlex.split(command, comments=True):
                    yield words
    for inline in re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)):
        if inline.split()[0] in {"mme", "make", "aws"} and " " in inline:
            yield shlex.split(inline)


def check_mme(words: list[str]) -> None:
    command: click.Command = mme
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"mme has no command {word}"
            command = found
        elif word.startswith("-") and word != "--help":
            options = [option for each in command.params for option in each.opts]
            assert word.partition("=")[0] in options, f"mme {command.name} has no {word}"


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= {*targets, "docs-serve"}


def check_aws(words: list[str]) -> None:
    service, operation, *rest = words
    if (service, operation) in {("s3", "sync"), ("s3", "cp"), ("s3", "ls"), ("logs", "tail")}:
        return
    model = botocore.session.get_session().get_service_model(service)
    (name,) = [name for name in model.operation_names if xform_name(name, "-") == operation]
    shape = model.operation_model(name).input_shape
    assert shape is not None
    known = {f"--{xform_name(member, '-')}" for member in shape.members}
    known |= {"--cli-binary-format", "--output", "--query", "--region"}
    assert {word for word in rest if word.startswith("--")} <= known


def check_python(words: list[str]) -> None:
    if words[0] == "-m" and words[1] not in {"build", "pytest"}:
        assert (ROOT / f"{words[1].replace('.', '/')}.py").exists() or (ROOT / words[1] / "__main__.py").exists()


def check_pip(words: list[str]) -> None:
    for package, extra in re.findall(r"([\w-]+)\[([\w-]+)\]", " ".join(words)):
        assert extra in importlib.metadata.metadata(package).get_all("Provides-Extra", []), f"{package}[{extra}]"


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "aws": check_aws,
    "make": check_make,
    "mme": check_mme,
    "pip": check_pip,
    "python": check_python,
}
UNCHECKED = {"alias", "cd", "cdk", "curl", "export", "git", "locust", "npm"}


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_and_their_options_exist(page: str) -> None:
    for program, *words in commands(page):
        if program in CHECKS:
            CHECKS[program]([word for word in words if word not in {"…", "..."}])


def test_options_of_the_cdk_cli_exist() -> None:
    used = [words for page in PAGES for program, *words in commands(page) if program == "cdk"]
    for command in sorted({words[0] for words in used}):
        options = {word for words in used if words[0] == command for word in words if word.startswith("-")}
        if options:
            said = subprocess.run(["cdk", command, "--help"], capture_output=True, text=True, check=True).stdout
            positive = {option.replace("--no-", "--") for option in options}
            assert positive <= {*re.findall(r"(?<!\S)--?[\w-]+", said)}, command


def slugs(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    texts = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_lead_somewhere(page: str) -> None:
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)", text):
        place = (ROOT / page).parent / target if target else ROOT / page
        assert place.exists(), target
        assert not anchor or anchor in slugs(place), f"{target}#{anchor}"
