"""The kernel's walls around lxm-fetch: it has no rights while it downloads, and downloads within them."""
import pytest

from harness import imageserver
from harness.rest import OperationFailed
from test_image_fetch import certificate, fetchers, parts, pull, server, slow_server, started  # noqa: F401


def test_lxm_fetch_has_no_rights_and_does_its_work(rest, server, pull, parts, daemon):  # noqa: F811
    go = slow_server(server, parts)
    op = pull(start_only=True, alias="bb/1")
    started(rest, op)
    (pid,) = fetchers(daemon)
    with open(f"/proc/{pid}/status") as f:
        status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
    assert set(status["Uid"].split()) == {"65534"} and set(status["Gid"].split()) == {"65534"}
    assert status["Groups"].strip() == ""
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    rest.delete(f"operations/{op['id']}")
    go.set()
    with pytest.raises(OperationFailed):
        rest.wait(op)

    tree = imageserver.Streams()
    tree.add("bb/2", "20240101_00:00", *parts("within"))
    server.routes = tree.routes()
    assert pull(alias="bb/2")["status"] == "Success"
