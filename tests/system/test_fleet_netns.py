"""`lxmc --on` over TLS: three lxmd with addresses of their own in network namespaces, 20 ms away; one of them falls silent."""
import json

import pytest

from harness.host import HostState
from harness.netns import Net, NetDaemon


@pytest.fixture(scope="module")
def hosts():
    before = HostState()
    daemons, problems = [], []
    with Net(3) as net:
        try:
            for i in range(3):
                daemons.append(NetDaemon(net, i).serve())
                daemons[i].join(daemons[0], f"h{i + 1}")
            yield net, daemons
        finally:
            for daemon in daemons:
                problems += daemon.discard()
    left = HostState().left_since(before)
    assert not problems, "\n".join(problems)
    assert not [line for line in left if net.tag in line]


def test_one_document_of_all_and_one_that_is_gone(hosts):
    net, daemons = hosts
    lxmc = daemons[0].lxmc
    run = lxmc("--on", "h*", "query", "/1.0")
    assert run.code == 0, run
    answers = json.loads(run.out)
    assert [a["host"] for a in answers] == ["h1", "h2", "h3"]
    assert [a["result"]["environment"]["addresses"] for a in answers] == [[d.address] for d in daemons]
    assert all(a["result"]["auth"] == "trusted" for a in answers)
    assert lxmc("--on", "h*", "profile", "create", "p1").code == 0
    net.cut(2)
    run = lxmc("--on", "h*", "--timeout", "3", "profile", "list", "-f", "csv")
    assert run.code == 1
    assert [line.split(",")[:2] for line in run.out.splitlines()] == [[h, p] for h in ("h1", "h2") for p in ("default", "p1")]
    assert run.err.splitlines() == ["Error: h3: no answer within 3 s"]
