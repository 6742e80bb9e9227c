"""Projects: create to delete, features, and that objects of one are not seen from another."""
import shutil

import pytest

from conftest import create
from harness.instance import fresh_name

pytestmark = pytest.mark.host_only("rows of the database")


@pytest.fixture
def project(rest):
    made = []

    def make(**body):
        name = fresh_name("proj")
        rest.change("POST", "projects", {"name": name, **body})
        made.append(name)
        return name

    yield make
    for name in made:
        rest.delete(f"projects/{name}")


def test_default_has_all_features_and_stays(rest):
    config = rest.read("projects/default")["config"]
    assert config["features.images"] == config["features.profiles"] == config["features.networks"] == "true"
    assert rest.delete("projects/default").status == 403
    assert rest.post("projects/default", {"name": "x"}).status == 403
    assert "features.images" in rest.refused("PATCH", "projects/default", {"config": {"features.images": "false"}})


def test_new_project_has_the_usual_features_and_a_profile(rest, project):
    name = project()
    config = rest.read(f"projects/{name}")["config"]
    assert config["features.images"] == config["features.profiles"] == config["features.storage.volumes"] == "true"
    assert "features.networks" not in config
    assert rest.read("profiles", query={"project": name}) == ["/1.0/profiles/default"]


def test_profiles_of_projects_are_apart(rest, project):
    name = project()
    rest.change("POST", "profiles", {"name": "only-here"}, query={"project": name})
    assert rest.get("profiles/only-here").status == 404
    everywhere = rest.read("profiles", query={"all-projects": "true"})
    assert f"/1.0/profiles/only-here?project={name}" in everywhere
    used = rest.read(f"projects/{name}")["used_by"]
    assert used == [f"/1.0/profiles/only-here?project={name}"]
    reply = rest.delete(f"projects/{name}")
    assert 400 <= reply.status < 500 and "only-here" in reply.error
    rest.change("DELETE", "profiles/only-here", query={"project": name})


def test_profiles_fall_through_when_the_feature_is_off(rest, project):
    name = project(config={"features.profiles": "false"})
    rest.change("PATCH", "profiles/default", {"config": {"user.seen": "yes"}}, query={"project": name})
    try:
        assert rest.read("profiles/default")["config"]["user.seen"] == "yes"
    finally:
        rest.change("PATCH", "profiles/default", {"config": {"user.seen": ""}})


def test_features_are_of_its_own_or_of_default(rest, project, daemon):
    """From its making, changed and unset: a profile, a volume and an image of the default project are seen in it, or are not."""
    volumes, mark = "storage-pools/default/volumes/custom", fresh_name("seen")
    paths = {"features.profiles": "profiles", "features.storage.volumes": volumes, "features.images": "images"}
    rest.change("POST", "profiles", {"name": mark})
    rest.change("POST", volumes, {"name": mark})
    box = create(daemon, None, name=mark, start=False, source={"type": "none"})
    image = rest.change("POST", "images", {"source": {"type": "instance", "name": mark}})["metadata"]["fingerprint"]
    try:
        name = project(config={**dict.fromkeys(paths, "true"), "features.networks": "false"})

        def seen():
            return {key for key, path in paths.items()
                    if {url.split("?")[0].rsplit("/", 1)[1] for url in rest.read(path, query={"project": name})} & {mark, image}}

        assert seen() == set()
        for key in paths:
            rest.change("PATCH", f"projects/{name}", {"config": {key: "false"}})
            assert seen() == {key}
            rest.change("PATCH", f"projects/{name}", {"config": {key: "true"}})
            assert seen() == set()
        rest.change("PATCH", f"projects/{name}", {"config": dict.fromkeys(paths, "")})
        assert seen() == set(paths)
    finally:
        rest.change("DELETE", f"images/{image}")
        box.remove()
        rest.change("DELETE", f"profiles/{mark}")
        rest.change("DELETE", f"{volumes}/{mark}")


def test_features_change_in_empty_projects_only(rest, project):
    name = project()
    rest.change("POST", "profiles", {"name": "p"}, query={"project": name})
    assert "features.profiles" in rest.refused("PATCH", f"projects/{name}", {"config": {"features.profiles": "false"}})
    rest.change("DELETE", "profiles/p", query={"project": name})
    rest.change("PATCH", f"projects/{name}", {"config": {"features.profiles": "false"}})


def test_rename_is_an_operation(rest, project):
    name, other = project(), fresh_name("proj")
    rest.change("POST", f"projects/{name}", {"name": other})
    assert rest.get(f"projects/{name}").status == 404
    rest.change("DELETE", f"projects/{other}")


@pytest.mark.parametrize("body", [{"name": "*"}, {"name": "a,b"}, {"name": "_x"}, {"name": "a b"}, {"name": ".."},
                                  {"name": "x", "config": {"limits.instances": "x"}},
                                  {"name": "x", "config": {"bogus": "1"}}])
def test_bad_bodies_are_refused(rest, body):
    rest.refused("POST", "projects", body)


def test_networks_per_project_say_that_they_are_not_there(rest):
    assert rest.post("projects", {"name": "x", "config": {"features.networks": "true"}}).status == 501
    assert rest.get("projects/x").status == 404


@pytest.mark.real_lxc
@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc_manages_projects(lxc, rest):
    name = fresh_name("proj")
    lxc("project", "create", name, check=True)
    try:
        lxc("project", "set", name, "user.x", "1", check=True)
        assert "user.x" in lxc("project", "show", name, check=True).out
        assert "default" in lxc("profile", "list", "--project", name, "--format", "csv", check=True).out
        assert "CONTAINERS" in lxc("project", "info", name, check=True).out.upper()
    finally:
        lxc("project", "delete", name, check=True)
