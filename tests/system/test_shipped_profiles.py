"""Every profile of profiles/ is taken as it is, an instance starts with it, and shows what it is for."""
import pytest

from harness.daemon import TOP
from harness.instance import fresh_name

SHIPPED = sorted(p.stem for p in (TOP / "profiles").glob("*.yaml"))
OTHERS = [name for name in SHIPPED if name != "default"]


@pytest.fixture
def with_profile(daemon, rest, lxmc, instance):
    """An instance with one of them, loaded for the test."""
    loaded = []

    def make(name, **kw):
        lxmc("profile", "load", name, check=True)
        loaded.append(name)
        instances.append(instance(profiles=["default", name], **kw))
        return instances[-1]

    instances = []
    yield make
    for inst in instances:
        inst.remove()
    for name in loaded:
        rest.change("DELETE", f"profiles/{name}")


def ceiling(inst, controller, v1, v2):
    """A limit of the instance's cgroup, read from the host."""
    lines = [line.strip().split(":", 2) for line in open(f"/proc/{inst.pid}/cgroup")]
    for _, controllers, path in lines:
        if controller in controllers.split(","):
            return open(f"/sys/fs/cgroup/{controller}{path}/{v1}").read().strip()
    path = next(path for number, _, path in lines if number == "0")
    while True:  # init may have made itself a group below
        value = open(f"/sys/fs/cgroup{path}/{v2}").read().strip()
        if value != "max":
            return value
        path = path.rsplit("/", 1)[0]


@pytest.mark.host_only("texts of files, and rows of the database")
def test_the_seven_are_there():
    assert SHIPPED == ["default", "docker", "hardened", "large", "medium", "nesting", "small"]


@pytest.mark.host_only("texts of files, and rows of the database")
@pytest.mark.parametrize("name", SHIPPED)
def test_each_line_that_says_something_says_why(name):
    lines = (TOP / f"profiles/{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    keys = [line for line in lines if line.startswith("  ") and ":" in line and not line.rstrip().endswith(":")
            and line.split(":")[0].strip() not in ("type", "source", "network", "path", "pool")]
    above = {lines[i + 1] for i, line in enumerate(lines[:-1]) if line.strip().startswith("#")}
    assert all("#" in line or line in above for line in keys), keys


@pytest.mark.host_only("texts of files, and rows of the database")
@pytest.mark.parametrize("name", OTHERS)
def test_create_from_a_file_is_what_load_makes(lxmc, rest, name):
    other = fresh_name("prof")
    lxmc("profile", "create", other, stdin=(TOP / f"profiles/{name}.yaml").read_text(), check=True)
    try:
        lxmc("profile", "load", name, check=True)
        one, two = rest.read(f"profiles/{name}"), rest.read(f"profiles/{other}")
        assert {k: one[k] for k in ("config", "devices", "description")} == {k: two[k] for k in ("config", "devices", "description")}
        again = lxmc("profile", "load", name)
        assert again.code != 0 and name in again.err
    finally:
        rest.delete(f"profiles/{other}")
        rest.delete(f"profiles/{name}")


@pytest.mark.host_only("texts of files, and rows of the database")
def test_load_lists_and_names_what_there_is(lxmc):
    listed = lxmc("profile", "load", check=True).out
    assert [line.split(":")[0] for line in listed.splitlines()] == OTHERS
    missing = lxmc("profile", "load", "../default")
    assert missing.code != 0 and "hardened" in missing.err


@pytest.mark.parametrize("name, cpus, memory, processes", [
    ("small", 1, 512 << 20, 500), ("medium", 2, 2 << 30, 2000), ("large", 4, 8 << 30, 8000)])
def test_sizes(with_profile, name, cpus, memory, processes):
    inst = with_profile(name)
    assert int(ceiling(inst, "memory", "memory.limit_in_bytes", "memory.max")) == memory
    assert int(ceiling(inst, "pids", "pids.max", "pids.max")) == processes
    assert int(inst.sh("nproc")) <= cpus


def test_nesting(with_profile):
    inst = with_profile("nesting")
    assert inst.sh("cat /proc/self/uid_map").split()[2] == "1048576"
    assert inst.exec("unshare", "-Urmpfn", "mount", "-t", "proc", "p", "/mnt").code == 0
    assert "/var/lib/lxmd" in inst.sh("cat /proc/mounts")


def test_docker(with_profile):
    inst = with_profile("docker")
    kinds = {line.split()[1]: line.split()[2] for line in inst.sh("cat /proc/mounts").splitlines()}
    root = kinds["/"]
    for path in ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd"):
        assert root != "overlay" or kinds[path] != "overlay", kinds


def test_hardened(with_profile):
    inst = with_profile("hardened")
    assert inst.sh("ulimit -c").strip() == "0"
    assert inst.exec("test", "-e", "/dev/lxd/sock").code != 0
    assert int(ceiling(inst, "pids", "pids.max", "pids.max")) == 1000
    assert inst.exec("unshare", "-Urmpfn", "mount", "-t", "proc", "p", "/mnt").code != 0
    assert inst.sh("grep Seccomp: /proc/self/status").split()[1] == "2"


@pytest.mark.host_only("texts of files, and rows of the database")
def test_default_is_what_init_makes(rest):
    text = (TOP / "profiles/default.yaml").read_text()
    made = rest.read("profiles/default")
    assert made["devices"]["root"] == {"type": "disk", "path": "/", "pool": "default"}
    for line in ("path: /", "pool: default", "type: nic", "type: disk"):
        assert line in text


@pytest.mark.host_only("texts of files, and rows of the database")
def test_init_asks_for_further_profiles(own_daemon):
    answers = "no\nno\nno\nsmall, nesting\nno\n"
    own_daemon.lxmc("admin", "init", stdin=answers, check=True)
    names = {p["name"] for p in own_daemon.rest.read("profiles", query={"recursion": 1})}
    assert names == {"default", "small", "nesting"}
