/* instance/backup_index: what LXD writes is read, what is hostile is refused with a reason. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/image/yaml.h"
#include "lxmd/instance/backup_index.h"

static struct lxm_err err;

static int parse(const char *text, struct backup_index *x)
{
	memset(&err, 0, sizeof(err));
	memset(x, 0, sizeof(*x));
	return backup_index_parse(text, strlen(text), x, &err);
}

#define REFUSED(text, code, why)                                 \
	do {                                                     \
		struct backup_index x_;                          \
		CU_ASSERT_EQUAL(parse(text, &x_), -(code));      \
		if (!strstr(err.msg, why))                       \
			printf("\n    said: %s\n", err.msg);     \
		CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, why));    \
		backup_index_deinit(&x_);                        \
	} while (0)

static const char lxds[] = "name: c1\nbackend: zfs\npool: tank\nsnapshots:\n- s1\noptimized: false\noptimized_header: false\ntype: container\n"
			   "config:\n  container:\n    architecture: x86_64\n    config:\n      limits.cpu: \"2\"\n"
			   "      volatile.eth0.hwaddr: 00:16:3e:01:02:03\n      volatile.uuid: a-b\n      volatile.idmap.base: \"0\"\n"
			   "      volatile.last_state.idmap: '[{\"Isuid\":true,\"Isgid\":false,\"Hostid\":100000,\"Nsid\":0,\"Maprange\":65536}]'\n"
			   "      of.the.future: \"1\"\n    devices:\n      root:\n        path: /\n        pool: tank\n        type: disk\n"
			   "    ephemeral: true\n    profiles:\n    - default\n    stateful: false\n    description: a box\n"
			   "    created_at: 2024-02-03T04:05:06.123456789Z\n    name: c1\n    status_code: 102\n    type: container\n"
			   "  snapshots:\n  - name: c1/s1\n    created_at: 2024-01-01T00:00:00Z\n    expires_at: 0001-01-01T00:00:00Z\n"
			   "    architecture: x86_64\n    config: {}\n    devices: {}\n    profiles: []\n"
			   "  pool:\n    name: tank\n  volume:\n    name: c1\n";

static void an_index_of_lxd_is_read(void)
{
	struct backup_index x;

	CU_ASSERT_EQUAL_FATAL(parse(lxds, &x), 0);
	CU_ASSERT_STRING_EQUAL(x.pool, "tank");
	CU_ASSERT_STRING_EQUAL(x.row.name, "c1");
	CU_ASSERT(x.row.ephemeral);
	CU_ASSERT_EQUAL(x.row.created_at, 1706933106123);
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&x.row.config, "limits.cpu", ""), "2");
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&x.row.config, "volatile.eth0.hwaddr", ""), "00:16:3e:01:02:03");
	CU_ASSERT_EQUAL(x.row.config.n, 2);
	CU_ASSERT_EQUAL(x.row.devices.n, 1);
	CU_ASSERT_EQUAL_FATAL(x.snapshots.n, 1);
	CU_ASSERT_STRING_EQUAL(x.snapshots.v[0].name, "s1");
	CU_ASSERT_EQUAL(x.snapshots.v[0].expires_at, 0);
	CU_ASSERT_EQUAL(x.ids[0].n, 0);
	CU_ASSERT_EQUAL_FATAL(x.ids[1].n, 1);
	CU_ASSERT(x.ids[1].v[0].uids && !x.ids[1].v[0].gids && x.ids[1].v[0].host == 100000 && x.ids[1].v[0].n == 65536);
	backup_index_deinit(&x);
}

#define CONTAINER(name, more) "config: {container: {architecture: x86_64, name: " name more "}}"

static void what_cannot_be_is_refused(void)
{
	REFUSED("", EINVAL, "empty");
	REFUSED("[]", EINVAL, "no map");
	REFUSED("name: c1", EINVAL, "config.container");
	REFUSED(CONTAINER("../c1", ""), EINVAL, "name");
	REFUSED("type: custom", EOPNOTSUPP, "custom");
	REFUSED("optimized: true\n" CONTAINER("c1", ""), EOPNOTSUPP, "optimized");
	REFUSED("config: {container: {architecture: aarch64, name: c1}}", EINVAL, "architecture");
	REFUSED("config: {container: {architecture: x86_64, name: c1}, snapshots: [{name: ..}]}", EINVAL, "snapshot");
	REFUSED("config: {container: {architecture: x86_64, name: c1}, snapshots: [{name: s}, {name: s}]}", EINVAL, "twice");
	REFUSED("config: {container: {architecture: x86_64, name: c1}, snapshots: [x]}", EINVAL, "name");
	REFUSED("config: {container: &a {name: c1}, x: *a}", EINVAL, "anchors");
	REFUSED(CONTAINER("c1", ", config: {volatile.last_state.idmap: '[{\"Isuid\":true}]'}"), EINVAL, "idmap");
	REFUSED(CONTAINER("c1", ", config: {volatile.last_state.idmap: '[1]'}"), EINVAL, "idmap");
}

static void yaml_that_is_written_reads_back(void)
{
	static const char text[] = "{\"a\": \"x: 'y' \\\"z\\\"\\n\", \"list\": [\"1\", {\"k\": \"v\", \"l\": [\"m\"]}], \"empty\": {}, \"none\": [], \"nil\": null}";
	json_t *tree = json_loads(text, 0, NULL), *back = NULL;
	lxm_auto(buf) struct lxm_buf out = { 0 };

	yaml_emit(&out, tree);
	CU_ASSERT_EQUAL_FATAL(yaml_parse(out.data, out.len, &back, &err), 0);
	json_object_set_new(tree, "nil", json_null());
	CU_ASSERT(json_equal(tree, back));
	json_decref(tree);
	json_decref(back);
}

UNIT_MAIN("instance/backup_index", { "an index of LXD is read", an_index_of_lxd_is_read },
	  { "what cannot be is refused", what_cannot_be_is_refused }, { "yaml that is written reads back", yaml_that_is_written_reads_back })
