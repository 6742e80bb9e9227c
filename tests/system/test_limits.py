"""Limits: what the kernel enforces on an instance, set before its start, changed while it runs, and unset again."""
import os
import re
import resource
from pathlib import Path

import pytest

from harness import cgroups, pressure
from harness.instance import Instance, fresh_name, wait_until
from harness.rest import OperationFailed

MIB = 1 << 20
ONLINE = cgroups.members(Path("/sys/devices/system/cpu/online").read_text())
two_cpus = pytest.mark.skipif(len(ONLINE) < 2, reason="one CPU cannot be shared out")
CPU_A, CPU_B = (sorted(ONLINE) * 2)[:2]


def patch(inst, config=None, devices=None):
    """A change that must be taken; "" unsets."""
    body = {k: v for k, v in (("config", config), ("devices", devices)) if v}
    inst.rest.change("PATCH", inst.path, json=body)


def refused(inst, config=None, devices=None):
    """The text with which a change is refused; nothing of it may be kept."""
    before = inst.get()
    body = {k: v for k, v in (("config", config), ("devices", devices)) if v}
    reply = inst.rest.request("PATCH", inst.path, json=body)
    if reply.status == 202:
        with pytest.raises(OperationFailed) as e:
            inst.rest.wait(reply.json["operation"])
        text = e.value.op["err"]
    else:
        assert reply.status >= 400, reply
        text = reply.error
    after = inst.get()
    assert (after["config"], after["devices"]) == (before["config"], before["devices"])
    return text


def life(instance, config, changed, look, **kw):
    """look(pid) after: a start with `config`, a live change to `changed`, a live unset, a live set, and a start without."""
    inst = instance(config=config, **kw)
    seen = [look(inst.pid)]
    patch(inst, changed)
    seen.append(look(inst.pid))
    patch(inst, {key: "" for key in {**config, **changed}})
    seen.append(look(inst.pid))
    patch(inst, config)
    seen.append(look(inst.pid))
    patch(inst, {key: "" for key in config})
    inst.restart()
    seen.append(look(inst.pid))
    return inst, seen


# ---- memory
def test_memory(instance):
    inst, seen = life(instance, {"limits.memory": "64MiB"}, {"limits.memory": "96MiB"}, cgroups.memory)
    assert seen == [64 * MIB, 96 * MIB, None, 64 * MIB, None]


def test_memory_holds_inside(instance):
    inst = instance(config={"limits.memory": "16MiB"})
    # tail keeps a line without an end in memory; the kernel shall take it, and not init, while it is still busy with ending it
    eater = "echo 1000 >/proc/self/oom_score_adj; head -c 33554432 /dev/zero | tail | wc -c"
    assert inst.exec("sh", "-c", eater).out.strip() != str(32 * MIB).encode()
    patch(inst, {"limits.memory": "256MiB"})
    assert inst.sh(eater).strip() == str(32 * MIB)


def test_memory_in_per_cent(instance):
    inst = instance(config={"limits.memory": "10%"})
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(cgroups.memory(inst.pid) - total / 10) < 4 * MIB


def test_memory_soft(instance):
    def look(pid):
        return cgroups.memory(pid), cgroups.memory_soft(pid)

    inst = instance(config={"limits.memory": "64MiB", "limits.memory.enforce": "soft"})
    assert look(inst.pid) == (None, 64 * MIB)
    patch(inst, {"limits.memory.enforce": "hard"})
    assert look(inst.pid) == (64 * MIB, None)
    patch(inst, {"limits.memory.enforce": "soft", "limits.memory": "80MiB"})
    assert look(inst.pid) == (None, 80 * MIB)
    patch(inst, {"limits.memory.enforce": "", "limits.memory": ""})
    assert look(inst.pid) == (None, None)


def counts_swap():
    top = cgroups.MOUNTS["memory"][0]
    return (top / "memory.memsw.limit_in_bytes").exists() or (cgroups.is_v2("memory") and Path("/proc/swaps").exists())


