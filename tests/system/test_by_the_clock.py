"""What lxmd does each minute: snapshots that are due come, snapshots and backups that have expired go. All in one, for the same minute."""
import time

import pytest

from harness import backups
from harness.instance import wait_until
from test_snapshots import names, snap


def in_a_second():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))


def kept(inst):
    return [u.rsplit("/", 1)[1] for u in inst.rest.read(f"{inst.path}/backups")]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_snapshots_come_and_what_has_expired_goes(daemon, instance):
    every = instance(config={"snapshots.schedule": "* * * * *", "snapshots.pattern": "auto%d"})
    still = instance(start=False, config={"snapshots.schedule": "* * * * *"})
    both = instance(start=False, config={"snapshots.schedule": "* * * * *", "snapshots.schedule.stopped": "true"})
    snap(still, "old", expires_at=in_a_second())
    snap(still, "kept", expires_at="2099-01-01T00:00:00Z")
    backups.make(still, "brief", expires_at=in_a_second())
    backups.make(still, "lasting", expires_at="2099-01-01T00:00:00Z")
    wait_until(lambda: names(every) and names(both) and names(still) == ["kept"] and kept(still) == ["lasting"], 100,
               lambda: f"{names(every)} {names(both)} {names(still)} {kept(still)}")
    assert names(every)[0] == "auto0"
    files = [p.name for p in (daemon.dir / "backups").iterdir()]
    assert len(files) == 1, files
