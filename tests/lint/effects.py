"""tests/effects.txt against doc/config-keys.md and the tests: each key that works has a test that reads its effect, in each phase that it has, and each
of those tests is there."""
import os
import re
from fnmatch import fnmatchcase

LIST, PAGE = "tests/effects.txt", "doc/config-keys.md"
PHASES = ("start", "live", "unset")


def keys(top):
    """(table, key): the phases it must be tested in, of all that works and is for people."""
    found, table = {}, None
    with open(os.path.join(top, PAGE), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.split("|")]
            if line.startswith("## "):
                table = line[3:].strip()
            elif line.startswith("Refused: "):
                table = None
            elif table and line.startswith("| `") and not cells[4].startswith(("refused", "kept by")):
                live = cells[4] == "live" or table.startswith("device-")
                found[table, cells[1].strip("`")] = {"start", "unset"} | ({"live"} if live else set())
    return found


def rows(top):
    """(line, patterns of tables, patterns of keys, phases, why others are not there, tests)"""
    with open(os.path.join(top, LIST), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.strip() and not line.startswith("#"):
                tables, names, phases, tests = line.split("|", 3)
                phases, _, why = phases.partition(":")
                yield number, tables.split(), names.split(), phases.split(), why.strip(), tests.split()


def there(top, test):
    path, _, function = test.partition("::")
    path = os.path.join(top, "tests", path)
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as f:
        return not function or re.search(rf"^def {re.escape(function)}\(", f.read(), re.M)


def check(top, say):
    have, used = keys(top), set()
    for number, tables, names, phases, why, tests in rows(top):
        for name in names:
            fits = {(t, k) for t, k in have if any(fnmatchcase(t, x) for x in tables) and fnmatchcase(k, name)}
            if not fits:
                say(LIST, number, f"no key that works is called '{name}'")
            used |= fits
            missing = {phase for fit in fits for phase in have[fit]} - set(phases)
            if missing and not why and tests[0] != "-":
                say(LIST, number, f"'{name}' is not tested {' and '.join(p for p in PHASES if p in missing)}, and no reason is given")
        if set(phases) - set(PHASES):
            say(LIST, number, f"phases are {', '.join(PHASES)}")
        if tests[0] == "-":
            continue
        for test in tests:
            if not there(top, test):
                say(LIST, number, f"there is no test {test}")
    for table, key in have:
        if (table, key) not in used:
            say(LIST, 1, f"{table}: no test reads the effect of '{key}'")
