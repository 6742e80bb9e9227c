"""`make install` and `make uninstall` into a directory of their own; what the installed documents point at."""
import re
import subprocess

import pytest

from harness.daemon import BUILD, TOP

pytestmark = pytest.mark.host_only("files of the installation")


def make(*argv):
    subprocess.run(["make", "-C", TOP, "--no-print-directory", *argv], check=True, capture_output=True, timeout=120)


@pytest.fixture
def installed(tmp_path):
    # the programs of this run are built already; a build for another PREFIX would replace them
    if BUILD.resolve() != TOP / "build":
        pytest.skip("installs the plain build")
    make("install", f"DESTDIR={tmp_path}")
    yield tmp_path / "usr/local"
    make("uninstall", f"DESTDIR={tmp_path}")
    assert [str(p) for p in tmp_path.rglob("*") if not p.is_dir()] == []


def test_everything_is_there_and_goes_again(installed):
    for name in ("bin/lxmd", "bin/lxm-monitor", "bin/lxm-helper", "bin/lxm-forward", "bin/lxm-fetch", "bin/lxmc", "lib/systemd/system/lxmd.service",
                 "lib/systemd/system/lxmd-instances.service", "share/lxm/templates/debian/recipe.yaml",
                 "share/lxm/profiles/seccomp.policy", "share/doc/lxm/LICENSE"):
        assert (installed / name).is_file(), name
    units = "".join(p.read_text() for p in installed.rglob("*.service"))
    assert "@" not in units and "/usr/local/bin/lxmd" in units


def test_bash_completion_is_installed(installed):
    script = installed / "share/bash-completion/completions/lxmc"
    assert "_lxmc" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_links_in_the_documents_lead_somewhere(installed):
    docs = list((installed / "share/doc/lxm").rglob("*.md"))
    assert len(docs) > 5
    for doc in docs:
        for link in re.findall(r"\]\(([^)#:]+)\)", doc.read_text()):
            assert (doc.parent / link).exists(), f"{doc.name}: {link}"