@pytest.mark.skipif(not counts_swap(), reason="the kernel does not count swap")
def test_swap(instance):
    config = {"limits.memory": "64MiB", "limits.memory.swap": "false"}
    inst, seen = life(instance, config, {"limits.memory.swap": "32MiB"}, cgroups.swap)
    assert seen == [0, 32 * MIB, None, 0, None]
    patch(inst, {"limits.memory": "64MiB", "limits.memory.swap": "true"})
    assert cgroups.swap(inst.pid) is None and cgroups.memory(inst.pid) == 64 * MIB
    patch(inst, {"limits.memory.swap": "16MiB", "limits.memory": "96MiB"})  # the sum never below the part
    assert cgroups.swap(inst.pid) == 16 * MIB
    patch(inst, {"limits.memory": "48MiB"})
    assert (cgroups.swap(inst.pid), cgroups.memory(inst.pid)) == (16 * MIB, 48 * MIB)


@pytest.mark.skipif(not cgroups.is_v2("memory"), reason="cgroup v1 bounds memory and swap together")
def test_swap_alone(instance):
    inst, seen = life(instance, {"limits.memory.swap": "16MiB"}, {"limits.memory.swap": "false"}, cgroups.swap)
    assert seen == [16 * MIB, 0, None, 16 * MIB, None]


@pytest.mark.skipif(cgroups.is_v2("memory"), reason="cgroup v2 can bound swap alone")
def test_an_amount_of_swap_needs_a_hard_limit_on_v1(instance):
    inst = instance()
    assert "limits.memory" in refused(inst, {"limits.memory.swap": "16MiB"})
    assert "limits.memory" in refused(inst, {"limits.memory.swap": "16MiB", "limits.memory": "64MiB", "limits.memory.enforce": "soft"})
    assert cgroups.swap(inst.pid) is None


def test_swap_priority(instance):
    if cgroups.is_v2("memory"):
        inst = instance(start=False)
        assert "limits.memory.swap" in refused(inst, {"limits.memory.swap.priority": "3"})
        patch(inst, {"limits.memory.swap.priority": "10"})
        return

    def look(pid):
        return int(cgroups.read(pid, "memory", "memory.swappiness"))

    inst, seen = life(instance, {"limits.memory.swap.priority": "3"}, {"limits.memory.swap.priority": "0"}, look)
    assert seen == [67, 70, 60, 67, 60]
    patch(inst, {"limits.memory.swap": "false"})
    assert look(inst.pid) == 0


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("value", ["4KiB", "101%", "-1", "lots"])
def test_memory_that_makes_no_sense(instance, value):
    inst = instance(start=False)
    assert "limits.memory" in refused(inst, {"limits.memory": value})


# ---- huge pages
def huge_sizes():
    return {"2MB": 2 * MIB, "1GB": 1024 * MIB, "64KB": 65536, "1MB": MIB}


@pytest.mark.parametrize("size", huge_sizes())
def test_hugepages(instance, size):
    key, unit = f"limits.hugepages.{size}", huge_sizes()[size]
    there = Path(f"/sys/kernel/mm/hugepages/hugepages-{unit // 1024}kB").exists()
    if not cgroups.has("hugetlb") or not there:
        inst = instance(start=False)
        text = refused(inst, {key: "16GB"})
        assert key in text and "hugetlb" in text
        return

    def look(pid):
        return [number_of(pid, f"hugetlb.{size}{part}") for part in ("", ".rsvd")]

    def number_of(pid, name):
        return cgroups.number(cgroups.read(pid, "hugetlb", f"{name}.limit_in_bytes", f"{name}.max"))

    inst, seen = life(instance, {key: str(4 * unit)}, {key: "0"}, look)
    assert seen == [[4 * unit] * 2, [0] * 2, [None] * 2, [4 * unit] * 2, [None] * 2]


# ---- processes
def test_processes(instance):
    inst, seen = life(instance, {"limits.processes": "40"}, {"limits.processes": "60"}, cgroups.processes)
    assert seen == [40, 60, None, 40, None]


def test_processes_hold_inside(instance):
    inst = instance(config={"limits.processes": "20"})
    started = "for i in $(seq 40); do sleep 20 & done 2>/dev/null; jobs -p | wc -l"
    done = inst.exec("sh", "-c", started)
    assert done.code != 0 or int(done.out) < 20, done


