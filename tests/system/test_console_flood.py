"""A container that floods its console: what its monitor does for it is bounded, and nothing else suffers."""
import time
from pathlib import Path


def bytes_read(pid):
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("rchar"))


def monitor_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_flood_costs_the_host_little(rest, instance):
    inst = instance()
    monitor = monitor_of(inst.pid)
    assert Path(f"/proc/{monitor}/comm").read_text() == "lxm-monitor\n"
    inst.sh("(while :; do head -c 1000000 /dev/zero | tr '\\0' F; done >/dev/console 2>&1 &) ")
    time.sleep(0.3)
    before = bytes_read(monitor)
    time.sleep(2)
    assert bytes_read(monitor) - before < 10_000_000
    assert rest.get(f"instances/{inst.name}/console").body.endswith(b"F" * 1000)
    inst.stop()
