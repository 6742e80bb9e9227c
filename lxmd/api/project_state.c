/*
 * /1.0/projects/NAME/state: what a project uses, as the sums of what its instances are given. Worker threads. Limits
 * are -1 (none) until projects have limits.
 */
#include <string.h>

#include "db/network.h"
#include "db/project.h"
#include "lib/conf/checks.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/instance.h"

struct job {
	const char *name;
	struct db_networks networks;
};

static int load_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_project_exists(tx, j->name, e);

	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "Project \"%s\" not found", j->name);
	return r < 0 ? r : db_network_list(tx, j->name, &j->networks, e);
}

static void count_cpu(unsigned int cpu, void *arg)
{
	++*(int64_t *)arg;
}

/* A count, or the size of a set. */
static int64_t cpus_of(const char *value)
{
	int64_t n = 0;

	if (!value)
		return 0;
	if (lxm_parse_i64(value, &n) == 0)
		return n;
	n = 0;
	return conf_parse_cpuset(value, count_cpu, &n) == 0 ? n : 0;
}

static int64_t bytes_of(const char *value)
{
	uint64_t n;

	return value && lxm_parse_bytes(value, &n) == 0 ? (int64_t)n : 0;
}

struct sums {
	int64_t instances, cpu, memory, processes, disk;
};

static void add(struct sums *s, const struct instance *i)
{
	int64_t n = 0;

	s->instances++;
	s->cpu += cpus_of(lxm_kv_get(&i->config, "limits.cpu"));
	s->memory += bytes_of(lxm_kv_get(&i->config, "limits.memory"));
	if (lxm_parse_i64(lxm_kv_or(&i->config, "limits.processes", "0"), &n) == 0)
		s->processes += n;
	lxm_devs_each(d, &i->devices)
		if (lxm_streq(lxm_kv_get(&d->kv, "type"), "disk"))
			s->disk += bytes_of(lxm_kv_get(&d->kv, "size"));
}

static void put(json_t *o, const char *key, int64_t usage)
{
	json_object_set_new(o, key, json_pack("{s:i, s:I}", "Limit", -1, "Usage", (json_int_t)usage));
}

int api_project_state_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	struct job j = { .name = rq_arg(rq, 0) };
	struct sums s = { 0 };
	json_t *o;
	size_t i;
	int r = db_read(rq->d->db, load_tx, &j, e);

	if (r == 0)
		r = instance_load_all(rq->d, j.name, &l, e);
	if (r < 0) {
		db_networks_deinit(&j.networks);
		return r;
	}
	for (i = 0; i < l.n; i++)
		add(&s, &l.v[i]);
	o = json_object();
	put(o, "containers", s.instances);
	put(o, "cpu", s.cpu);
	put(o, "disk", s.disk);
	put(o, "instances", s.instances);
	put(o, "memory", s.memory);
	put(o, "networks", (int64_t)j.networks.n);
	put(o, "processes", s.processes);
	put(o, "virtual-machines", 0);
	db_networks_deinit(&j.networks);
	return reply_sync(rq, json_pack("{s:o}", "resources", o));
}