# ---- CPU time
def test_cpu_share(instance):
    config = {"limits.cpu.allowance": "50%"}
    inst, seen = life(instance, config, {"limits.cpu.allowance": "20%", "limits.cpu.priority": "0"}, cgroups.share)
    full, lower = (100, 10) if cgroups.is_v2("cpu") else (100, 19)
    assert seen == [50, pytest.approx(lower, abs=0.6), full, 50, full]
    assert cgroups.quota(inst.pid) is None


def test_cpu_quota(instance):
    inst, seen = life(instance, {"limits.cpu.allowance": "25ms/100ms"}, {"limits.cpu.allowance": "10ms/20ms"}, cgroups.quota)
    assert seen == [(25000, 100000), (10000, 20000), None, (25000, 100000), None]


def test_cpu_quota_above_a_group_inside(instance):
    """Whose share of a period is never more than the instance's, at no moment of a change."""
    if cgroups.is_v2("cpu"):
        pytest.skip("v2 takes both numbers at once")
    inst = instance(config={"limits.cpu.allowance": "10ms/20ms"})
    below = cgroups.group(inst.pid, "cpu") / ".inner"
    below.mkdir()
    try:
        (below / "cpu.cfs_quota_us").write_text("40000")  # of 100 ms
        patch(inst, {"limits.cpu.allowance": "50ms/100ms"})
        assert cgroups.quota(inst.pid) == (50000, 100000)
        patch(inst, {"limits.cpu.allowance": "10ms/20ms"})
        assert cgroups.quota(inst.pid) == (10000, 20000)
    finally:
        below.rmdir()


def test_cpu_quota_holds(instance):
    inst = instance(config={"limits.cpu.allowance": "10ms/100ms"})
    used = inst.sh("timeout 1 sh -c 'while :; do :; done'; times").splitlines()[-1]  # of the children: "0m0.10s 0m0.00s"
    assert sum(float(s) for s in re.findall(r"m([\d.]+)s", used)) < 0.6, used


# ---- CPUs
@two_cpus
def test_pinned_cpus(instance):
    one, both = str(CPU_A), f"{CPU_A},{CPU_B}"
    inst, seen = life(instance, {"limits.cpu": f"{CPU_B}-{CPU_B}"}, {"limits.cpu": f"{one},{one}"}, cgroups.cpus)
    assert seen == [{CPU_B}, {CPU_A}, ONLINE, {CPU_B}, ONLINE]
    patch(inst, {"limits.cpu": both})
    assert cgroups.cpus(inst.pid) == {CPU_A, CPU_B}
    patch(inst, {"limits.cpu": f"{CPU_A}-{CPU_A},4000"})
    assert inst.sh("nproc").strip() == "1", "those that are there, of those it names"


@two_cpus
def test_a_smaller_set_reaches_the_groups_inside(instance):
    if cgroups.is_v2("cpuset"):
        pytest.skip("v2 knows what groups below may have by itself")
    inst = instance(config={"limits.cpu": f"{CPU_A},{CPU_B}"})
    below = cgroups.group(inst.pid, "cpuset") / ".inner"
    (below / "deep").mkdir(parents=True)
    patch(inst, {"limits.cpu": f"{CPU_B}-{CPU_B}"})
    assert cgroups.members((below / "deep/cpuset.cpus").read_text()) == {CPU_B}
    patch(inst, {"limits.cpu": ""})
    assert cgroups.members((below / "deep/cpuset.cpus").read_text()) == ONLINE
    (below / "deep").rmdir()
    below.rmdir()


def test_cpus_that_are_not_there(instance):
    inst = instance(config={"limits.cpu": f"{CPU_A}-{CPU_A}"})
    text = refused(inst, {"limits.cpu": "4000-4001"})
    assert "limits.cpu" in text and "none of these CPUs" in text
    assert "NUMA node 60" in refused(inst, {"limits.cpu.nodes": "60"})
    assert cgroups.cpus(inst.pid) == {CPU_A}


