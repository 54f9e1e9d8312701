"""Fixtures that start the real thing. See README.md."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

import tooling  # noqa: E402
from accord import Accord, config_for, with_limited  # noqa: E402
from hostile import Hostile  # noqa: E402
from platform_api import Api, start_platform  # noqa: E402
from postgres import Cluster, find_programs  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--tally", help="write one line per test into this file")


def pytest_configure(config):
    config.addinivalue_line("markers", "race: also runs under ThreadSanitizer")
    config.tally = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    tally = item.config.tally
    if report.failed:
        tally[item.nodeid] = "failed"
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
        tally[item.nodeid] = f"skipped\t{reason}"
    elif report.when == "call":
        tally.setdefault(item.nodeid, "passed")


def pytest_sessionfinish(session):
    path = session.config.getoption("--tally")
    if not path:
        return
    with open(path, "w", encoding="utf-8") as file:
        for name, result in session.config.tally.items():
            word, _, reason = result.partition("\t")
            file.write(f"{word} {name.replace('tests/live/', '')}"
                       f"{': ' + reason if reason else ''}\n")


@pytest.fixture
def upstream():
    """An upstream that answers as usual until the test tells it otherwise."""
    hostile = Hostile()
    yield hostile
    hostile.stop()
    assert not hostile.errors, hostile.errors


@pytest.fixture
def start(tmp_path):
    """Starts a server with a configuration; all of them are stopped, and judged, at the end."""
    running = []

    def starter(config=None, **options):
        server = Accord(tmp_path / f"accord-{len(running)}", config, **options)
        running.append(server)
        return server

    yield starter
    failures = []
    for server in running:
        try:
            server.stop()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def accord(start, upstream):
    """The usual server in front of the usual upstream."""
    return start(config_for(upstream.url))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB of its own."""
    where = tmp_path / "disk"
    where.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(where)],
                      capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=False)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL for the whole run."""
    if not find_programs():
        pytest.skip("PostgreSQL is not installed")
    # Not below pytest's own directory, which another run of it closes to all other users.
    home = Path(tempfile.mkdtemp(prefix="accord-postgres-"))
    cluster = Cluster(home / "cluster")
    yield cluster
    cluster.remove()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request, tmp_path_factory):
    """A platform for the tests of a module, once on each database."""
    env = {}
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        cluster.fresh()
        env["ACCORD_DATABASE_URL"] = cluster.url
    accord = start_platform(tmp_path_factory.mktemp(request.param), env=env)
    accord.database, accord.env = request.param, env
    yield accord
    accord.stop()


@pytest.fixture(scope="module")
def api(server):
    return Api(server.address)


@pytest.fixture(scope="session")
def node():
    """Node 24 of build/node."""
    return tooling.require_node()


@pytest.fixture(scope="session")
def aimock():
    """The outside upstream, one for the whole run; it demands our credential."""
    with tooling.start_aimock() as mock:
        yield mock


@pytest.fixture(scope="session")
def gateway(aimock, tmp_path_factory):
    """One server in front of the outside upstream, shared by the tests of SDKs and agents."""
    server = Accord(tmp_path_factory.mktemp("gateway"),
                    with_limited(config_for(aimock.url), tooling.SDK_FILES))
    yield server
    server.stop()
