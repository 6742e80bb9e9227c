/* CPU, memory, load and the machine itself, from /proc and /sys. Any thread. */
#include <string.h>
#include <sys/utsname.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/conf/checks.h"
#include "lxmd/api/resources.h"

#define CPU "sys/devices/system/cpu"

/* "32K", "8M" */
static int64_t cache_bytes(const char *s)
{
	char *end;
	int64_t n = strtoll(s, &end, 10);

	return *end == 'M' ? n << 20 : *end == 'K' ? n << 10 : n;
}

static json_t *caches_of(int root, int64_t cpu)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	size_t i;

	sys_list(root, &names, CPU "/cpu%lld/cache", (long long)cpu);
	for (i = 0; i < names.n; i++) {
		char type[32], size[32];

		if (!lxm_starts(names.v[i], "index"))
			continue;
		sys_str(root, type, sizeof(type), CPU "/cpu%lld/cache/%s/type", (long long)cpu, names.v[i]);
		sys_str(root, size, sizeof(size), CPU "/cpu%lld/cache/%s/size", (long long)cpu, names.v[i]);
		json_array_append_new(out, json_pack("{s:I, s:s, s:I}", "level",
						     (json_int_t)sys_int(root, 0, CPU "/cpu%lld/cache/%s/level",
									 (long long)cpu, names.v[i]),
						     "type", type, "size", (json_int_t)cache_bytes(size)));
	}
	return out;
}

static int64_t numa_of(int root, int64_t cpu)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	sys_list(root, &names, CPU "/cpu%lld", (long long)cpu);
	for (i = 0; i < names.n; i++)
		if (lxm_starts(names.v[i], "node") && strspn(names.v[i] + 4, "0123456789"))
			return atoll(names.v[i] + 4);
	return 0;
}

/* The element of an array whose key has that number, appended from `fresh` (stolen) if it is missing. */
static json_t *at(json_t *array, const char *key, int64_t n, json_t *fresh)
{
	json_t *o;
	size_t i;

	json_array_foreach(array, i, o) {
		if (js_int(o, key, -1) == n) {
			json_decref(fresh);
			return o;
		}
	}
	json_array_append_new(array, fresh);
	return fresh;
}

struct cpus {
	bool in[4096];
};

static void mark(unsigned int cpu, void *arg)
{
	((struct cpus *)arg)->in[cpu] = true;
}

static json_t *new_socket(int root, int64_t cpu, int64_t package, const char *cpuinfo)
{
	lxm_auto(free) char *name = sys_field(cpuinfo, "model name");
	lxm_auto(free) char *vendor = sys_field(cpuinfo, "vendor_id");
	json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o}", "socket", (json_int_t)package, "name", js_string(name),
			      "vendor", js_string(vendor), "cache", caches_of(root, cpu), "cores", json_array());
	int64_t min = sys_int(root, 0, CPU "/cpu%lld/cpufreq/cpuinfo_min_freq", (long long)cpu);
	int64_t max = sys_int(root, 0, CPU "/cpu%lld/cpufreq/cpuinfo_max_freq", (long long)cpu);

	if (min)
		json_object_set_new(o, "frequency_minimum", json_integer(min / 1000));
	if (max)
		json_object_set_new(o, "frequency_turbo", json_integer(max / 1000));
	return o;
}

/* MHz as the kernel last saw it. */
static int64_t frequency(int root, int64_t cpu, const char *cpuinfo)
{
	int64_t khz = sys_int(root, 0, CPU "/cpu%lld/cpufreq/scaling_cur_freq", (long long)cpu);
	lxm_auto(free) char *mhz = khz ? NULL : sys_field(cpuinfo, "cpu MHz");

	return khz ? khz / 1000 : mhz ? atoll(mhz) : 0;
}

static void add_cpu(int root, json_t *sockets, int64_t cpu, const struct cpus *isolated, const char *cpuinfo)
{
	int64_t package = sys_int(root, 0, CPU "/cpu%lld/topology/physical_package_id", (long long)cpu);
	int64_t core = sys_int(root, cpu, CPU "/cpu%lld/topology/core_id", (long long)cpu);
	int64_t die = sys_int(root, 0, CPU "/cpu%lld/topology/die_id", (long long)cpu);
	json_t *socket = at(sockets, "socket", package, new_socket(root, cpu, package, cpuinfo)), *o, *threads;

	o = at(json_object_get(socket, "cores"), "core", core,
	       json_pack("{s:I, s:I, s:I, s:o}", "core", (json_int_t)core, "die", (json_int_t)(die < 0 ? 0 : die),
			 "frequency", (json_int_t)frequency(root, cpu, cpuinfo), "threads", json_array()));
	if (!json_object_get(socket, "frequency"))
		json_object_set(socket, "frequency", json_object_get(o, "frequency"));
	threads = json_object_get(o, "threads");
	json_array_append_new(threads,
			      json_pack("{s:I, s:I, s:I, s:b, s:b}", "id", (json_int_t)cpu, "thread",
					(json_int_t)json_array_size(threads), "numa_node",
					(json_int_t)numa_of(root, cpu), "online",
					sys_int(root, 1, CPU "/cpu%lld/online", (long long)cpu) == 1, "isolated",
					cpu < 4096 && isolated->in[cpu]));
}