def test_numa_nodes(instance):
    node = cgroups.members(Path("/sys/devices/system/node/node0/cpulist").read_text())
    inst = instance(config={"limits.cpu.nodes": "0"})
    assert cgroups.cpus(inst.pid) == node
    patch(inst, {"limits.cpu": "1"})
    assert len(cgroups.cpus(inst.pid)) == 1 and cgroups.cpus(inst.pid) <= node
    patch(inst, {"limits.cpu.nodes": "balanced"})
    assert len(cgroups.cpus(inst.pid)) == 1
    patch(inst, {"limits.cpu.nodes": "", "limits.cpu": ""})
    assert cgroups.cpus(inst.pid) == ONLINE


def loads(insts):
    count = dict.fromkeys(ONLINE, 0)
    for inst in insts:
        for cpu in cgroups.cpus(inst.pid):
            count[cpu] += 1
    return count


@two_cpus
def test_counted_cpus_are_balanced_and_stay_so(instance):
    """Each start takes the least loaded CPUs; an end and a change move as few others as it takes."""
    insts = [instance(config={"limits.cpu": "1"}) for _ in range(4)]
    even = sum(loads(insts).values()) / len(ONLINE)
    assert all(abs(n - even) < 1 for n in loads(insts).values()), loads(insts)
    was = {i.name: cgroups.cpus(i.pid) for i in insts}
    leaving = [i for i in insts if was[i.name] == was[insts[0].name]]
    if len(leaving) > 1:  # both of one CPU: one of the others must move
        for inst in leaving:
            inst.stop()
            insts.remove(inst)
        wait_until(lambda: max(loads(insts).values()) <= 1, text=lambda: str(loads(insts)))
    patch(insts[0], {"limits.cpu": str(len(ONLINE))})
    assert cgroups.cpus(insts[0].pid) == ONLINE
    patch(insts[0], {"limits.cpu": ""})
    assert cgroups.cpus(insts[0].pid) == ONLINE


@two_cpus
def test_a_pinned_instance_pushes_counted_ones_away(instance):
    counted = [instance(config={"limits.cpu": "1"}) for _ in range(2)]
    mine = cgroups.cpus(counted[0].pid)
    pinned = [instance(config={"limits.cpu": f"{min(mine)}-{min(mine)}"}) for _ in range(2)]
    wait_until(lambda: not any(cgroups.cpus(i.pid) == mine for i in counted) or len(ONLINE) > 2,
               text=lambda: str(loads(counted + pinned)))


@two_cpus
def test_nothing_is_written_for_whom_nothing_is_asked(instance):
    quiet, other = instance(), instance(config={"limits.cpu": "1"})
    assert cgroups.cpus(quiet.pid) == ONLINE
    if cgroups.is_v2("cpuset"):
        assert cgroups.read(quiet.pid, "cpuset", "", "cpuset.cpus") == ""
    other.stop()
    assert cgroups.cpus(quiet.pid) == ONLINE


IN_VM = (Path(__file__).resolve().parents[1] / "vm/settings").exists()


@pytest.mark.alone
@pytest.mark.skipif(not IN_VM or len(ONLINE) != 2, reason="CPUs are switched off in the virtual machine only")
def test_a_cpu_goes_off_line_and_comes_back(instance):
    switch = Path(f"/sys/devices/system/cpu/cpu{CPU_B}/online")
    free, pinned = instance(), instance(config={"limits.cpu": f"{CPU_B}-{CPU_B}"})
    counted = [instance(config={"limits.cpu": "1"}) for _ in range(3)]  # with the pinned one, two for each CPU
    try:
        switch.write_text("0")
        for inst in [free, pinned, *counted]:
            wait_until(lambda: cgroups.members(cgroups.read(inst.pid, "cpuset", "cpuset.cpus", "cpuset.cpus.effective")) == {CPU_A})
    finally:
        switch.write_text("1")
    wait_until(lambda: cgroups.cpus(pinned.pid) == {CPU_B} and cgroups.cpus(free.pid) == ONLINE)
    wait_until(lambda: loads(counted)[CPU_B] > 0, text=lambda: str(loads(counted)))


