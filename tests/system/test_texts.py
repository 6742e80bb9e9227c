"""Words that scripts of LXD look for in error texts."""
import pytest

from harness.rest import OperationFailed

pytestmark = pytest.mark.host_only("texts of errors")


def refusal(call, *argv, **kw):
    with pytest.raises(OperationFailed) as e:
        call(*argv, **kw)
    return str(e.value)


def test_stop_of_stopped(instance):
    assert "already stopped" in refusal(instance(start=False).stop)


def test_missing_file(rest, instance):
    reply = rest.get(f"{instance(start=False).path}/files", query={"path": "/nowhere"})
    assert reply.status == 404 and "not found" in reply.error


def test_missing_snapshot(rest, instance):
    reply = rest.get(f"{instance(start=False).path}/snapshots/nothing")
    assert reply.status == 404 and "not found" in reply.error


@pytest.mark.parametrize("kind, body", [
    ("profiles", {"name": "default"}), ("projects", {"name": "default"}),
    ("storage-pools", {"name": "default", "driver": "dir", "config": {}})])
def test_taken_name(rest, daemon, kind, body):
    reply = rest.post(kind, body)
    assert reply.status in (400, 409) and "already exists" in reply.error


def test_same_image_twice(rest, image, busybox_tar):
    op = rest.start_op("POST", "images", data=busybox_tar, headers={"Content-Type": "application/octet-stream"})
    assert "same fingerprint already exists" in refusal(rest.wait, op)
