-- cluster.db, version 1. Files here are only appended; a released one never changes.
-- Times are milliseconds since the epoch, 0 is "never". Every child table calls its parent `owner`.

CREATE TABLE projects (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	description TEXT NOT NULL DEFAULT ''
);
CREATE TABLE projects_config (
	owner INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;

INSERT INTO projects (id, name, description) VALUES (1, 'default', 'Default project');
INSERT INTO projects_config VALUES
	(1, 'features.images', 'true'),
	(1, 'features.networks', 'true'),
	(1, 'features.networks.zones', 'true'),
	(1, 'features.profiles', 'true'),
	(1, 'features.storage.buckets', 'true'),
	(1, 'features.storage.volumes', 'true');

-- Where a project's objects of each kind live: in itself if the feature is on, else in `default`.
CREATE VIEW project_homes AS
WITH on_features AS (
	SELECT owner, key FROM projects_config
	WHERE key LIKE 'features.%' AND lower(value) IN ('true', '1', 'yes', 'on')
)
SELECT p.id AS project, p.name AS name,
	CASE WHEN EXISTS (SELECT 1 FROM on_features WHERE owner = p.id AND key = 'features.images')
		THEN p.id ELSE 1 END AS images,
	CASE WHEN EXISTS (SELECT 1 FROM on_features WHERE owner = p.id AND key = 'features.profiles')
		THEN p.id ELSE 1 END AS profiles,
	CASE WHEN EXISTS (SELECT 1 FROM on_features WHERE owner = p.id AND key = 'features.storage.volumes')
		THEN p.id ELSE 1 END AS volumes,
	CASE WHEN EXISTS (SELECT 1 FROM on_features WHERE owner = p.id AND key = 'features.networks')
		THEN p.id ELSE 1 END AS networks,
	CASE WHEN EXISTS (SELECT 1 FROM on_features WHERE owner = p.id AND key = 'features.networks.zones')
		THEN p.id ELSE 1 END AS zones
FROM projects p;

CREATE TABLE config (
	key TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE profiles (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	UNIQUE (project_id, name)
);
CREATE TABLE profiles_config (
	owner INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE profiles_devices (
	owner INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
	device TEXT NOT NULL,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, device, key)
) WITHOUT ROWID;
INSERT INTO profiles (id, project_id, name, description) VALUES (1, 1, 'default', 'Default profile');

CREATE TABLE pools (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	description TEXT NOT NULL DEFAULT '',
	driver TEXT NOT NULL,
	state INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE pools_config (
	owner INTEGER NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE volumes (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	pool_id INTEGER NOT NULL REFERENCES pools (id),
	project_id INTEGER NOT NULL REFERENCES projects (id),
	type INTEGER NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	content INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	UNIQUE (pool_id, project_id, type, name)
);
CREATE INDEX volumes_project ON volumes (project_id);
CREATE TABLE volumes_config (
	owner INTEGER NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE volsnaps (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	owner INTEGER NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL DEFAULT 0,
	UNIQUE (owner, name)
);
CREATE INDEX volsnaps_expiry ON volsnaps (expires_at) WHERE expires_at > 0;
CREATE TABLE volsnaps_config (
	owner INTEGER NOT NULL REFERENCES volsnaps (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;

-- AUTOINCREMENT matters here: cgroups, links and id ranges are named after the id, so none may come back.
CREATE TABLE instances (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	architecture TEXT NOT NULL,
	location TEXT NOT NULL DEFAULT 'none',
	pool_id INTEGER REFERENCES pools (id),
	type INTEGER NOT NULL DEFAULT 0,
	ephemeral INTEGER NOT NULL DEFAULT 0,
	stateful INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL DEFAULT 0,
	UNIQUE (project_id, name)
);
CREATE INDEX instances_pool ON instances (pool_id);
CREATE TABLE instances_config (
	owner INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE instances_devices (
	owner INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	device TEXT NOT NULL,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, device, key)
) WITHOUT ROWID;
CREATE TABLE instances_profiles (
	owner INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	profile_id INTEGER NOT NULL REFERENCES profiles (id),
	PRIMARY KEY (owner, position),
	UNIQUE (owner, profile_id)
) WITHOUT ROWID;
CREATE INDEX instances_profiles_profile ON instances_profiles (profile_id);

-- A snapshot keeps the names of its profiles: those may be gone when it is restored.
CREATE TABLE snapshots (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	owner INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	architecture TEXT NOT NULL,
	ephemeral INTEGER NOT NULL DEFAULT 0,
	stateful INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL DEFAULT 0,
	UNIQUE (owner, name)
);
CREATE INDEX snapshots_expiry ON snapshots (expires_at) WHERE expires_at > 0;
CREATE TABLE snapshots_config (
	owner INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE snapshots_devices (
	owner INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
	device TEXT NOT NULL,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, device, key)
) WITHOUT ROWID;
CREATE TABLE snapshots_profiles (
	owner INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (owner, position)
) WITHOUT ROWID;

CREATE TABLE images (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	fingerprint TEXT NOT NULL,
	filename TEXT NOT NULL DEFAULT '',
	architecture TEXT NOT NULL,
	type INTEGER NOT NULL DEFAULT 0,
	size INTEGER NOT NULL,
	public INTEGER NOT NULL DEFAULT 0,
	cached INTEGER NOT NULL DEFAULT 0,
	auto_update INTEGER NOT NULL DEFAULT 0,
	split INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL DEFAULT 0,
	expires_at INTEGER NOT NULL DEFAULT 0,
	uploaded_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL DEFAULT 0,
	source_server TEXT,
	source_protocol TEXT,
	source_alias TEXT,
	source_certificate TEXT,
	UNIQUE (project_id, fingerprint)
);
CREATE INDEX images_fingerprint ON images (fingerprint);
CREATE TABLE images_properties (
	owner INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE images_profiles (
	owner INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
	PRIMARY KEY (owner, position)
) WITHOUT ROWID;
CREATE INDEX images_profiles_profile ON images_profiles (profile_id);
CREATE TABLE aliases (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	UNIQUE (project_id, name)
);
CREATE INDEX aliases_image ON aliases (image_id);

CREATE TABLE networks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL,
	type TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	state INTEGER NOT NULL DEFAULT 0,
	UNIQUE (project_id, name)
);
CREATE TABLE networks_config (
	owner INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE forwards (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	owner INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
	listen_address TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	ports TEXT NOT NULL DEFAULT '[]',
	UNIQUE (owner, listen_address)
);
CREATE TABLE forwards_config (
	owner INTEGER NOT NULL REFERENCES forwards (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE acls (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	ingress TEXT NOT NULL DEFAULT '[]',
	egress TEXT NOT NULL DEFAULT '[]',
	UNIQUE (project_id, name)
);
CREATE TABLE acls_config (
	owner INTEGER NOT NULL REFERENCES acls (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE zones (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL REFERENCES projects (id),
	name TEXT NOT NULL UNIQUE,
	description TEXT NOT NULL DEFAULT ''
);
CREATE TABLE zones_config (
	owner INTEGER NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE records (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	owner INTEGER NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	entries TEXT NOT NULL DEFAULT '[]',
	UNIQUE (owner, name)
);
CREATE TABLE records_config (
	owner INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE certificates (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	fingerprint TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	pem TEXT NOT NULL,
	type INTEGER NOT NULL,
	restricted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE certificates_projects (
	owner INTEGER NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
	project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	PRIMARY KEY (owner, project_id)
) WITHOUT ROWID;

CREATE TABLE warnings (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	uuid TEXT NOT NULL UNIQUE,
	project TEXT NOT NULL DEFAULT '',
	location TEXT NOT NULL DEFAULT 'none',
	type TEXT NOT NULL,
	entity_url TEXT NOT NULL DEFAULT '',
	last_message TEXT NOT NULL DEFAULT '',
	status INTEGER NOT NULL,
	severity INTEGER NOT NULL,
	count INTEGER NOT NULL,
	first_seen_at INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL,
	UNIQUE (location, project, type, entity_url)
);

CREATE TABLE operations (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	uuid TEXT NOT NULL UNIQUE,
	project TEXT NOT NULL DEFAULT '',
	location TEXT NOT NULL DEFAULT 'none',
	description TEXT NOT NULL DEFAULT '',
	created_at INTEGER NOT NULL
);