# ---- disks
def direct(inst, how, path="/big", count=8):
    """Seconds for so many requests of 64 KiB past the page cache."""
    script = {"write": f"dd if=/dev/zero of={path} bs=64k count={count} oflag=direct",
              "read": f"dd if={path} of=/dev/null bs=64k count={count} iflag=direct"}[how]
    out = inst.sh(f"s=$(cut -d' ' -f1 /proc/uptime); {script} 2>/dev/null; e=$(cut -d' ' -f1 /proc/uptime); echo $s $e")
    start, end = map(float, out.split())
    return end - start


def disk_of(path):
    """MAJ:MIN of the whole disk below a path, None when there is none."""
    dev = os.stat(path).st_dev
    node = Path(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}")
    if not node.exists():
        return None
    node = node.resolve()
    return ((node.parent if (node / "partition").exists() else node) / "dev").read_text().strip()


@pytest.fixture
def pool_disk(daemon):
    disk = disk_of(f"{daemon.dir}/pools")
    if not disk:
        pytest.skip("the pool lies on no block device")
    if not cgroups.has("io") and not cgroups.has("blkio"):
        pytest.skip("the kernel cannot limit disk requests")
    return disk


def root(**limits):
    return {"root": {"type": "disk", "path": "/", "pool": "default", **{k.replace("_", "."): v for k, v in limits.items()}}}


def test_disk_ceilings(instance, pool_disk):
    inst = instance(devices=root(limits_read="10MiB", limits_write="100iops"))
    assert cgroups.io(inst.pid) == {pool_disk: {"rbps": 10 * MIB, "wiops": 100}}
    patch(inst, devices=root(limits_max="5MB", limits_read="50iops"))
    assert cgroups.io(inst.pid) == {pool_disk: {"rbps": 5000000, "wbps": 5000000, "riops": 50}}
    pid = inst.pid
    patch(inst, devices=root())
    assert cgroups.io(inst.pid) == {} and inst.pid == pid
    patch(inst, devices=root(limits_max="1MiB"))
    assert cgroups.io(inst.pid) == {pool_disk: {"rbps": MIB, "wbps": MIB}}
    patch(inst, devices=root())
    inst.restart()
    assert cgroups.io(inst.pid) == {}


@pytest.mark.alone
def test_disk_ceilings_hold(instance, pool_disk):
    inst = instance(devices=root(limits_max="512KiB"))
    assert direct(inst, "write") > 0.7, "512 KiB at 512 KiB each second, with the kernel's slice of grace"
    assert direct(inst, "read") > 0.7
    patch(inst, devices=root())
    assert direct(inst, "read") < 0.7


def test_disks_on_one_device_share_their_mean(instance, pool_disk, daemon):
    shared = {"type": "disk", "source": str(daemon.dir), "path": "/mnt"}
    inst = instance(devices={**root(limits_read="10MiB"), "more": {**shared, "limits.read": "30MiB", "limits.write": "70iops"}})
    assert cgroups.io(inst.pid) == {pool_disk: {"rbps": 20 * MIB, "wiops": 70}}
    inst.sh("test -d /mnt")
    patch(inst, devices={"more": shared})
    assert cgroups.io(inst.pid) == {pool_disk: {"rbps": 10 * MIB}}


def test_a_disk_without_a_block_device_has_no_ceiling(instance):
    inst = instance(start=False)
    text = refused(inst, devices={"t": {"type": "disk", "source": "/dev/shm", "path": "/t", "limits.read": "1MiB"}})
    assert "'t'" in text and "/dev/shm" in text and "block device" in text


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("value", ["0", "0iops", "9999999999iops", "fast"])
def test_disk_limits_that_make_no_sense(instance, pool_disk, value):
    inst = instance(start=False)
    assert "limits.read" in refused(inst, devices=root(limits_read=value))


def weight(pid):
    """Of 100; None when the kernel weighs no requests."""
    if not cgroups.is_v2("io"):
        found = cgroups.group(pid, "blkio") / "blkio.bfq.weight"
        return int(found.read_text().split()[-1]) if found.exists() else None
    found = cgroups.group(pid, "io") / "io.weight"
    return int(found.read_text().split()[1]) if found.exists() else None


