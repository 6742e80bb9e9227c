"""The daemon as a whole: who it is, what an unknown path is, a second one on the same directory."""
import pytest

pytestmark = pytest.mark.host_only("HTTP on a socket, and what lxmd writes into its log")


def test_root_lists_the_version(rest):
    assert rest.read("/") == ["/1.0"]


def test_server_names_itself(rest):
    info = rest.read("/1.0")
    assert info["auth"] == "trusted"
    assert info["api_version"] == "1.0"
    assert info["environment"]["server"] == "lxm"
    assert all(isinstance(value, str) for value in info["config"].values())


def test_unknown_path_is_404_with_an_envelope(rest):
    reply = rest.get("/1.0/no-such-thing")
    assert reply.status == 404
    assert reply.json["type"] == "error" and reply.json["error_code"] == 404


def test_known_path_with_wrong_method_is_501(rest):
    assert rest.delete("/1.0").status == 501


def test_second_daemon_on_the_same_directory_says_so(daemon):
    second = daemon.lxmd(timeout=20)
    assert second.code != 0
    assert str(daemon.dir) in second.err
    assert daemon.alive()


def test_each_line_is_logged_once_where_stderr_is_the_log(own_daemon):
    log = own_daemon.dir / "logs/lxmd.log"
    own_daemon.stop()
    usual, own_daemon.log = own_daemon.log, log
    log.write_text("")
    own_daemon.start()
    own_daemon.log = usual
    lines = [line for line in log.read_text().splitlines() if "is ready" in line]
    assert len(lines) == 1
