"""What a daemon keeps for itself: rows of its databases and files of its directory."""
import os
import sqlite3

# what may grow or change without anything having leaked
PASSING = ("logs", "log", "reports", "home", "lxmd.log")


def rows(daemon):
    """(database, table) -> number of rows."""
    found = {}
    for path in sorted((daemon.dir / "database").glob("*.db")):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
            for name in names:
                found[(path.name, name)] = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        finally:
            db.close()
    return found


def files(daemon):
    """Paths below the daemon's directory, relative; roots of images and instances count as one each."""
    found = set()
    for path, dirs, names in os.walk(daemon.dir):
        where = os.path.relpath(path, daemon.dir)
        if where.split("/")[0] in PASSING:
            dirs[:] = []
            continue
        dirs[:] = [d for d in dirs if d not in ("rootfs", "upper", "work") and (where, d) != ("run", "lxcfs")]
        for name in names + dirs:
            rel = os.path.normpath(os.path.join(where, name))
            if rel == "run/lxcfs.pid":
                continue  # comes a moment after the daemon
            if rel.split("/")[0] not in PASSING and not rel.startswith("database/"):
                found.add(rel)
    return found


class Footprint:
    def __init__(self, daemon):
        self.rows = rows(daemon)
        self.files = files(daemon)

    def grown_since(self, before):
        """Lines that name what is more than before."""
        more = [f"rows of {db} {table}: {n - before.rows.get((db, table), 0)} more"
                for (db, table), n in sorted(self.rows.items()) if n > before.rows.get((db, table), 0)]
        return more + [f"file: {name}" for name in sorted(self.files - before.files)]
