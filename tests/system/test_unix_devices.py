"""Device nodes of the host in instances."""
import pytest


@pytest.mark.parametrize("privileged", ["false", "true"])
def test_char_device_beside_the_usual_ones(instance, privileged):
    """The rule for the node must not shut out the console, /dev/null and the terminals."""
    inst = instance(config={"security.privileged": privileged},
                    devices={"z": {"type": "unix-char", "source": "/dev/zero", "path": "/dev/myzero"}})
    assert inst.sh("head -c 3 /dev/myzero | wc -c").strip() == "3"
    assert inst.exec("sh", "-c", "tty && echo x > /dev/null", interactive=True).code == 0


def test_all_of_the_hosts_memory_is_no_device_for_users(rest, instance):
    """/dev/mem, kmem and port, by number: whether the host has such a node does not matter."""
    inst = instance(start=False)
    for minor in (1, 2, 4):
        device = {"type": "unix-char", "path": "/dev/x", "major": "1", "minor": str(minor)}
        assert "memory" in rest.refused("PATCH", inst.path, {"devices": {"x": device}}, statuses=(403,))
