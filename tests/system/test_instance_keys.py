"""Keys of instances that no other file tests by their effect: boot.*, security.protection.*, environment.*, ids, user.*."""
import os
import re
import subprocess
import time

import pytest

from conftest import IMAGE, create
from harness import images
from harness.host import alone
from harness.instance import wait_until


@pytest.fixture
def patch(rest):
    return lambda inst, **config: rest.change("PATCH", inst.path, {"config": {k.replace("__", "."): v for k, v in config.items()}})


# ---- security.protection
def test_protection_guards_against_every_kind_of_delete(rest, instance, lxmc, patch):
    inst = instance(start=False)
    patch(inst, security__protection__delete="true")
    assert "security.protection.delete" in rest.refused("DELETE", inst.path, None, statuses=(400, 403))
    assert lxmc("delete", "-f", inst.name).code != 0
    # by way of a profile as well
    patch(inst, security__protection__delete="")
    rest.change("POST", "profiles", {"name": "guard", "config": {"security.protection.delete": "true"}})
    try:
        rest.change("PATCH", inst.path, {"profiles": ["default", "guard"]})
        assert "security.protection.delete" in rest.refused("DELETE", inst.path, None, statuses=(400, 403))
        rest.change("PATCH", inst.path, {"profiles": ["default"]})
    finally:
        rest.change("DELETE", "profiles/guard")
    # while it runs
    inst.start()
    patch(inst, security__protection__delete="true")
    assert lxmc("delete", "-f", inst.name).code != 0
    patch(inst, security__protection__delete="")
    assert lxmc("delete", "-f", inst.name).code == 0 and rest.get(inst.path).status == 404


def test_protection_of_owners_lets_an_instance_start_where_nothing_is_shifted(instance):
    """With idmapped mounts nothing on disk changes; make check-nesting sees it refuse where something would."""
    inst = instance(config={"security.protection.shift": "true"})
    inst.sh("touch /root/f")
    first = inst.sh("cat /proc/self/uid_map")
    inst.stop()
    inst.start()
    assert inst.sh("stat -c %u /root/f").strip() == "0" and inst.sh("cat /proc/self/uid_map") == first


# ---- ids
def test_privileged_set_and_unset_again(instance, patch):
    inst = instance()
    assert inst.sh("cat /proc/self/uid_map").split()[1] != "0"
    inst.sh("echo x > /root/f && chown 1000 /root/f")
    for wanted in ("true", ""):
        inst.stop()
        patch(inst, security__privileged=wanted)
        inst.start()
        with open(f"/proc/{inst.pid}/status") as f:
            outside = re.search(r"^Uid:\s+(\d+)", f.read(), re.M).group(1)
        assert (outside == "0") == (wanted == "true")
        assert inst.sh("stat -c %u /root/f").strip() == "1000"


def test_raw_idmap_shows_a_hosts_user_and_takes_him_away_again(instance, patch, tmp_path, rest):
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("his")
    os.chown(tmp_path / "f", 1234, 1235)
    inst = instance(start=False, config={"raw.idmap": "uid 1234 50\ngid 1235 60"},
                    devices={"d": {"type": "disk", "source": str(tmp_path), "path": "/mnt/d"}})
    inst.start()
    assert inst.sh("stat -c %u:%g /mnt/d/f").strip() == "50:60"
    inst.sh("chown 50:60 /mnt/d/f && touch /root/g && chown 50 /root/g && stat -c %u /root/g")
    inst.stop()
    patch(inst, raw__idmap="")
    inst.start()
    assert inst.sh("stat -c %u:%g /mnt/d/f").strip() == "65534:65534"
    assert inst.sh("stat -c %u /root/g").strip() == "50"


