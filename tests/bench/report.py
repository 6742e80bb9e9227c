"""Turns samples into medians, ratios, a Markdown table and JSON."""
import json
import os
import platform
import statistics
import time
from pathlib import Path

# What the kernel alone takes (doc/design.md section 6), from prototypes without a daemon, measured on the same kind of machine.
FLOORS = {"launch": 120, "start": 5.4, "stop": 1.0, "delete": 1.3, "exec": 2.0, "debian": 350, "monitor_pss": 47,
          "list_many": 12}

# figure, text, unit, larger is better, must reach, aim (doc/design.md section 6)
ROWS = (
    ("launch", "launch of {count} busybox instances, 2 at a time", "/s", True, 50, 100),
    ("start", "start through the API until init runs", "ms", False, 15, 8),
    ("stop", "forced stop", "ms", False, 20, 8),
    ("delete", "delete of a stopped instance", "ms", False, 8, 4),
    ("exec", "exec of `true` through the CLI", "ms", False, 6, 3.5),
    ("debian", "forced restart of a Debian instance until systemd says `running`", "ms", False, 500, 420),
    ("get_rate", "GET one instance, one connection on the Unix socket", "/s", True, 5000, 20000),
    ("daemon_pss", "daemon memory (PSS), idle, {count} instances", "MB", False, 12, 6),
    ("monitor_pss", "monitor of a running instance, memory (PSS)", "KB", False, 200, 70),
    ("idle_cpu", "CPU of the idle daemon, {count} instances", "%", False, 1, None),
    ("list", "list of {count} instances with state", "ms", False, None, None),
    ("list_many", "list of {listed} instances with state", "ms", False, 50, 20),
    ("many_first", "launch one after another, first ten of {many}", "ms", False, None, None),
    ("many_last", "launch one after another, last ten of {many}", "ms", False, None, None),
)


def value(samples):
    if samples is None:
        return None
    return statistics.median(samples) if isinstance(samples, list) else samples


def shown(number, unit):
    if number is None:
        return "-"
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:,.{digits}f} {unit}"


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {"processor": model, "processors": os.cpu_count(), "memory_mb": memory, "kernel": platform.release(),
            "system": _pretty_name(), "date": time.strftime("%Y-%m-%d"),
            "load": os.getloadavg()[0]}


def _pretty_name():
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return "Linux"


def markdown(result):
    m, options = result["machine"], result["options"]
    subjects = result["subjects"]
    lines = [f"Measured {m['date']} on {m['processors']} processors ({m['processor']}), {m['memory_mb']} MB, "
             f"{m['system']}, Linux {m['kernel']}; medians"
             + (f", LXD {subjects['LXD']['version']} on a btrfs loop pool" if "LXD" in subjects else "")
             + ", all in one run.", "",
             "| figure | LXD | lxm | LXD to lxm | kernel floor | lxm to floor | must reach | aim |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for key, text, unit, larger, must, aim in ROWS:
        lxd = value(subjects.get("LXD", {}).get("figures", {}).get(key))
        lxm = value(subjects.get("lxm", {}).get("figures", {}).get(key))
        if lxd is None and lxm is None:
            continue
        ratio = "-"
        if lxd and lxm:
            ratio = f"{(lxm / lxd if larger else lxd / lxm):.1f}x"
        floor = FLOORS.get(key)
        over = f"{lxm / floor:.2f}x" if floor and lxm else "-"
        lines.append(f"| {text.format(**options)} | {shown(lxd, unit)} | {shown(lxm, unit)} | {ratio} | {shown(floor, unit)} | "
                     f"{over} | {shown(must, unit)} | {shown(aim, unit)} |")
    lines += ["", "The floors are of earlier prototypes on the same kind of machine, not of this run: a ratio on the good side of 1 "
              "tells that the machine was faster this time, not that the kernel was beaten."]
    return "\n".join(lines) + "\n"


def missed(result):
    """Figures of lxm that are worse than what they must reach."""
    found = []
    figures = result["subjects"].get("lxm", {}).get("figures", {})
    for key, text, unit, larger, must, _ in ROWS:
        lxm = value(figures.get(key))
        if lxm is not None and must is not None and (lxm < must if larger else lxm > must):
            found.append(f"{text.format(**result['options'])}: {shown(lxm, unit)}, must reach {shown(must, unit)}")
    first, last = value(figures.get("many_first")), value(figures.get("many_last"))
    if first and last and last > 2 * first:
        found.append(f"the last ten of many cost {last / first:.1f} times the first ten, at most 2 times")
    return found


def write(result, out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "bench.md").write_text(markdown(result))


def into_readme(text, readme):
    """Puts the table between the two marks in README.md."""
    begin, end = "<!-- bench -->\n", "<!-- /bench -->\n"
    page = readme.read_text()
    head, rest = page.split(begin, 1)
    readme.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end, 1)[1])
