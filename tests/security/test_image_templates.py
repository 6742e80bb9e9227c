"""CVE-2026-23954, CVE-2026-33897: file templates of an image neither read nor write outside of the instance."""
import os

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
