/* The kinds of objects as data: where they live in the API, what a PUT takes, what `list` and `show` print. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"

#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define CELL(name, key)                                 \
	static char *cell_##name(const json_t *o)       \
	{                                               \
		return lxm_strdup(jtext(o, key));       \
	}

CELL(name, "name")
CELL(description, "description")
CELL(type, "type")
CELL(status, "status")
CELL(driver, "driver")

static char *cell_used_by(const json_t *o)
{
	return lxm_asprintf("%zu", json_array_size(json_object_get(o, "used_by")));
}

static char *upper(char *s)
{
	char *p;

	for (p = s; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p -= 32;
	return s;
}

static char *cell_state(const json_t *o)
{
	return upper(cell_status(o));
}

static char *cell_managed(const json_t *o)
{
	return lxm_strdup(jtrue(o, "managed") ? "YES" : "NO");
}

static char *cell_config(const json_t *o, const char *key)
{
	return lxm_strdup(jtext(json_object_get(o, "config"), key));
}

static char *cell_ipv4(const json_t *o)
{
	return cell_config(o, "ipv4.address");
}

static char *cell_ipv6(const json_t *o)
{
	return cell_config(o, "ipv6.address");
}

static char *feature(const json_t *o, const char *key)
{
	return lxm_strdup(lxm_parse_bool(jtext(json_object_get(o, "config"), key)) == 1 ? "YES" : "NO");
}

static char *cell_f_images(const json_t *o)
{
	return feature(o, "features.images");
}

static char *cell_f_profiles(const json_t *o)
{
	return feature(o, "features.profiles");
}

static char *cell_f_volumes(const json_t *o)
{
	return feature(o, "features.storage.volumes");
}

static char *cell_f_networks(const json_t *o)
{
	return feature(o, "features.networks");
}

/* Links that nothing can be attached to stay out of the way. */
static bool network_listed(const json_t *o)
{
	const char *type = jtext(o, "type");

	return strcmp(type, "loopback") != 0 && strcmp(type, "unknown") != 0;
}

static const struct column profile_columns[] = {
	{ "NAME", cell_name }, { "DESCRIPTION", cell_description }, { "USED BY", cell_used_by }, { NULL, NULL },
};

static const struct column network_columns[] = {
	{ "NAME", cell_name },	{ "TYPE", cell_type },		     { "MANAGED", cell_managed },
	{ "IPV4", cell_ipv4 },	{ "IPV6", cell_ipv6 },		     { "DESCRIPTION", cell_description },
	{ "USED BY", cell_used_by }, { "STATE", cell_state }, { NULL, NULL },
};

static const struct column storage_columns[] = {
	{ "NAME", cell_name },	     { "DRIVER", cell_driver }, { "DESCRIPTION", cell_description },
	{ "USED BY", cell_used_by }, { "STATE", cell_state },	{ NULL, NULL },
};

static const struct column project_columns[] = {
	{ "NAME", cell_name },
	{ "IMAGES", cell_f_images },
	{ "PROFILES", cell_f_profiles },
	{ "STORAGE VOLUMES", cell_f_volumes },
	{ "NETWORKS", cell_f_networks },
	{ "DESCRIPTION", cell_description },
	{ "USED BY", cell_used_by },
	{ NULL, NULL },
};

#define EDIT_HEAD(what)                                                                    \
	"### This is a YAML representation of the " what ".\n"                             \
	"### Any line starting with a '#' will be ignored; the name cannot be changed here.\n" \
	"###\n"

const struct entity entity_instance = {
	.noun = "instance", .list = "/1.0/instances", .one = "/1.0/instances/%s", .ids = 1,
	.part = "/1.0/instances/%s/snapshots/%s",
	.order = KEYS("architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description", "expires_at"),
	.writable = KEYS("architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description", "expires_at"),
	.comment = EDIT_HEAD("configuration"),
};

const struct entity entity_metadata = {
	.noun = "instance", .one = "/1.0/instances/%s/metadata", .ids = 1,
	.order = KEYS("architecture", "creation_date", "expiry_date", "properties", "templates"),
	.writable = KEYS("architecture", "creation_date", "expiry_date", "properties", "templates"),
	.comment = EDIT_HEAD("instance's image metadata"),
};

