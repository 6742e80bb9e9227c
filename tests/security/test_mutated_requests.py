"""Requests by the thousand of which a part is wrong, from several tenants and the host at once: lxmd answers all and stays whole. LXM_MUTATE_S
seconds (3 unless told); LXM_MUTATE_SEED repeats a run. Worth most in an instrumented build, which looks at memory meanwhile."""
import http.client
import os
import random
import threading
import time

import pytest

from harness import routes
from harness.daemon import Daemon
from harness.host import HostState
from harness.mutate import Mutator
from harness.tenants import World

pytestmark = pytest.mark.host_only("what is tested is how lxmd reads requests")

SECONDS = float(os.environ.get("LXM_MUTATE_S", 3))
SEED = int(os.environ.get("LXM_MUTATE_SEED", random.SystemRandom().randrange(1 << 30)))
# what an administrator says there may reach the host: pools below any directory, bridges, the listener itself
ADMINS = ("/internal/", "/1.0/networks", "/1.0/storage-pools", "/1.0/certificates", "/1.0/projects")


@pytest.fixture
def world(tmp_path):
    before = HostState()
    daemon = Daemon("mutants")
    try:
        daemon.start().init()
        w = World(daemon, tmp_path)
        yield w
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
        tidy(w)
        w.close()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def tidy(world):
    """Takes away what was made after all, and makes anew what the end wants to find."""
    rest = world.rest
    for p in rest.read("projects", query={"recursion": 1}):
        q = {"project": p["name"]}
        for i in rest.read("instances", query={**q, "recursion": 1}):
            if i["status"] != "Stopped":
                rest.change("PUT", f"instances/{i['name']}/state", {"action": "stop", "force": True}, query=q)
            rest.change("DELETE", f"instances/{i['name']}", query=q)
        for kind, field in (("images", "fingerprint"), ("profiles", "name"), ("storage-pools/default/volumes/custom", "name")):
            for o in rest.read(kind, query={**q, "recursion": 1}):
                # a snapshot of a volume is in the list as well, and goes with it
                if o.get("project", p["name"]) == p["name"] and o[field] != "default" and "/" not in o[field]:
                    rest.change("DELETE", f"{kind}/{rest_quote(o[field])}", query=q)
    world.blue.clear = world.red.clear = lambda: None
    for project in ("red", "blue"):
        rest.change("PUT", "profiles/default", {"config": {}, "devices": {}}, query={"project": project})
        rest.change("DELETE", f"projects/{project}")


def rest_quote(name):
    from urllib.parse import quote
    return quote(name, safe="")


def attack(client, mutator, until, bad):
    n = 0
    while time.monotonic() < until:
        method, path, query, headers, body = mutator.request()
        n += 1
        try:
            reply = client.request(method, path, data=body, headers=headers, query=query, timeout=60)
        except (OSError, http.client.HTTPException, UnicodeError, ValueError):
            continue  # a websocket, or a header that Python does not send
        if reply.status in (500, 502) or reply.status < 200:
            bad.append(f"seed {SEED}: {method} {path} {query} {headers} {body!r:.500}: {reply}")
    return n


def test_all_are_answered_and_lxmd_stays_whole(world):
    rows = [r for r in routes.table() if not r.pattern.startswith("/internal/")]
    hosts = [r for r in rows if r.method == "GET" or not (r.pattern.startswith(ADMINS) or r.pattern == "/1.0")]
    bad, until = [], time.monotonic() + SECONDS
    callers = [(world.client("restricted"), rows), (world.red.client(), rows), (world.client("none"), rows), (world.rest, hosts)]
    threads = [threading.Thread(target=attack, args=(c, Mutator(r, SEED + k), until, bad)) for k, (c, r) in enumerate(callers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(SECONDS + 120)
    assert not any(t.is_alive() for t in threads), f"seed {SEED}: a request was not answered\n{world.daemon.log_tail()}"
    assert not bad, "\n".join(bad[:5])
    assert world.rest.get("instances", query={"recursion": 2, "all-projects": "true"}).status == 200
