"""lxd-benchmark: many instances at once."""
import json
import shutil

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("lxd-benchmark"), reason="the package lxd-tools is not installed")
COUNT = 10


def bench(server, *argv):
    done = server.run(["lxd-benchmark", *argv], timeout=110)
    assert done.code == 0, done
    return done.out


def names(server):
    return [i["name"] + "," + i["status"].upper() for i in json.loads(server.ok("list", "-f", "json"))
            if i["config"].get("user.lxd-benchmark") == "true"]


@pytest.fixture(scope="module")
def launched(server, image):
    yield bench(server, "launch", f"--count={COUNT}", "--parallel=2", image)
    for row in names(server):
        server.lxc("delete", "--force", row.split(",")[0])


def test_launch(server, launched):
    assert [row.split(",")[1] for row in names(server)] == ["RUNNING"] * COUNT and "Batch processing completed" in launched


def test_stop(server, launched):
    bench(server, "stop", "--parallel=2")
    assert [row.split(",")[1] for row in names(server)] == ["STOPPED"] * COUNT


def test_start(server, launched):
    bench(server, "start", "--parallel=2")
    assert [row.split(",")[1] for row in names(server)] == ["RUNNING"] * COUNT


def test_delete(server, launched):
    bench(server, "delete", "--parallel=2")
    assert names(server) == []


def test_privileged(server, image):
    bench(server, "launch", "--count=2", "--privileged", image)
    assert server.ok("list", "security.privileged=true", "-c", "n", "-f", "csv").split()
    bench(server, "delete")
    assert names(server) == []
