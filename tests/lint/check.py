#!/usr/bin/python3
"""Checks the shape of the tree: who includes and calls what (table in `rooms`), documented headers, size, SQL's home, close-on-exec,
a test of the effect of every key (effects.py).

    tests/lint/check.py        from the top of the tree; prints FILE:LINE: what is wrong; ends 1 if there is anything
"""
import os
import re
import subprocess
import sys

import effects

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_LINES = 700
MAX_FUNCTION = 80
# descriptors that these make are born close-on-exec; a flag that is not said here in words is the caller's
BORN = re.compile(r"(?<![\w.>])(open|openat|socket|socketpair|accept4|pipe2|epoll_create1|memfd_create|inotify_init1|eventfd|signalfd|timerfd_create)\s*\(")
FLAG_WORD = re.compile(r"\b(O|SOCK|EFD|SFD|TFD|MFD|IN|EPOLL)_[A-Z]+\b")
# _new/_free, _init/_deinit, _ref/_unref mean the same everywhere (doc/style.md section 2)
OBVIOUS = re.compile(r"_(deinit|free|ref|unref)$")
SQL = re.compile(r'"\s*(SELECT\s.+\sFROM\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+TABLE\s)')


def read_tables():
    """section -> name -> set of rooms."""
    tables, section = {}, None
    with open(os.path.join(TOP, "tests/lint/rooms")) as f:
        for line in f:
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0].startswith("["):
                section = tables.setdefault(words[0].strip("[]"), {})
            else:
                section[words[0]] = set(words[1:]) - {"-"}
    return tables


def sources():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=TOP,
                         capture_output=True, text=True, check=True).stdout
    return [p for p in out.split() if os.path.exists(os.path.join(TOP, p))]


def blank(text):
    """The same text with comments and string contents blanked out, line numbers kept."""
    def wipe(match):
        s = match.group(0)
        body = re.sub(r"[^\n]", " ", s)
        return '"' + body[1:-1] + '"' if s[0] == '"' and len(s) > 1 else body

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', wipe, text, flags=re.S)


class Check:
    def __init__(self):
        self.tables = read_tables()
        self.found = []

    def say(self, path, line, what):
        self.found.append(f"{path}:{line}: {what}")

    def file(self, path):
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            text = f.read()
        room = os.path.dirname(path)
        lines = text.count("\n")
        if lines > MAX_LINES:
            self.say(path, lines, f"{lines} lines: more than one job (limit {MAX_LINES})")
        if not text.startswith("/*"):
            self.say(path, 1, "does not open with a comment that tells its job")
        if room.startswith("tests"):
            return
        if room not in self.tables["includes"]:
            self.say(path, 1, f"room '{room}' is not in tests/lint/rooms")
            return
        code = blank(text)
        self.includes(path, room, text)
        self.calls(path, room, code)
        self.descriptors(path, code)
        if path.endswith(".c"):
            self.functions(path, code)
        if room != "db":
            for match in SQL.finditer(text):
                self.say(path, text.count("\n", 0, match.start()) + 1, "SQL outside db/")
        if path.endswith(".h"):
            self.docstrings(path, text)

    def includes(self, path, room, text):
        allowed = self.tables["includes"][room] | {room}
        for number, line in enumerate(text.splitlines(), 1):
            own = re.match(r'#\s*include\s+"([^"]+)"', line)
            lib = re.match(r"#\s*include\s+<([^>]+)>", line)
            if own and not own.group(1).endswith(".sql.h"):
                target = os.path.dirname(own.group(1))
                if not target:
                    self.say(path, number, f"include \"{own.group(1)}\" does not name its room")
                elif target not in allowed:
                    self.say(path, number, f"room '{room}' may not include from '{target}'")
            if lib:
                for header, rooms in self.tables["libraries"].items():
                    if lib.group(1).startswith(header) and room not in rooms:
                        self.say(path, number, f"room '{room}' may not use <{lib.group(1)}>")

    def calls(self, path, room, code):
        for match in re.finditer(r"(?<![\w.>])([a-z][a-z0-9_]*)\s*\(", code):
            rooms = self.tables["calls"].get(match.group(1))
            if rooms is not None and room not in rooms and path not in rooms:
                self.say(path, code.count("\n", 0, match.start()) + 1, f"{match.group(1)}() has no place in '{room}'")

    def descriptors(self, path, code):
        for match in BORN.finditer(code):
            end, depth = match.end(), 1
            while depth and end < len(code):
                depth += {"(": 1, ")": -1}.get(code[end], 0)
                end += 1
            args = code[match.end():end]
            if match.group(1) in self.tables["inherited"].get(path, ()):
                continue
            if FLAG_WORD.search(args) and "CLOEXEC" not in args and not re.search(r"\b(flags|type)\b", args):
                self.say(path, code.count("\n", 0, match.start()) + 1, f"{match.group(1)}() without CLOEXEC")

    def functions(self, path, code):
        begun = None
        for number, line in enumerate(code.splitlines(), 1):
            if line == "{":
                begun = number
            elif line.startswith("}") and begun:
                if number - begun + 1 > MAX_FUNCTION:
                    self.say(path, begun, f"a function of {number - begun + 1} lines: more than one job (limit {MAX_FUNCTION})")
                begun = None

    def docstrings(self, path, text):
        """A prototype needs a comment above it in the same paragraph; a group may share one, and the words of a
        section line ("/* ---- steps: all return 0 or -errno") hold up to the next section."""
        documented = in_comment = in_body = section = False
        pending = ""
        for number, line in enumerate(text.splitlines(), 1):
            if in_comment:
                in_comment = "*/" not in line
                continue
            if in_body:
                in_body = not line.startswith("}")
                continue
            if not line.strip():
                documented, pending = section, ""
            elif line.startswith("/*"):
                if line.startswith("/* ----"):
                    section = ":" in line
                documented, in_comment = True, "*/" not in line
            elif line.startswith("#") or line.startswith("LXM_AUTO"):
                pending = ""
            elif re.match(r"(static inline|struct \w+ \{|enum \w* ?\{|union \w+ \{|typedef)", line):
                pending, in_body = "", not re.search(r"[;}]\s*(/\*.*)?$", line)
            elif line[0].isalpha() or pending:
                pending += line
                if ";" in line:
                    name = re.search(r"(\w+)\(", pending)
                    if name and not documented and "/*" not in pending and not OBVIOUS.search(name.group(1)):
                        self.say(path, number, f"'{name.group(1)}' has no docstring")
                    pending = ""


def main():
    check = Check()
    paths = sources()
    for path in paths:
        check.file(path)
    effects.check(TOP, check.say)
    for line in check.found:
        print(line)
    print(f"lint: {len(paths)} files, {len(check.found)} findings")
    return 1 if check.found else 0


if __name__ == "__main__":
    sys.exit(main())