json_t *resources_cpu(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(buf) struct lxm_buf cpuinfo = { 0 };
	struct cpus isolated = { 0 };
	json_t *sockets = json_array();
	struct utsname u;
	char list[4096];
	int64_t cpu, total = 0;

	(void)sys_text(root, &cpuinfo, "proc/cpuinfo");
	if (sys_str(root, list, sizeof(list), CPU "/isolated") && *list)
		(void)conf_parse_cpuset(list, mark, &isolated);
	sys_list(root, &names, CPU);
	/* by number, not as the names sort */
	for (cpu = 0; cpu < 4096 && total < (int64_t)names.n; cpu++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "cpu%lld", (long long)cpu);
		if (!lxm_strv_has(&names, name))
			continue;
		add_cpu(root, sockets, cpu, &isolated, cpuinfo.data ? cpuinfo.data : "");
		total++;
	}
	uname(&u);
	return json_pack("{s:s, s:o, s:I}", "architecture", u.machine, "sockets", sockets, "total", (json_int_t)total);
}

static int64_t kib(const char *text, const char *key)
{
	lxm_auto(free) char *v = text ? sys_field(text, key) : NULL;

	return v ? atoll(v) * 1024 : 0;
}

static json_t *memory_nodes(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	size_t i;

	sys_list(root, &names, "sys/devices/system/node");
	for (i = 0; i < names.n; i++) {
		lxm_auto(buf) struct lxm_buf text = { 0 };
		char path[64], key[64];
		int64_t n, total, pages, free_pages, size;

		if (!lxm_starts(names.v[i], "node") || !strspn(names.v[i] + 4, "0123456789"))
			continue;
		n = atoll(names.v[i] + 4);
		(void)snprintf(path, sizeof(path), "sys/devices/system/node/node%lld/meminfo", (long long)n);
		if (!sys_text(root, &text, path))
			continue;
#define NODE(field) ((void)snprintf(key, sizeof(key), "Node %lld " field, (long long)n), kib(text.data, key))
		total = NODE("MemTotal");
		size = sys_int(root, 0, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") ? 2048 * 1024 : 0;
		pages = NODE("HugePages_Total") / 1024;
		free_pages = NODE("HugePages_Free") / 1024;
		json_array_append_new(out, json_pack("{s:I, s:I, s:I, s:I, s:I}", "numa_node", (json_int_t)n, "total",
						     (json_int_t)total, "used", (json_int_t)(total - NODE("MemFree")),
						     "hugepages_total", (json_int_t)(pages * size), "hugepages_used",
						     (json_int_t)((pages - free_pages) * size)));
#undef NODE
	}
	return out;
}

json_t *resources_memory(int root)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int64_t total, size, pages, unused;

	(void)sys_text(root, &text, "proc/meminfo");
	total = kib(text.data, "MemTotal");
	size = kib(text.data, "Hugepagesize");
	/* these two are counts, which kib() took for kilobytes */
	pages = kib(text.data, "HugePages_Total") / 1024;
	unused = kib(text.data, "HugePages_Free") / 1024;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "total", (json_int_t)total, "used",
			 (json_int_t)(total - kib(text.data, "MemAvailable")), "hugepages_size", (json_int_t)size,
			 "hugepages_total", (json_int_t)(pages * size), "hugepages_used",
			 (json_int_t)((pages - unused) * size), "nodes", memory_nodes(root));
}

json_t *resources_load(int root)
{
	double one = 0, five = 0, ten = 0;
	long long running = 0, all = 0;
	char line[128];

	if (sys_str(root, line, sizeof(line), "proc/loadavg"))
		(void)sscanf(line, "%lf %lf %lf %lld/%lld", &one, &five, &ten, &running, &all);
	return json_pack("{s:f, s:f, s:f, s:I}", "Average1Min", one, "Average5Min", five, "Average10Min", ten,
			 "Processes", (json_int_t)all);
}

static json_t *dmi(int root, const char *file)
{
	char text[256];

	sys_str(root, text, sizeof(text), "sys/class/dmi/id/%s", file);
	return js_string(text);
}

json_t *resources_system(int root)
{
	lxm_auto(buf) struct lxm_buf cpuinfo = { 0 };
	lxm_auto(free) char *flags = NULL;
	const char *type = "physical";
	char chassis[16], inside[64];

	(void)sys_text(root, &cpuinfo, "proc/cpuinfo");
	flags = cpuinfo.data ? sys_field(cpuinfo.data, "flags") : NULL;
	if (flags && strstr(flags, " hypervisor"))
		type = "virtual-machine";
	if (sys_str(root, inside, sizeof(inside), "run/systemd/container"))
		type = "container";
	sys_str(root, chassis, sizeof(chassis), "sys/class/dmi/id/chassis_type");
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:{s:o, s:o, s:o}, s:{s:o, s:o, s:o, s:o},"
			 " s:{s:o, s:o, s:s, s:o}}",
			 "uuid", dmi(root, "product_uuid"), "vendor", dmi(root, "sys_vendor"), "product",
			 dmi(root, "product_name"), "family", dmi(root, "product_family"), "version",
			 dmi(root, "product_version"), "sku", dmi(root, "product_sku"), "serial",
			 dmi(root, "product_serial"), "type", type, "firmware", "vendor", dmi(root, "bios_vendor"), "date",
			 dmi(root, "bios_date"), "version", dmi(root, "bios_version"), "motherboard", "vendor",
			 dmi(root, "board_vendor"), "product", dmi(root, "board_name"), "serial", dmi(root, "board_serial"),
			 "version", dmi(root, "board_version"), "chassis", "vendor", dmi(root, "chassis_vendor"), "serial",
			 dmi(root, "chassis_serial"), "type", chassis, "version", dmi(root, "chassis_version"));
}
