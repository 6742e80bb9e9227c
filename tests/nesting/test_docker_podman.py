"""Docker and Podman run containers inside an unprivileged instance with profiles/docker."""
import pytest

from conftest import create
from harness import templates
from harness.instance import fresh_name, wait_until

ROOTFS = "mkdir -p /root/r/bin /root/r/tmp && cp /bin/busybox /root/r/bin/ && ln -s busybox /root/r/bin/sh && tar -C /root/r -cf /root/r.tar ."


@pytest.fixture(scope="module")
def host(session_daemon):
    daemon = session_daemon
    image = templates.ensure(daemon, "debian/12/docker")
    daemon.lxmc("profile", "load", "docker", check=True)
    inst = create(daemon, image, name=fresh_name("docker"), profiles=["default", "docker"])
    try:
        wait_until(lambda: inst.exec("systemctl", "is-system-running", "--wait", timeout=90).out.strip() in (b"running", b"degraded"),
                   120, lambda: f"{inst.name} did not boot")
        inst.sh(ROOTFS)
        yield inst
    finally:
        inst.remove()
        daemon.rest.change("DELETE", "profiles/docker")


@pytest.fixture(scope="module")
def docker(host):
    wait_until(lambda: host.exec("docker", "info").code == 0, 60, lambda: host.exec("journalctl", "-u", "docker", "-n", "20"))
    host.sh("docker import /root/r.tar bb", timeout=60)
    return host


@pytest.fixture(scope="module")
def podman(host):
    host.sh("podman import /root/r.tar bb", timeout=60)
    return host


@pytest.mark.timeout(900)
def test_the_instance_boots_unprivileged_with_no_failed_unit(host):
    assert host.sh("systemctl --failed --no-legend") == ""
    assert host.sh("cat /proc/self/uid_map").split()[1] != "0"


def test_docker_uses_overlay2(docker):
    assert docker.sh("docker info -f '{{.Driver}}'").strip() == "overlay2"


def test_docker_runs_a_container_of_an_imported_image(docker):
    assert "uid=0" in docker.sh("docker run --rm bb sh -c 'busybox id'", timeout=60)
    assert docker.sh("docker run --rm bb sh -c 'echo x > /tmp/f && busybox cat /tmp/f && busybox mount'", timeout=60).startswith("x\noverlay on /")


def test_docker_networks_limits_and_execs(docker):
    docker.sh("docker run -d --name bg --memory 64m bb sh -c 'exec busybox httpd -f -p 80 -h /tmp'", timeout=60)
    try:
        address = docker.sh("docker inspect -f '{{.NetworkSettings.IPAddress}}' bg").strip()
        docker.sh("docker exec bg sh -c 'echo served > /tmp/index.html'")
        assert docker.sh(f"busybox wget -q -O - http://{address}/") == "served\n"
        limit = docker.sh("docker exec bg sh -c 'busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true'")
        assert limit.strip() == str(64 << 20)
    finally:
        docker.sh("docker rm -f bg")


def test_docker_builds_and_survives_a_restart(docker):
    docker.sh("mkdir -p /tmp/b && printf 'FROM bb\\nRUN [\"sh\", \"-c\", \"busybox rm /tmp/x; echo built > /tmp/x\"]\\n' > /tmp/b/Dockerfile"
              " && docker build -t built /tmp/b", timeout=60)
    docker.restart(force=False, timeout=60)
    wait_until(lambda: docker.exec("docker", "info").code == 0, 60, lambda: "docker is not back")
    assert docker.sh("docker run --rm built sh -c 'busybox cat /tmp/x'", timeout=60) == "built\n"


def test_podman_uses_overlay_and_runs_a_container(podman):
    assert podman.sh("podman info -f '{{.Store.GraphDriverName}}'").strip() == "overlay"
    assert "uid=0" in podman.sh("podman run --rm bb sh -c 'busybox id'", timeout=60)


def test_podman_gives_an_address(podman):
    assert " inet 10.88." in podman.sh("podman run --rm bb sh -c 'busybox ip -4 addr show eth0'", timeout=60)
