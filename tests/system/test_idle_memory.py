"""A daemon at rest gives back memory that only work needs, and works as before afterwards."""
import re
from pathlib import Path

import pytest

from harness.daemon import BUILD
from harness.instance import wait_until

pytestmark = pytest.mark.skipif("san-" in BUILD.name, reason="memory is not measured under sanitizers")


def resident_code_kb(pid):
    """Of lxmd and its libraries, what cannot be written to and is executable."""
    total, code = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ (\S+)", line)
        if head:
            code = head.group(1) == "r-xp" and head.group(2) != "0"
        elif code and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def libraries(pid):
    return {line.split("/")[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if ".so" in line}


def test_libraries_of_archives_and_firewall_come_when_they_are_needed(bare):
    before = libraries(bare.proc.pid)
    assert not [name for name in before if name.startswith(("libarchive", "libnftables", "libicu", "libstdc++"))]
    reply = bare.rest.request("POST", "/1.0/images", data=b"no archive at all", headers={"Content-Type": "application/octet-stream"})
    assert reply.status == 202
    wait_until(lambda: any(name.startswith("libarchive") for name in libraries(bare.proc.pid)), 10)


def test_code_that_nobody_runs_is_let_go(bare):
    pid = bare.proc.pid
    for _ in range(3):
        assert bare.rest.read("/1.0")["auth"] == "trusted"
    busy = resident_code_kb(pid)
    wait_until(lambda: resident_code_kb(pid) < busy / 2, 15)
    assert bare.rest.read("/1.0")["auth"] == "trusted"
    assert bare.rest.read("instances", query={"recursion": 2}) == []
