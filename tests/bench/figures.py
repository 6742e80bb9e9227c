"""What is measured, one function for each figure of doc/design.md section 6.

A function takes a Subject and the run's options and returns {figure: value or list of samples}. Samples become a
median in the report. Times are in milliseconds.
"""
import os
import threading
import time

from subject import cpu_ticks, pss_kb
from harness.rest import unix_connect

IMAGE = "bench-busybox"
DEBIAN = "bench-debian"


def ms(fn, *args, **kw):
    start = time.perf_counter()
    fn(*args, **kw)
    return (time.perf_counter() - start) * 1000


def launch(s, opt):
    """`opt.count` instances two at a time, as lxd-benchmark does; they stay for the idle figures."""
    names = [f"b{i}" for i in range(opt.count)]
    todo, lock, failed = list(names), threading.Lock(), []

    def work():
        while True:
            with lock:
                if not todo:
                    return
                name = todo.pop(0)
            try:
                s.create(name, IMAGE)
                s.state(name, "start")
            except Exception as e:
                failed.append(e)
                return

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return {"launch": opt.count / (time.perf_counter() - start)}


def idle(s, opt):
    """Memory and CPU of a daemon that has nothing to do but keep the instances of launch()."""
    time.sleep(opt.settle)
    monitors = s.monitor_pids()
    pids = [s.daemon_pid()]
    before = sum(map(cpu_ticks, pids))
    time.sleep(opt.idle)
    ticks = sum(map(cpu_ticks, pids)) - before
    return {"daemon_pss": pss_kb(s.daemon_pid()) / 1024,
            "monitor_pss": [pss_kb(pid) for pid in monitors],
            "idle_cpu": 100 * ticks / os.sysconf("SC_CLK_TCK") / opt.idle}


def get_rate(s, opt):
    """GET of one instance, again and again on one connection."""
    sock = unix_connect(s.rest.socket_path)
    request = b"GET /1.0/instances/b0 HTTP/1.1\r\nHost: unix.socket\r\n\r\n"

    def once():
        sock.sendall(request)
        data = sock.recv(1 << 16)
        while b"\r\n\r\n" not in data:
            data += sock.recv(1 << 16)
        head, body = data.split(b"\r\n\r\n", 1)
        if b"chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += sock.recv(1 << 16)
        else:
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += sock.recv(1 << 16)
        return head

    assert b" 200 " in once().split(b"\r\n")[0]
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < opt.seconds:
        for _ in range(20):
            once()
        count += 20
    elapsed = time.perf_counter() - start
    sock.close()
    return {"get_rate": count / elapsed}


def exec_cli(s, opt):
    argv, env = s.cli("exec", "b0", "--", "true")

    def once():
        pid = os.posix_spawnp(argv[0], argv, env)
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"{argv}: {status}"

    once()
    return {"exec": [ms(once) for _ in range(opt.repeat * 2)]}


def cycle(s, opt):
    """Start, forced stop and delete of one instance at a time."""
    starts, stops, deletes = [], [], []
    for i in range(opt.repeat):
        s.create("cycle", IMAGE)
        starts.append(ms(s.state, "cycle", "start"))
        time.sleep(0.1)
        stops.append(ms(s.state, "cycle", "stop"))
        deletes.append(ms(s.delete, "cycle"))
    return {"start": starts, "stop": stops, "delete": deletes}


def list_state(s, opt):
    """GET of every instance with its state."""
    assert len(s.rest.read("instances", query={"recursion": 2})) >= opt.count
    return {"list": [ms(s.rest.get, "instances", query={"recursion": 2}) for _ in range(5)]}


def debian(s, opt):
    """Restart of a Debian instance until systemd calls the system running."""
    s.create("deb", DEBIAN)
    s.state("deb", "start")
    wait_running(s, "deb")
    samples = []
    for _ in range(min(opt.repeat, 5)):
        start = time.perf_counter()
        s.state("deb", "restart")
        wait_running(s, "deb")
        samples.append((time.perf_counter() - start) * 1000)
    s.state("deb", "stop")
    s.delete("deb")
    return {"debian": samples}


def wait_running(s, name, timeout=60):
    """Asks from inside until the answer is `running`: one blocking call, no polling over the API."""
    argv, env = s.cli("exec", name, "--", "sh", "-c",
                      "until [ -S /run/dbus/system_bus_socket ] || [ -S /run/systemd/private ]; do sleep 0.01; done; "
                      "systemctl is-system-running --wait")
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        pid = os.posix_spawnp(argv[0], argv, env, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                                                                (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return
        time.sleep(0.01)
    raise TimeoutError(f"{name} never reached the state running")


def many(s, opt):
    """`opt.many` instances one after another: does the last one cost what the first did?"""
    each = []
    for i in range(opt.many):
        name = f"m{i}"
        each.append(ms(s.create, name, IMAGE) + ms(s.state, name, "start"))
    found = {"many_first": each[:10], "many_last": each[-10:]}
    found["list_many"] = [ms(s.rest.get, "instances", query={"recursion": 2}) for _ in range(5)]
    return found