def test_idmap_base_and_isolation(instance, patch):
    base = str(int(instance().sh("cat /proc/self/uid_map").split()[1]) + 10 * 65536)
    inst, *shared = [instance(config=config) for config in ({"security.idmap.base": base, "security.idmap.size": "131072"},
                                                            *[{"security.idmap.isolated": "false"}] * 2)]

    def ids(inst):
        return inst.sh("cat /proc/self/uid_map").split()[1:]

    assert ids(inst) == [base, "131072"] and ids(shared[0]) == ids(shared[1])
    for box, now in ((inst, {"base": str(int(base) + 65536), "size": "70000"}), (shared[0], {"isolated": ""})):
        box.stop()
        patch(box, **{f"security__idmap__{k}": v for k, v in now.items()})
        box.start()
    assert ids(inst) == [str(int(base) + 65536), "70000"] and ids(shared[0]) != ids(shared[1])
    inst.stop()
    patch(inst, security__idmap__base="", security__idmap__size="")
    inst.start()
    assert ids(inst)[0] != str(int(base) + 65536) and ids(inst)[1] == "65536"
    assert len({ids(i)[0] for i in (inst, *shared)}) == 3


# ---- environment, user
def test_environment_reaches_init_and_each_new_command(instance, patch):
    inst = instance(config={"environment.ONE": "before start"})
    with open(f"/proc/{inst.pid}/environ", "rb") as f:
        assert b"ONE=before start" in f.read().split(b"\0")
    assert inst.sh("echo $ONE").strip() == "before start"
    patch(inst, environment__ONE="live", environment__TWO="2")
    assert inst.sh("echo $ONE $TWO").strip() == "live 2"
    patch(inst, environment__ONE="", environment__TWO="")
    assert inst.sh("echo $ONE$TWO").strip() == ""


def test_user_keys_come_and_go_live(instance, patch):
    """For people and scripts; how the guest reads them is seen in test_key_matrix.py."""
    inst = instance(config={"user.colour": "red"})
    patch(inst, user__colour="blue")
    assert inst.get()["expanded_config"]["user.colour"] == "blue"
    patch(inst, user__colour="")
    assert "user.colour" not in inst.get()["expanded_config"]


# ---- boot.autorestart
def kill_init(inst):
    os.kill(inst.pid, 9)


def test_autorestart_brings_back_what_ended_by_itself(instance, patch):
    inst = instance(config={"boot.autorestart": "true"})
    for end in (kill_init, lambda i: i.exec("poweroff")):
        before = inst.pid
        end(inst)
        wait_until(lambda: inst.status == "Running" and inst.pid not in (0, before), 20, lambda: f"{inst.name} is not back")
        wait_until(lambda: inst.exec("true").code == 0, 10)
    inst.stop()
    time.sleep(0.3)
    assert inst.status == "Stopped"


def test_without_autorestart_it_stays_down_also_when_unset_live(instance, patch):
    inst = instance(config={"boot.autorestart": "true"})
    patch(inst, boot__autorestart="")
    kill_init(inst)
    inst.wait_status("Stopped")
    time.sleep(0.3)
    assert inst.status == "Stopped"
    patch(inst, boot__autorestart="true")
    inst.start()
    before = inst.pid
    kill_init(inst)
    wait_until(lambda: inst.status == "Running" and inst.pid not in (0, before), 20, lambda: "it is not back")


def test_autorestart_gives_up_on_what_ends_at_once(instance, daemon):
    inst = instance(config={"boot.autorestart": "true"})
    inst.sh("printf '#!/bin/sh\\npoweroff -f\\n' > /root/rcS && chmod +x /root/rcS && mv /root/rcS /etc/init.d/rcS")
    kill_init(inst)
    wait_until(lambda: f"'{inst.name}' ended 10 times" in daemon.log_tail(200000), 60, lambda: daemon.log_tail())
    inst.wait_status("Stopped")


# ---- boot.autostart, boot.stop, host shutdown
@pytest.fixture
def lone(own_daemon, busybox_tar):
    images.import_image(own_daemon.rest, busybox_tar, IMAGE)
    return own_daemon


