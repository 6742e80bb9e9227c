-- cluster.db, version 2: backups of instances. The file lies in the backups directory under a name that nothing else decides.

CREATE TABLE backups (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	owner INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	file TEXT NOT NULL UNIQUE,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL DEFAULT 0,
	instance_only INTEGER NOT NULL DEFAULT 0,
	UNIQUE (owner, name)
);
CREATE INDEX backups_expiry ON backups (expires_at) WHERE expires_at > 0;
