"""Output that exec records is the host's space: old records make room for new ones, and those in use are bounded."""
import os
import time

MAX_FILES, MAX_MIB = 200, 64


def record(inst, *command):
    op = inst.rest.change("POST", inst.path + "/exec", {"command": list(command), "record-output": True})
    return [os.path.basename(u) for u in op["metadata"]["output"].values()]


def logs(inst):
    where = os.path.join(inst.daemon.dir, "logs/default", inst.name)
    return where, {n for n in os.listdir(where) if n.startswith("exec_")}


def old(where, name, age, size=0):
    path = os.path.join(where, name)
    with open(path, "wb") as f:
        if size:
            os.posix_fallocate(f.fileno(), 0, size)
    os.utime(path, (time.time() - age,) * 2)


def test_the_oldest_records_make_room(instance):
    inst = instance(start=True)
    first = record(inst, "true")
    where, there = logs(inst)
    assert there == set(first)
    for n in range(MAX_FILES - 3):
        old(where, f"exec_old{n:03}.stdout", 5000 - n)
    new = record(inst, "true")
    left = logs(inst)[1]
    assert len(left) == MAX_FILES and "exec_old000.stdout" not in left and "exec_old001.stdout" in left
    assert set(first + new) <= left
    old(where, "exec_big.stdout", 10, (MAX_MIB + 1) << 20)
    newer = record(inst, "true")
    assert "exec_big.stdout" not in logs(inst)[1] and logs(inst)[1] >= set(new + newer)


def test_what_running_programs_write_is_bounded_and_stays(instance):
    inst = instance(start=True)
    rest = inst.rest
    op = rest.start_op("POST", inst.path + "/exec", {
        "command": ["sh", "-c", f"dd if=/dev/zero bs=1M count={MAX_MIB + 1} 2>/dev/null; touch /done; exec sleep 1000"], "record-output": True})
    inst.sh("for n in $(seq 500); do [ -e /done ] && exit 0; sleep 0.05; done; exit 1")
    where, there = logs(inst)
    name = next(n for n in there if n.endswith(".stdout"))
    with open(os.path.join(where, name), "rb") as f:
        os.fsync(f.fileno())  # delayed allocation counts late
    reply = rest.post(inst.path + "/exec", {"command": ["true"], "record-output": True})
    assert reply.status == 507 and "still write to" in reply.error, reply
    assert name in logs(inst)[1]
    assert inst.exec("true").code == 0  # others have nothing to do with it
    inst.sh("kill -9 $(pidof sleep)")
    rest.wait(f"/1.0/operations/{op['id']}")
    record(inst, "true")
    assert name not in logs(inst)[1]