const struct entity entity_profile = {
	.noun = "profile", .list = "/1.0/profiles", .one = "/1.0/profiles/%s", .ids = 1,
	.order = KEYS("config", "description", "devices", "name", "used_by"),
	.writable = KEYS("config", "description", "devices"),
	.columns = profile_columns, .comment = EDIT_HEAD("profile"),
};

const struct entity entity_network = {
	.noun = "network", .list = "/1.0/networks", .one = "/1.0/networks/%s", .ids = 1,
	.order = KEYS("config", "description", "name", "type", "used_by", "managed", "status", "locations"),
	.writable = KEYS("config", "description"),
	.columns = network_columns, .comment = EDIT_HEAD("network"), .listed = network_listed,
};

const struct entity entity_storage = {
	.noun = "storage pool", .list = "/1.0/storage-pools", .one = "/1.0/storage-pools/%s", .ids = 1,
	.order = KEYS("config", "description", "name", "driver", "used_by", "status", "locations"),
	.writable = KEYS("config", "description"),
	.columns = storage_columns, .comment = EDIT_HEAD("storage pool"),
};

const struct entity entity_project = {
	.noun = "project", .list = "/1.0/projects", .one = "/1.0/projects/%s", .ids = 1,
	.order = KEYS("config", "description", "name", "used_by"),
	.writable = KEYS("config", "description"),
	.columns = project_columns, .comment = EDIT_HEAD("project"),
};

const struct entity entity_image = {
	.noun = "image", .list = "/1.0/images", .one = "/1.0/images/%s", .ids = 1,
	.order = KEYS("auto_update", "properties", "public", "expires_at", "profiles", "aliases", "cached",
		      "filename", "fingerprint", "size", "update_source", "architecture", "type", "created_at",
		      "last_used_at", "uploaded_at"),
	.writable = KEYS("auto_update", "properties", "public", "expires_at", "profiles"),
	.comment = EDIT_HEAD("image properties"),
};

const struct entity entity_alias = {
	.noun = "image alias", .list = "/1.0/images/aliases", .one = "/1.0/images/aliases/%s", .ids = 1,
	.order = KEYS("description", "name", "target", "type"),
	.writable = KEYS("description", "target"),
};

const struct entity entity_volume = {
	.noun = "storage volume", .list = "/1.0/storage-pools/%s/volumes",
	.one = "/1.0/storage-pools/%s/volumes/custom/%s", .ids = 2,
	.order = KEYS("config", "description", "name", "type", "used_by", "location", "content_type"),
	.writable = KEYS("config", "description"), .comment = EDIT_HEAD("storage volume"),
};

const struct entity entity_server = {
	.noun = "server", .list = "/1.0", .one = "/1.0", .ids = 0,
	.order = KEYS("config"), .writable = KEYS("config"), .comment = EDIT_HEAD("server's configuration"),
};

/* The same of a remote that is named. */
const struct entity entity_server_of = {
	.noun = "server", .list = "/1.0", .one = "/1.0", .ids = 1, .nameless = true,
	.order = KEYS("config"), .writable = KEYS("config"), .comment = EDIT_HEAD("server's configuration"),
};

const struct entity entity_warning = {
	.noun = "warning", .list = "/1.0/warnings", .one = "/1.0/warnings/%s", .ids = 1,
	.order = KEYS("uuid", "location", "project", "type", "severity", "status", "count", "first_seen_at",
		      "last_seen_at", "last_message", "entity_url"),
	.writable = KEYS("status"),
};

const struct entity entity_operation = {
	.noun = "operation", .list = "/1.0/operations", .one = "/1.0/operations/%s", .ids = 1,
	.order = KEYS("id", "class", "description", "created_at", "updated_at", "status", "status_code", "resources",
		      "metadata", "may_cancel", "err", "location"),
	.writable = KEYS("id"),
};

const struct entity entity_certificate = {
	.noun = "certificate", .list = "/1.0/certificates", .one = "/1.0/certificates/%s", .ids = 1,
	.order = KEYS("name", "type", "restricted", "projects", "certificate", "fingerprint"),
	.writable = KEYS("name", "type", "restricted", "projects", "certificate"),
	.comment = EDIT_HEAD("trusted client"),
};
