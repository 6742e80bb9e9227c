"""A hundred launches and deletes leave nothing: host, database, directory."""
import threading

import pytest

from harness.footprint import Footprint
from harness.instance import fresh_name, wait_until


def launch_and_delete(daemon, create, image, how_many, failures):
    for _ in range(how_many):
        try:
            inst = create(daemon, image, name=fresh_name("leak"))
            inst.stop()
            inst.delete()
        except Exception as e:
            failures.append(e)
            return


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hundred_launches_leave_nothing(daemon, image, instance, host_state):
    from conftest import create

    instance().remove()  # what is made once for the first instance is no leak
    before, host_before = Footprint(daemon), host_state()
    failures = []
    threads = [threading.Thread(target=launch_and_delete, args=(daemon, create, image, 50, failures)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    wait_until(lambda: not Footprint(daemon).grown_since(before), 15,
               lambda: "\n".join(Footprint(daemon).grown_since(before)))
    left = daemon.leaks(host_before)
    assert not left, "\n".join(left)


def test_id_ranges_are_given_back(daemon, image, instance):
    """One instance after another gets the same range, so nothing of the range was used up."""
    bases = set()
    for _ in range(5):
        inst = instance(start=False)
        bases.add(inst.get()["config"].get("volatile.idmap.base"))
        inst.delete()
    assert len(bases) == 1, bases
