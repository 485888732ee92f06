"""What is deployed: the functions' archives and the layer's checks."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lnn_tools.errors import ToolError
from lnn_tools.packaging.archives import write_zip
from lnn_tools.packaging.bytecode import interpreter
from lnn_tools.packaging.functions import function_names, package_functions
from lnn_tools.packaging.layer import (
    LIMIT_BYTES,
    MACHINES,
    Target,
    build_for_aws,
    check_binaries,
    prune,
    unzipped_bytes,
)
from support.repository import REPOSITORY

ARM = Target("python3.13", "arm64")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "functions"
    files = {
        "lnn/__init__.py": "",
        "lnn/network/model.py": "LAYERS = 2\n",
        "lnn/py.typed": "",
        "launch/handler.py": "def handler(event, context): ...\n",
        "neuron/handler.py": "from lnn.network import model\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names_in(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return set(opened.namelist())


def modules_in(archive: Path) -> set[str]:
    return {name for name in names_in(archive) if name.endswith(".py")}


def test_each_function_is_packed_with_the_modules_that_its_handler_imports(source: Path, tmp_path: Path) -> None:
    package_functions(source, tmp_path / "build", sys.executable)

    assert modules_in(tmp_path / "build" / "launch.zip") == {"launch/handler.py"}
    assert modules_in(tmp_path / "build" / "neuron.zip") == {
        "lnn/__init__.py",
        "lnn/network/model.py",
        "neuron/handler.py",
    }
    compiled = {name for name in names_in(tmp_path / "build" / "launch.zip") if name.endswith(".pyc")}
    assert compiled == {f"launch/__pycache__/handler.{sys.implementation.cache_tag}.pyc"}


def test_the_same_tree_packs_to_the_same_bytes_whatever_its_times_permissions_and_leftovers(
    source: Path, tmp_path: Path
) -> None:
    first = package_functions(source, tmp_path / "one")
    for path in source.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    cache = source / "lnn" / "__pycache__"
    cache.mkdir()
    (cache / "model.cpython-311.pyc").write_bytes(b"compiled")

    second = package_functions(source, tmp_path / "two")

    assert first == second
    for name, digest in second.items():
        assert hashlib.sha256((tmp_path / "two" / f"{name}.zip").read_bytes()).hexdigest() == digest


def test_a_change_of_one_handler_changes_that_functions_archive_only(source: Path, tmp_path: Path) -> None:
    before = package_functions(source, tmp_path / "build")
    (source / "neuron" / "handler.py").write_text("import lnn.network.model\n")

    after = package_functions(source, tmp_path / "build")

    assert after["launch"] == before["launch"]
    assert after["neuron"] != before["neuron"]


@pytest.mark.parametrize("name", ["lnn/.env", "neuron/datasets.h5", "neuron/key.pem", "launch/native.so"])
def test_a_file_that_is_no_code_is_refused_by_name_and_nothing_is_packed(
    source: Path, tmp_path: Path, name: str
) -> None:
    (source / name).write_text("KEY=1")

    with pytest.raises(ToolError, match=name):
        package_functions(source, tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_a_link_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "launch" / "linked.py").symlink_to(source / "lnn" / "__init__.py")

    with pytest.raises(ToolError, match=r"launch/linked\.py"):
        package_functions(source, tmp_path / "build")


def test_a_function_without_a_handler_is_refused(source: Path) -> None:
    (source / "trainer").mkdir()
    (source / "trainer" / "main.py").write_text("")

    with pytest.raises(ToolError, match=r"trainer has no handler\.py"):
        function_names(source)


def test_the_archive_of_a_function_that_is_gone_is_deleted(source: Path, tmp_path: Path) -> None:
    package_functions(source, tmp_path / "build")
    (source / "neuron" / "handler.py").unlink()

    package_functions(source, tmp_path / "build")

    assert {path.name for path in (tmp_path / "build").iterdir()} == {"launch.zip"}


def test_an_archive_that_would_be_the_same_is_not_written_again(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    write_zip(archive, {"a.py": b"1"})
    os.utime(archive, (1, 1))

    write_zip(archive, {"a.py": b"1"})
    assert archive.stat().st_mtime == 1

    write_zip(archive, {"a.py": b"2"})
    assert archive.stat().st_mtime != 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.slow
def test_the_repositorys_own_functions_start_from_their_archives_alone(tmp_path: Path) -> None:
    """Each archive holds all of our own code that its handler imports."""
    hashes = package_functions(REPOSITORY / "functions", tmp_path)
    assert {"launch", "trainer", "neuron", "predict", "register"} <= set(hashes)
    variables = [
        "BUCKET",
        "RUNS_TABLE",
        "COSTS_TABLE",
        "INVOCATIONS_TABLE",
        "MODELS_TABLE",
        "TOPIC_ARN",
        "TRAINER_FUNCTION",
        "NEURON_FUNCTION",
    ]
    environment = {f"LNN_{name}": "x" for name in variables}
    environment |= {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LNN_CACHE_HOST": "x",
        "LNN_CACHE_PORT": "1",
        "LNN_CACHE_TLS": "false",
    }
    environment |= {"LNN_CACHE_USER": "", "LNN_CACHE_NAME": "x", "LNN_NEURON_WINDOW": "0"}
    environment |= {"LNN_TRAINER_MEMORY_MB": "128", "LNN_NEURON_MEMORY_MB": "128"}
    environment |= {"LNN_NEURON_STORAGE_MB": "512", "LNN_MAX_WORKERS": "2"}
    environment |= {f"LNN_{name}_TIMEOUT": "900" for name in ("LAUNCH", "TRAINER", "NEURON")}
    for name in hashes:
        # The work tree's own functions/ is taken off the path; site-packages stands for the layer and AWS's runtime.
        code = (
            "import sys; "
            f"sys.path[:] = [{str(tmp_path / (name + '.zip'))!r}] + [p for p in sys.path if 'functions' not in p]; "
            f"import lnn, {name}.handler as started; "
            f"assert '.zip' in started.__file__ and '.zip' in list(lnn.__path__)[0], started.__file__"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], check=False, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def shared_object(path: Path, machine: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[18:20] = machine.to_bytes(2, "little")
    path.write_bytes(bytes(header))


def test_shared_objects_of_the_target_are_counted(tmp_path: Path) -> None:
    machine = MACHINES["arm64"][1]
    shared_object(tmp_path / "numpy" / "core.cpython-313-aarch64-linux-gnu.so", machine)
    shared_object(tmp_path / "numpy.libs" / "libblas-1a2b.so.0", machine)
    shared_object(tmp_path / "fast.abi3.so", machine)

    assert check_binaries(tmp_path, ARM) == 3


def test_a_shared_object_of_another_architecture_is_refused(tmp_path: Path) -> None:
    shared_object(tmp_path / "good.so", MACHINES["arm64"][1])
    shared_object(tmp_path / "numpy.libs" / "libblas-1a2b.so.0", MACHINES["x86_64"][1])

    with pytest.raises(ToolError, match=r"libblas-1a2b\.so\.0 is for machine 62, not 183 \(aarch64\)") as refused:
        check_binaries(tmp_path, ARM)
    assert "good.so" not in str(refused.value)


def test_a_real_shared_object_of_this_machine_is_refused_for_the_other_architecture(tmp_path: Path) -> None:
    multiarray = pytest.importorskip("numpy._core._multiarray_umath").__file__
    target = tmp_path / "real.so"
    target.write_bytes(Path(multiarray).read_bytes())
    machine = int.from_bytes(target.read_bytes()[18:20], "little")
    other = next(name for name, (_, number) in MACHINES.items() if number != machine)

    with pytest.raises(ToolError, match="does not fit"):
        check_binaries(tmp_path, Target("python3.13", other))


def test_a_shared_object_of_another_python_is_refused(tmp_path: Path) -> None:
    shared_object(tmp_path / "core.cpython-311-aarch64-linux-gnu.so", MACHINES["arm64"][1])

    with pytest.raises(ToolError, match=r"is for Python 3\.11, not 3\.13"):
        check_binaries(tmp_path, ARM)


def test_a_file_that_is_no_shared_object_and_a_layer_with_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no shared object"):
        check_binaries(tmp_path, ARM)
    (tmp_path / "core.so").write_bytes(b"text")
    with pytest.raises(ToolError, match="not an ELF"):
        check_binaries(tmp_path, ARM)


def test_pruning_drops_tests_headers_and_caches_and_keeps_metadata_and_licenses(tmp_path: Path) -> None:
    kept = [
        "numpy/a.py",
        "numpy/core.so",
        "numpy/testing/b.py",
        "x-1.dist-info/METADATA",
        "x-1.dist-info/licenses/LICENSE",
    ]
    dropped = [
        "numpy/tests/t.py",
        "numpy/include/n.h",
        "numpy/a.pyi",
        "numpy/__pycache__/a.pyc",
        "x-1.dist-info/RECORD",
    ]
    for name in kept + dropped:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")

    prune(tmp_path)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert not (tmp_path / "numpy" / "include").exists()


def test_a_layer_over_lambdas_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.so").open("wb") as file:
        file.truncate(LIMIT_BYTES)

    with pytest.raises(ToolError, match="over Lambda's 250 MB"):
        unzipped_bytes(tmp_path)


def test_archives_have_bytecode_that_is_used_as_it_is(source: Path, tmp_path: Path) -> None:
    package_functions(source, tmp_path / "build", sys.executable)
    package_functions(source, tmp_path / "again", sys.executable)

    archive = tmp_path / "build" / "neuron.zip"
    assert archive.read_bytes() == (tmp_path / "again" / "neuron.zip").read_bytes()
    tag = sys.implementation.cache_tag
    assert {f"lnn/network/__pycache__/model.{tag}.pyc", f"neuron/__pycache__/handler.{tag}.pyc"} <= names_in(archive)
    unpacked = tmp_path / "task"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(unpacked)
    # Other times and other sources: a read-only folder would have neither.
    (unpacked / "lnn" / "network" / "model.py").write_text("raise RuntimeError('compiled anew')\n")
    done = subprocess.run(
        [sys.executable, "-c", "from lnn.network.model import LAYERS; print(LAYERS)"],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2\n", done.stderr


def test_a_module_that_does_not_compile_changes_no_archive(source: Path, tmp_path: Path) -> None:
    package_functions(source, tmp_path / "build", sys.executable)
    before = (tmp_path / "build" / "neuron.zip").read_bytes()
    (source / "neuron" / "handler.py").write_text("def handler(:\n")

    with pytest.raises(ToolError, match="does not compile"):
        package_functions(source, tmp_path / "build", sys.executable)

    assert (tmp_path / "build" / "neuron.zip").read_bytes() == before


def test_an_interpreter_is_one_that_runs_and_has_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "{}.{}".format(*sys.version_info)
    for version, answer in (("3.97", "exit 1"), ("3.98", "echo 3.98"), ("3.99", "echo 3.13")):
        program = tmp_path / f"python{version}"
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert interpreter(own) == sys.executable
    assert interpreter("3.96") is None  # there is none
    assert interpreter("3.97") is None  # a stand-in of a version manager, without a version
    assert interpreter("3.98") == "python3.98"
    assert interpreter("3.99") is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_layer_for_aws_holds_arm64_objects_in_under_120_mb() -> None:
    archive = build_for_aws(ARM)

    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
        objects = [info for info in infos if ".so" in Path(info.filename).suffixes]
        machines = {int.from_bytes(opened.open(info).read(20)[18:20], "little") for info in objects}
    names = {info.filename.removeprefix("python/lib/python3.13/site-packages/").split("/")[0] for info in infos}
    assert sum(info.file_size for info in infos) < 120 * 1024 * 1024
    assert machines == {MACHINES["arm64"][1]}
    assert {"numpy", "h5py", "redis", "hiredis", "pydantic", "aws_lambda_powertools"} <= names
    assert not {"boto3", "botocore"} & names
