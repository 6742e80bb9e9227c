-- node.db, version 1. Files here are only appended; a released one never changes.

CREATE TABLE config (
	key TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- Ranges of host ids that instances own; they never overlap (db/node.c looks before it inserts).
CREATE TABLE idranges (
	instance_id INTEGER PRIMARY KEY,
	base INTEGER NOT NULL,
	size INTEGER NOT NULL CHECK (size > 0)
);
CREATE INDEX idranges_base ON idranges (base);

CREATE TABLE ports (
	protocol TEXT NOT NULL,
	port INTEGER NOT NULL,
	address TEXT NOT NULL,
	owner TEXT NOT NULL,
	PRIMARY KEY (protocol, port, address)
) WITHOUT ROWID;
CREATE INDEX ports_owner ON ports (owner);
