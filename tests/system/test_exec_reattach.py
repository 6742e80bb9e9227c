"""lxmc exec --reattach: coming back to a command after its server was restarted."""
import subprocess

from conftest import create
from harness import images
from harness.instance import wait_until


def test_lxmc_comes_back(own_daemon, busybox_tar):
    d = own_daemon
    images.import_image(d.rest, busybox_tar, "testimage")
    inst = create(d, "testimage", name="back")
    exec_path = "instances/back/exec"
    lost = subprocess.Popen([d.bin("lxmc"), "exec", "back", "--", "sh", "-c", "echo one; read x; echo $x; exit 9"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=d.env())
    assert lost.stdout.readline() == "one\n"
    d.kill()
    assert lost.wait(20) not in (0, 9)
    assert "lxmc exec --reattach" in lost.stderr.read()
    for pipe in (lost.stdin, lost.stdout, lost.stderr):
        pipe.close()
    d.start()
    done = d.lxmc("exec", "--reattach", "back", stdin="two\n")
    assert (done.code, done.out) == (9, "two\n")
    none = d.lxmc("exec", "--reattach", "back")
    assert none.code not in (0, 9) and "no command waits" in none.err
    others = [subprocess.Popen([d.bin("lxmc"), "exec", "back", "--", "sleep", "99"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=d.env()) for _ in range(2)]
    wait_until(lambda: sum(1 for s in d.rest.read(exec_path) if s["pid"]) == 2)
    d.kill()
    for other in others:
        other.wait(20)
    d.start()
    shown = d.lxmc("exec", "--reattach", "back", check=True).out
    ids = [s["id"] for s in d.rest.read(exec_path)]
    assert len(ids) == 2 and all(i in shown for i in ids) and "sleep 99" in shown
    assert "waits for a client" in d.lxmc("exec", "--reattach", "ffffffff-ffff", "back").err
    inst.stop()


def test_execs_get_the_limits_of_init(instance):
    inst = instance()
    assert inst.sh("ulimit -Sn; ulimit -Hn") == inst.sh("awk '/Max open files/ {print $4; print $5}' /proc/1/limits")
    inst = instance(config={"limits.kernel.nofile": "300:400", "limits.kernel.core": "unlimited"})
    assert inst.sh("ulimit -Sn; ulimit -Hn; ulimit -c") == "300\n400\nunlimited\n"
