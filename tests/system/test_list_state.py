"""Lists of instances with state: the same objects as asked for one by one, and numbers that follow what runs."""
import json
import os

import pytest

from harness.daemon import SLOW
from harness.instance import wait_until

METERS = {"cpuacct.usage", "cpu.stat", "pids.current", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.memsw.usage_in_bytes",
          "memory.current", "memory.peak", "memory.swap.current"}


def kept(daemon):
    """Files of cgroups that lxmd has open."""
    found = []
    for fd in os.listdir(f"/proc/{daemon.proc.pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{daemon.proc.pid}/fd/{fd}").split("/")[-1])
        except OSError:
            pass  # closed meanwhile
    return [name for name in found if name in METERS]


def steady(inst):
    """Without what changes by itself."""
    state = inst.get("state")
    if state:
        for key in ("cpu", "memory", "processes"):
            state[key] = set(state[key]) if isinstance(state[key], dict) else 0
        for nic in (state["network"] or {}).values():
            nic["counters"], nic["addresses"] = set(nic["counters"]), []
        state["disk"] = {}
    return inst


def test_a_list_says_what_single_requests_say(rest, instance):
    running, stopped = instance(config={"user.text": "\"\\/\n\t\x01\x7f \u00e9\u20ac\U0001f600 {[,"}), instance(start=False)
    rest.change("POST", f"instances/{stopped.name}/snapshots", {"name": "one"})
    for recursion in (1, 2):
        reply = rest.get("instances", query={"recursion": recursion})
        assert reply.body.decode() == json.dumps(reply.json, ensure_ascii=False, separators=(",", ":"))
        listed = {inst["name"]: inst for inst in reply.metadata}
        for inst in (running, stopped):
            single = rest.read(f"instances/{inst.name}", query={"recursion": recursion} if recursion == 2 else None)
            assert list(single) == list(listed[inst.name])
            assert steady(single) == steady(listed[inst.name])
    both = rest.read("instances", query={"filter": f"name eq {stopped.name}"})
    assert [url.split("/")[-1] for url in both] == [stopped.name]
    assert [i["name"] for i in rest.read("instances", query={"recursion": 2, "filter": f"name eq {running.name}"})] == [running.name]
    assert rest.read("instances", query={"recursion": 2, "filter": "name eq no-such-name"}) == []


def test_numbers_follow_a_restart(rest, instance):
    inst = instance()

    def state():
        return rest.read(f"instances/{inst.name}/state")

    before = state()
    assert before["processes"] > 0 and before["memory"]["usage"] > 0 and before["memory"]["usage_peak"] >= before["memory"]["usage"] // 2
    assert state()["cpu"]["usage"] >= before["cpu"]["usage"] > 0
    rest.change("PUT", f"instances/{inst.name}/state", {"action": "restart", "force": True})
    after = state()
    assert after["pid"] != before["pid"] and after["processes"] > 0 and after["memory"]["usage"] > 0
    inst.sh("reboot -f &")  # the same monitor runs it again
    wait_until(lambda: state()["pid"] not in (0, after["pid"]) and state()["processes"] > 0 and state()["memory"]["usage"] > 0, 20)
    rest.change("PUT", f"instances/{inst.name}/state", {"action": "stop", "force": True})
    gone = state()
    assert (gone["pid"], gone["processes"], gone["cpu"]["usage"], gone["memory"]["usage"]) == (0, 0, 0, 0) and gone["network"] is None


def test_descriptors_are_kept_while_somebody_watches(daemon, rest, instance):
    inst = instance()
    for _ in range(2):
        assert rest.read(f"instances/{inst.name}/state")["processes"] > 0
    assert kept(daemon)
    wait_until(lambda: not kept(daemon), 10 * SLOW)
    assert rest.read(f"instances/{inst.name}/state")["processes"] > 0


@pytest.mark.host_only("what lxmd keeps ready")
def test_a_list_is_never_older_than_a_change(daemon, rest, instance):
    inst = instance(start=False)

    def listed():
        return next(i for i in rest.read("instances", query={"recursion": 1}) if i["name"] == inst.name)

    def described():
        return listed()["description"]

    for number in range(10):
        rest.change("PATCH", f"instances/{inst.name}", {"description": f"text {number}"})
        assert described() == f"text {number}"
        assert described() == f"text {number}"
    # by another process
    daemon.lxmd("sql", "cluster", f"UPDATE instances SET description = 'from outside' WHERE name = '{inst.name}'", check=True)
    assert described() == "from outside"
    # by what an instance inherits
    profile = rest.read("profiles/default")
    rest.change("PATCH", "profiles/default", {"config": {"user.inherited": "yes"}})
    assert listed()["expanded_config"]["user.inherited"] == "yes"
    rest.change("PUT", "profiles/default", profile)
    assert "user.inherited" not in listed()["expanded_config"]
    rest.change("POST", f"instances/{inst.name}/snapshots", {"name": "one"})
    full = next(i for i in rest.read("instances", query={"recursion": 2}) if i["name"] == inst.name)
    assert [s["name"] for s in full["snapshots"]] == ["one"]