def test_disk_priority(instance):
    inst = instance()
    if weight(inst.pid) is None:
        assert "limits.disk.priority" in refused(inst, {"limits.disk.priority": "3"})
        pytest.skip("the kernel weighs no disk requests")
    inst, seen = life(instance, {"limits.disk.priority": "3"}, {"limits.disk.priority": "10"}, weight)
    assert seen == [60, 200, 100, 60, 100]
    patch(inst, {"limits.disk.priority": "0"})
    assert weight(inst.pid) == 2


# ---- kernel limits
def test_kernel_limits_count_from_the_next_start(instance):
    def look():
        return inst.sh("ulimit -n; ulimit -Hn; ulimit -c").split()

    inst = instance(config={"limits.kernel.nofile": "300:400", "limits.kernel.core": "0"})
    assert look() == ["300", "400", "0"]
    init = Path(f"/proc/{inst.pid}/limits").read_text()
    assert re.search(r"Max open files\s+300\s+400", init)
    patch(inst, {"limits.kernel.nofile": "350"})
    assert re.search(r"Max open files\s+300\s+400", Path(f"/proc/{inst.pid}/limits").read_text()), "not while it runs"
    inst.restart()
    assert look()[:2] == ["350", "350"]
    patch(inst, {"limits.kernel.nofile": "", "limits.kernel.core": ""})
    inst.restart()
    assert int(look()[1]) == min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 30) or look()[1] not in ("350", "400")


def test_each_kernel_limit_is_the_one_that_its_name_says(instance):
    names = {"as": "address space", "core": "core file size", "cpu": "cpu time", "data": "data size", "fsize": "file size", "locks": "file locks",
             "memlock": "locked memory", "msgqueue": "msgqueue size", "nice": "nice priority", "nofile": "open files", "nproc": "processes",
             "rss": "resident set", "rtprio": "realtime priority", "rttime": "realtime timeout", "sigpending": "pending signals", "stack": "stack size"}
    want = {}
    for n, name in enumerate(names):
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}", 10))[1]  # 10: locks
        most = 1 << 46 if hard == resource.RLIM_INFINITY else hard // 2  # nobody has to have the right to raise one
        if most > len(names):
            want[name] = (most - n, most - n + 1)
    inst = instance(config={f"limits.kernel.{name}": f"{soft}:{hard}" for name, (soft, hard) in want.items()})
    text = Path(f"/proc/{inst.pid}/limits").read_text()
    got = {name: re.search(rf"^Max {shown}\s+(\d+)\s+(\d+)", text, re.M) for name, shown in names.items()}
    assert {name: tuple(map(int, found.groups())) for name, found in got.items() if found and name in want} == want and len(want) > 8, text


def test_oom_priority(instance):
    def look():
        return Path(f"/proc/{inst.pid}/oom_score_adj").read_text().strip()

    inst = instance(config={"limits.memory.oom_priority": "500"})
    assert look() == "500"
    assert inst.sh("cat /proc/1/oom_score_adj").strip() == "500"
    patch(inst, {"limits.memory.oom_priority": ""})
    inst.restart()
    assert look() == "0"
    assert "1000" in refused(inst, {"limits.memory.oom_priority": "1001"})


# ---- several at once
def everything(pid):
    return (cgroups.memory(pid), cgroups.swap(pid), cgroups.processes(pid), cgroups.share(pid), cgroups.quota(pid), cgroups.cpus(pid))


def test_a_change_that_fails_half_way_is_taken_back(instance):
    """Memory below what is used: the kernel refuses, or would kill; what was written before and would have come behind is not there."""
    inst = instance(config={"limits.memory": "128MiB", "limits.processes": "77", "limits.cpu": f"{CPU_A}-{CPU_A}"})
    inst.sh("mount -t tmpfs t /mnt && head -c 67108864 /dev/zero > /mnt/full")
    before = everything(inst.pid)
    text = refused(inst, {"limits.memory": "8MiB", "limits.processes": "55", "limits.cpu.allowance": "10%", "limits.cpu": f"{CPU_B}-{CPU_B}",
                          "limits.memory.swap": "false"})
    assert "limits.memory" in text, text
    assert everything(inst.pid) == before
    assert inst.sh("wc -c < /mnt/full").strip() == str(64 * MIB)
    if not cgroups.is_v2("cpu"):
        # limits that were written before the one that fails: v1 gives no group less time than one in it has
        group = cgroups.group(inst.pid, "cpu") / "inner"
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text("50000")
        text = refused(inst, {"limits.memory": "100MiB", "limits.processes": "55", "limits.cpu.allowance": "10ms/100ms"})
        group.rmdir()
        assert "limits.cpu.allowance" in text and everything(inst.pid) == before, text
    # the last of several: a device that cannot come takes the limits back
    text = refused(inst, {"limits.memory": "96MiB", "limits.processes": "55"},
                   {"bad": {"type": "disk", "source": "/etc", "path": "/proc/nowhere/x"}})
    assert "'bad'" in text and everything(inst.pid) == before


