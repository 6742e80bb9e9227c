"""exec over REST: streams, exit codes, and messages that arrive at awkward moments."""
import signal

from harness.rest import Exec


def test_streams_are_apart_and_the_code_comes_back(instance):
    done = instance().exec("sh", "-c", "cat; echo no >&2; exit 9", stdin=b"in")
    assert (done.code, done.out, done.err) == (9, b"in", b"no\n")


def test_signal_that_answers_the_first_output_is_not_lost(rest, instance):
    """The program's output may be here before lxmd heard from the helper that the program runs."""
    inst = instance()
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"
    for _ in range(25):
        with Exec(rest, inst.name, ["sh", "-c", script]) as ex:
            assert ex.ws["1"].recv() == b"ready\n"
            ex.control(command="signal", signal=int(signal.SIGTERM))
            assert ex.wait(5) == 3


def test_terminal_size_can_change(rest, instance):
    inst = instance()
    with Exec(rest, inst.name, ["sh", "-c", "stty size; read x; stty size"], interactive=True, width=80, height=24) as ex:
        shown = b""
        while b"24 80" not in shown:
            shown += ex.ws["0"].recv()
        ex.control(command="window-resize", args={"width": "120", "height": "40"})
        ex.send(b"\n")
        out, _ = ex.output()
        assert b"40 120" in out
        assert ex.wait() == 0


def test_many_sessions_at_once(rest, instance):
    inst = instance()
    sessions = [Exec(rest, inst.name, ["cat"]) for _ in range(50)]
    try:
        for number, ex in enumerate(sessions):
            ex.send(b"%d" % number)
            ex.eof()
        for number, ex in enumerate(sessions):
            assert ex.output()[0] == b"%d" % number
            assert ex.wait() == 0
    finally:
        for ex in sessions:
            ex.close()