def age(inst):
    """When its init began, in ticks since the host's boot."""
    with open(f"/proc/{inst.pid}/stat") as f:
        return int(f.read().rsplit(")", 1)[1].split()[19])


def test_autostart_order_delay_and_the_last_state(lone):
    want = {"first": {"boot.autostart": "true", "boot.autostart.priority": "10", "boot.autostart.delay": "1"},
            "second": {"boot.autostart": "true", "boot.autostart.priority": "5", "boot.autostart.delay": "60"},
            "third": {"boot.autostart": "true", "boot.autostart.priority": "99"},
            "never": {"boot.autostart": "false"}, "ran": {}, "off": {"boot.autostart": "true"}}
    insts = {name: create(lone, IMAGE, name=name, start=name in ("never", "ran"), config=config) for name, config in want.items()}
    # unset again: nothing of them counts
    for name, key in (("second", "boot.autostart.delay"), ("third", "boot.autostart.priority"), ("off", "boot.autostart")):
        lone.rest.change("PATCH", insts[name].path, {"config": {key: ""}})
    with alone("init"):  # nobody takes the bridge's name while it is gone
        lone.lxmd("shutdown", "--instances", check=True)
        assert lone.proc.wait(20) == 0
        lone.proc = None
        lone.start()
    for name in ("first", "second", "third", "ran"):
        insts[name].wait_status("Running", 10)
    assert insts["never"].status == insts["off"].status == "Stopped"
    ticks = os.sysconf("SC_CLK_TCK")
    assert age(insts["second"]) - age(insts["first"]) >= 0.9 * ticks
    assert age(insts["second"]) <= age(insts["third"])


def test_stop_priority_timeout_and_action(lone):
    """The one that will not stop is killed after its time, at once with force-stop; lower priorities wait for it."""
    deaf = "printf '::sysinit:/etc/init.d/rcS\\n::shutdown:/bin/sleep 100\\n' > /etc/inittab; kill -HUP 1"
    stays_off = {"boot.autostart": "false"}
    slow = create(lone, IMAGE, name="slow", config={**stays_off, "boot.stop.priority": "5", "boot.host_shutdown_timeout": "200"})
    forced = create(lone, IMAGE, name="forced", config={**stays_off, "boot.stop.priority": "9", "boot.host_shutdown_action": "force-stop"})
    last = create(lone, IMAGE, name="last", config={**stays_off, "boot.stop.priority": "99", "boot.host_shutdown_timeout": "0"})
    for inst in (slow, forced):
        inst.sh(deaf)
    # changed and unset while they run: one would be killed at once, and first of all
    lone.rest.change("PATCH", slow.path, {"config": {"boot.host_shutdown_timeout": "2"}})
    lone.rest.change("PATCH", forced.path, {"config": {"boot.host_shutdown_action": ""}})
    lone.rest.change("PATCH", forced.path, {"config": {"boot.host_shutdown_action": "force-stop"}})
    lone.rest.change("PATCH", last.path, {"config": {"boot.stop.priority": "", "boot.host_shutdown_timeout": ""}})
    pids = {inst.name: inst.pid for inst in (slow, forced, last)}
    began, ended = time.monotonic(), {}
    with alone("init"):
        going = subprocess.Popen([lone.bin("lxmd"), "shutdown", "--instances"], env=lone.env())
        while len(ended) < 3 and time.monotonic() - began < 30:
            for name, pid in pids.items():
                if name not in ended and not os.path.exists(f"/proc/{pid}"):
                    ended[name] = time.monotonic() - began
            time.sleep(0.01)
        assert going.wait(30) == 0 and lone.proc.wait(20) == 0
        lone.proc = None
        lone.start()
    assert ended["forced"] < ended["slow"] < ended["last"] and ended["slow"] - ended["forced"] >= 1.8, ended


def test_stateful_stop_is_refused_with_the_reason(rest):
    assert "state" in rest.refused("POST", "profiles", {"name": "x", "config": {"boot.host_shutdown_action": "stateful-stop"}})