def test_limits_survive_a_reboot_from_inside(instance):
    inst = instance(config={"limits.processes": "50", "limits.memory": "64MiB"})
    patch(inst, {"limits.processes": "60", "limits.memory": "", "limits.cpu": f"{CPU_B}-{CPU_B}"})
    old = inst.pid
    inst.exec("sh", "-c", "reboot -f || kill -INT 1")
    wait_until(lambda: inst.get()["status"] == "Running" and inst.pid not in (0, old), 30, lambda: "it does not come back")
    wait_until(lambda: (cgroups.processes(inst.pid), cgroups.memory(inst.pid), cgroups.cpus(inst.pid)) == (60, None, {CPU_B}),
               text=lambda: str(everything(inst.pid)))


@two_cpus
def test_another_lxmd_knows_who_runs_where(own_daemon, busybox_tar):
    from conftest import create
    from harness import images

    images.import_image(own_daemon.rest, busybox_tar, "bb")
    insts = [create(own_daemon, "bb", config={"limits.cpu": "1"}) for _ in range(2)]
    was = [cgroups.cpus(i.pid) for i in insts]
    assert was[0] != was[1]
    own_daemon.kill()
    own_daemon.start()
    insts = [Instance(own_daemon, i.name) for i in insts]
    third = create(own_daemon, "bb", name=fresh_name(), config={"limits.cpu": str(len(ONLINE) - 1)})
    assert [cgroups.cpus(i.pid) for i in insts] == was, "they stay where they are"
    assert max(loads(insts + [third]).values()) <= 2
    for inst in [*insts, third]:
        inst.remove()


# ---- an instance that waits for memory without end
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_that_waits_for_memory_is_held_back(instance, daemon, pool_disk, tmp_path):
    """The kernel tells of its pressure: fewer disk requests, less CPU and a warning, until it is calm; changes meanwhile count after."""
    if not Path("/proc/pressure/memory").exists() or not cgroups.has("unified"):
        pytest.skip("the kernel tells nothing of memory pressure")

    def warned():
        return [w for w in daemon.rest.read("warnings", query={"recursion": 1})
                if w["entity_url"].endswith("/" + inst.name) and w["status"] != "resolved"]

    inst = instance(config={"limits.memory": "64MiB", "limits.cpu.allowance": "80%"})
    large = pressure.fill(daemon.dir / "large", 96)
    try:
        # many: where the disk is quick, or the CPUs are somebody else's, a few programs wait for less than what counts as pressure
        with pressure.thrashing(inst, large, 24):
            wait_until(lambda: cgroups.share(inst.pid) < 10 and warned(), 60, lambda: f"not held back: {cgroups.share(inst.pid)}")
            assert set(cgroups.io(inst.pid)) == {pool_disk} and set(cgroups.io(inst.pid)[pool_disk]) == {"rbps", "wbps", "riops", "wiops"}
            patch(inst, {"limits.cpu.allowance": "50%"}, root(limits_read="20MiB"))
            assert cgroups.share(inst.pid) < 6 and cgroups.io(inst.pid)[pool_disk]["rbps"] < 20 * MIB, "still held back"
    finally:
        large.unlink()
    wait_until(lambda: not warned(), 30, lambda: "not let go")
    assert cgroups.share(inst.pid) == 50 and cgroups.io(inst.pid) == {pool_disk: {"rbps": 20 * MIB}}
