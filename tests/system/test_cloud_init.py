"""cloud-init in the Debian `cloud` variant: by the guest API and by the NoCloud seed, all four kinds of data, on one image."""
import pytest

from harness import guest, templates
from test_templates import needs_mmdebstrap

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl joe@example"
USER = f"""\
#cloud-config
hostname: renamed
users:
  - name: joe
    shell: /bin/sh
    ssh_authorized_keys: ["{KEY}"]
packages: [sudo]
runcmd: [[sh, -c, "echo user > /root/mark"]]
"""
VENDOR = """\
#cloud-config
write_files: [{path: /root/vendor, content: "vendor"}]
"""
NETWORK = """\
version: 2
ethernets: {eth0: {dhcp4: true, optional: true}}
"""
# no network is needed: the package is there, so apt has nothing to fetch
OFFLINE = "#!/bin/sh\nexit 0\n"
pytestmark = [needs_mmdebstrap, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def booted(session_daemon, instance):
    def boot(source, config):
        """An instance of the image that was told to look at one source only; back when cloud-init has done all."""
        inst = instance(image=templates.ensure(session_daemon, "debian/bookworm/cloud"), config=config, start=False)
        files = {"/etc/cloud/cloud.cfg.d/95-test.cfg": f"datasource_list: [{source}]\n", "/usr/local/bin/apt-get": OFFLINE,
                 "/usr/local/sbin/apt-get": OFFLINE}
        for path, text in files.items():
            reply = inst.rest.request("POST", inst.path + "/files", query={"path": path}, data=text.encode(),
                                      headers={"X-LXD-mode": "0755"})
            assert reply.status == 200, reply
        inst.start()
        done = inst.exec("cloud-init", "status", "--wait", timeout=180)
        assert b"done" in done.out, (done, inst.exec("tail", "-n", "60", "/var/log/cloud-init.log").out.decode())
        return inst

    return boot


def check_user_data(inst):
    assert inst.sh("cat /root/mark; hostname; id -un joe").split() == ["user", "renamed", "joe"]
    assert inst.sh("cat /home/joe/.ssh/authorized_keys").strip() == KEY
    assert inst.sh("dpkg-query -Wf '${db:Status-Abbrev}' sudo").strip() == "ii"


def test_by_the_guest_api(booted):
    inst = booted("LXD", {"cloud-init.user-data": USER, "cloud-init.vendor-data": VENDOR, "cloud-init.network-config": NETWORK,
                          "user.meta-data": "x-test: told\n"})
    assert inst.sh("cloud-id").strip() == "lxd"
    check_user_data(inst)
    assert inst.sh("cat /root/vendor") == "vendor"
    assert inst.sh("cloud-init query instance_id").strip() == inst.get()["config"]["volatile.cloud-init.instance-id"]
    assert "Name=eth0" in inst.sh("cat /etc/systemd/network/*cloud-init*")
    assert guest.read(inst, "/1.0/config/cloud-init.vendor-data") == VENDOR


def test_by_the_seed_with_the_older_keys(booted):
    inst = booted("NoCloud", {"user.user-data": USER, "user.vendor-data": VENDOR, "user.network-config": NETWORK, "security.devlxd": "false"})
    assert inst.sh("cloud-id").strip() == "nocloud"
    check_user_data(inst)
    assert inst.sh("cat /root/vendor") == "vendor"
    assert "Name=eth0" in inst.sh("cat /etc/systemd/network/*cloud-init*")
