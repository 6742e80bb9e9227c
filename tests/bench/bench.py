#!/usr/bin/python3
"""Measures lxm, beside LXD where it is installed, and writes tests/bench/out/bench.md and bench.json.

    make bench                             everything (root)
    make bench ARGS="--only lxm --quick"   lxm alone, few repetitions
    make bench ARGS="--figures cycle,exec_cli"
    tests/bench/bench.py --readme          put the last table into README.md
"""
import argparse
import signal
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import debian_image  # noqa: E402
import figures  # noqa: E402
import report  # noqa: E402
from harness import images  # noqa: E402
from subject import Lxd, Lxm  # noqa: E402

# in this order: launch leaves the instances that idle, get_rate, exec_cli and list_state look at
FIGURES = ("launch", "idle", "get_rate", "exec_cli", "list_state", "cycle", "debian", "many")
NEED_LAUNCH = {"idle", "get_rate", "exec_cli", "list_state"}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", choices=("lxm", "lxd"), help="measure one of the two")
    p.add_argument("--figures", default=",".join(FIGURES), help="a part of " + ",".join(FIGURES))
    p.add_argument("--count", type=int, default=40, help="instances of launch")
    p.add_argument("--many", type=int, default=1000, help="instances one after another (lxm only unless --full)")
    p.add_argument("--repeat", type=int, default=20, help="repetitions of short figures")
    p.add_argument("--quick", action="store_true", help="few repetitions")
    p.add_argument("--full", action="store_true", help="LXD does the long figures too")
    p.add_argument("--out", type=Path, default=HERE / "out")
    p.add_argument("--readme", action="store_true", help="put the table of the last run into README.md and end")
    opt = p.parse_args()
    opt.seconds, opt.idle, opt.settle = 3, 10, 3
    if opt.quick:
        opt.count, opt.many, opt.repeat = min(opt.count, 10), min(opt.many, 40), min(opt.repeat, 5)
        opt.seconds, opt.idle, opt.settle = 1, 3, 1
    return opt


def measure(subject, opt, wanted, pictures):
    """All wanted figures of one subject; one that fails is named and left out."""
    found = {}
    for alias, data in pictures.items():
        subject.add_image(data, alias)
    launched = False
    for name in FIGURES:
        if name not in wanted or (name == "many" and subject.title == "LXD" and not opt.full):
            continue
        if name == "debian" and figures.DEBIAN not in pictures:
            continue
        try:
            if name in NEED_LAUNCH and not launched:
                figures.launch(subject, opt)
                launched = True
            print(f"{subject.title}: {name}", flush=True)
            found.update(getattr(figures, name)(subject, opt))
            launched = launched or name == "launch"
            if name == "list_state" or (launched and not NEED_LAUNCH & set(wanted[wanted.index(name) + 1:])):
                subject.remove_all()
                launched = False
        except Exception:
            print(f"{subject.title}: {name} failed", file=sys.stderr)
            traceback.print_exc()
    return found


def main():
    opt = options()
    if opt.readme:
        report.into_readme((opt.out / "bench.md").read_text(), HERE.parents[1] / "README.md")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [name for name in FIGURES if name in opt.figures.split(",")]
    kinds = [k for k in (Lxd, Lxm) if opt.only in (None, k.title.lower())]
    if Lxd in kinds and not Lxd.installed():
        print("LXD is not installed (packages lxd, lxd-client, btrfs-progs): measuring lxm alone")
        kinds.remove(Lxd)
    pictures = {figures.IMAGE: images.busybox_tar()}
    if "debian" in wanted:
        data = debian_image.get()
        if data:
            pictures[figures.DEBIAN] = data
    result = {"machine": report.machine(), "subjects": {},
              "options": {"count": opt.count, "many": opt.many, "repeat": opt.repeat, "listed": opt.many}}
    for kind in kinds:
        subject = kind()
        try:
            result["subjects"][subject.title] = {"version": subject.version(),
                                                 "figures": measure(subject, opt, wanted, pictures)}
        finally:
            subject.close()
    report.write(result, opt.out)
    print()
    print(report.markdown(result))
    for line in report.missed(result):
        print("missed:", line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
