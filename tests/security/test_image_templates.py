"""CVE-2026-23954, CVE-2026-33897: file templates of an image neither read nor write outside of the instance."""
import os
from pathlib import Path

import pytest

from harness import images
from harness.images import METADATA, busybox_tar as make_tar
from harness.instance import Instance
from harness.rest import OperationFailed, RestError


def attack(daemon, instance, metadata, extra=None):
    """Imports an image with these templates and starts an instance of it; either may be refused."""
    rest = daemon.rest
    try:
        fingerprint = images.import_image(rest, make_tar(metadata=metadata, extra=extra), "attack")
    except (OperationFailed, RestError):
        return None
    try:
        try:
            inst = instance(image="attack")
        except (OperationFailed, RestError):
            return None
        return inst.sh("cat /stolen 2>/dev/null; true")
    finally:
        for inst in rest.read("instances", query={"recursion": 1}):
            if inst["config"].get("volatile.base_image") == fingerprint:
                Instance(daemon, inst["name"]).remove()
        rest.change("DELETE", f"images/{fingerprint}")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("only root of the host may read this")
    return path


def template(target, source):
    return METADATA + f"  {target}:\n    when: [create, copy, start]\n    template: {source}\n"


@pytest.mark.parametrize("source", ["../../../../../../../../{path}", "{path}", "link.tpl"])
def test_a_template_source_cannot_leave_the_image(daemon, instance, secret, source):
    out = attack(daemon, instance, template("/stolen", source.format(path=secret)),
                 lambda tar: tar.link("templates/link.tpl", str(secret)))
    assert not out or "only root" not in out


@pytest.mark.parametrize("target", ["/../../../../../../../../tmp/lxm-written", "/out/lxm-written"])
def test_a_template_target_cannot_leave_the_instance(daemon, instance, target):
    attack(daemon, instance, template(target, "hostname.tpl"), lambda tar: tar.link("rootfs/out", "/../../../../../tmp"))
    assert not os.path.exists("/tmp/lxm-written")


@pytest.mark.parametrize("text", ['{% include "@@" %}', '{% ssi "@@" %}', '{% extends "@@" %}', '{% import "@@" a %}'])
def test_the_template_language_reads_no_files(daemon, instance, secret, text):
    out = attack(daemon, instance, template("/stolen", "evil.tpl"),
                 lambda tar: tar.add("templates/evil.tpl", text.replace("@@", str(secret))))
    assert not out or "only root" not in out


@pytest.mark.parametrize("pattern", ['{% include "/etc/hostname" %}', '{% ssi "/etc/hostname" %}', '{{ "/etc/hostname"|include }}', "{{ creation_date|ssi:'/etc/hostname' }}"])
def test_the_pattern_of_snapshots_reads_no_files(instance, pattern):
    """CVE-2025-54287: the name of a snapshot shows nothing of the host."""
    inst = instance(start=False)
    host = Path("/etc/hostname").read_text().strip()
    if inst.rest.request("PATCH", inst.path, json={"config": {"snapshots.pattern": pattern}}).status == 200:
        reply = inst.rest.request("POST", inst.path + "/snapshots", json={})
        assert host not in reply.error
        if reply.status == 202:
            done = inst.rest.get(reply.json["operation"] + "/wait", query={"timeout": 30}).metadata
            assert host not in str(done.get("err"))
    assert [s for s in inst.rest.read(inst.path + "/snapshots") if host in s.rsplit("/", 1)[1]] == []
