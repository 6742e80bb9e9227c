"""tests/security/probe.c inside an instance: system calls that a shell cannot make."""
import errno
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "security" / "probe.c"


@lru_cache
def program():
    cc = shutil.which("cc")
    if not cc:
        pytest.skip("no C compiler")
    with tempfile.TemporaryDirectory(prefix="lxm-probe-") as where:
        out = Path(where) / "probe"
        subprocess.run([cc, "-static", "-O1", "-o", out, SOURCE], check=True)
        return out.read_bytes()


def put(inst):
    inst.exec("sh", "-c", "cat > /root/probe; chmod 755 /root/probe", stdin=program())


def parse(text):
    pairs = (line.split() for line in text.splitlines())
    return {name: result if result == "ok" else errno.errorcode[int(result)] for name, result in pairs}


def probe(inst, what, **body):
    """{name: "ok" or the error's name} of what root inside tries."""
    put(inst)
    done = inst.exec("/root/probe", what, **body)
    assert done.code == 0, done
    return parse(done.out.decode())
