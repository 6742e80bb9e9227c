"""Device nodes of the host in instances."""
import pytest


@pytest.mark.parametrize("privileged", ["false", "true"])
def test_char_device_beside_the_usual_ones(instance, privileged):
    """The rule for the node must not shut out the console, /dev/null and the terminals."""
    inst = instance(config={"security.privileged": privileged},
                    devices={"z": {"type": "unix-char", "source": "/dev/zero", "path": "/dev/myzero"}})
    assert inst.sh("head -c 3 /dev/myzero | wc -c").strip() == "3"
    assert inst.exec("sh", "-c", "tty && echo x > /dev/null", interactive=True).code == 0
