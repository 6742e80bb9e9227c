"""Every template boots to the end, has an address and a name, stops by itself, reboots and powers off from inside."""
import shutil

import pytest

from harness import dns, templates
from harness.instance import wait_until

SYSTEMD = "systemctl is-system-running --wait || systemctl --failed --no-legend"
SYSVINIT = 'until [ "$(runlevel 2>/dev/null)" = "N 2" ]; do sleep 0.1; done; echo running'
RUNIT = "until cat /proc/[0-9]*/comm 2>/dev/null | grep -q ^runsvdir; do sleep 0.1; done; echo running"
BUSYBOX = "cat /proc/1/comm | grep -q init && echo running"

TEMPLATES = {
    "busybox": BUSYBOX,
    "debian/bookworm": SYSTEMD,
    "debian/bookworm/sysvinit": SYSVINIT,
    "debian/bookworm/runit": RUNIT,
    "debian/trixie": SYSTEMD,
}


@pytest.fixture(scope="module", params=TEMPLATES)
def template(request, session_daemon):
    name = request.param
    if name.startswith("debian"):
        if not shutil.which("mmdebstrap"):
            pytest.skip("mmdebstrap is not installed")
    return templates.ensure(session_daemon, name), TEMPLATES[name]


@pytest.fixture
def booted(template, instance):
    image, ready = template
    inst = instance(image=image)
    wait_booted(inst, ready)
    return inst, ready


def wait_booted(inst, ready):
    def check():
        done = inst.exec("sh", "-c", ready, timeout=90)
        return done.out.decode().strip() == "running" or None

    wait_until(check, 90, lambda: f"boot of {inst.name} did not end: {inst.exec('sh', '-c', ready)}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_boots_and_is_itself(booted, rest):
    inst, _ = booted
    assert inst.sh("hostname").strip() == inst.name
    inside, outside, length = inst.sh("head -n 1 /proc/self/uid_map").split()
    assert inside == "0" and outside != "0" and int(length) >= 65536
    address = inst.address()
    network = inst.get()["expanded_devices"]["eth0"]["network"]
    gateway = rest.read(f"networks/{network}")["config"]["ipv4.address"].split("/")[0]
    assert inst.sh("ip -4 route show default").split()[2] == gateway
    wait_until(lambda: dns.ask(gateway, inst.name) == [address], 10, lambda: f"{gateway} does not know {inst.name}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stops_by_itself(booted):
    inst, _ = booted
    inst.stop(force=False, timeout=60)
    assert inst.status == "Stopped"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_reboots_from_inside(booted):
    inst, ready = booted
    before = inst.pid
    inst.exec("reboot")
    wait_until(lambda: inst.status == "Running" and inst.pid not in (0, before), 60, lambda: f"{inst.name} did not reboot")
    wait_booted(inst, ready)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_powers_off_from_inside(booted):
    inst, _ = booted
    inst.exec("poweroff")
    inst.wait_status("Stopped", 60)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_apt_get_update_through_nat(session_daemon, instance):
    inst = instance(image=templates.ensure(session_daemon, "debian/bookworm"))
    wait_booted(inst, SYSTEMD)
    inst.address()
    done = inst.exec("apt-get", "update", timeout=120)
    assert done.code == 0, done
