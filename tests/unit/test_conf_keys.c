/* lib/conf: every table is well formed, values are judged rightly, the documentation is fresh. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/fd.h"
#include "lib/conf/doc.h"
#include "lib/conf/tables.h"

static void tables_are_sorted_without_twins(void)
{
	const struct conf_named_table *t;
	size_t i;

	for (t = conf_all_tables(); t->table; t++)
		for (i = 0; i < t->table->n; i++) {
			const struct confkey *k = &t->table->keys[i];

			if (i && strcmp(t->table->keys[i - 1].name, k->name) >= 0) {
				fprintf(stderr, "\n    %s: '%s' is out of order\n", t->title, k->name);
				CU_FAIL("order");
			}
			CU_ASSERT(k->help && *k->help && k->help[strlen(k->help) - 1] != '.');
		}
}

static void defaults_pass_their_own_check(void)
{
	const struct conf_named_table *t;
	struct lxm_err e;
	size_t i;

	for (t = conf_all_tables(); t->table; t++)
		for (i = 0; i < t->table->n; i++) {
			/* the row alone, without the flags that refuse any value */
			struct confkey k = t->table->keys[i];
			struct conftable one = { t->table->what, &k, 1 };

			k.flags = 0;
			if (k.dflt && !strchr(k.name, '*') && conf_check_one(&one, k.name, k.dflt, &e) < 0) {
				fprintf(stderr, "\n    %s: %s\n", t->title, e.msg);
				CU_FAIL("default");
			}
		}
}

static void wildcards_take_the_most_exact_row(void)
{
	const struct confkey *k = conf_find(&conf_instance, "volatile.eth0.hwaddr");

	CU_ASSERT_STRING_EQUAL(k->name, "volatile.*.hwaddr");
	CU_ASSERT_STRING_EQUAL(conf_find(&conf_instance, "volatile.foo")->name, "volatile.*");
	CU_ASSERT_STRING_EQUAL(conf_find(&conf_instance, "user.x.y")->name, "user.*");
	CU_ASSERT_PTR_NULL(conf_find(&conf_instance, "user."));
	CU_ASSERT_PTR_NULL(conf_find(&conf_instance, "user.*"));
	CU_ASSERT_PTR_NULL(conf_find(&conf_instance, "limits"));
	CU_ASSERT_PTR_NULL(conf_find(&conf_profile, "volatile.eth0.hwaddr"));
}

struct sample {
	const char *key, *value, *says; /* says NULL: accepted, else a part of the error */
};

static void judge(const struct conftable *t, const struct sample *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct lxm_err e = { 0 };
		int r = conf_check_one(t, s[i].key, s[i].value, &e);
		bool ok = s[i].says ? r == -EINVAL && strstr(e.msg, s[i].says) && strstr(e.msg, s[i].key) : r == 0;

		if (!ok) {
			fprintf(stderr, "\n    %s=%s: %d %s\n", s[i].key, s[i].value, r, e.msg);
			CU_FAIL("sample");
		}
	}
}

static void instance_values_are_judged(void)
{
	static const struct sample s[] = {
		{ "limits.cpu", "2", NULL },
		{ "limits.cpu", "0-3,5", NULL },
		{ "limits.cpu", "0", "1 to 4096" },
		{ "limits.cpu", "3-1", "set of them" },
		{ "limits.cpu", "1,,2", "set of them" },
		{ "limits.cpu", "0-99999", "set of them" },
		{ "limits.cpu.allowance", "50%", NULL },
		{ "limits.cpu.allowance", "25ms/100ms", NULL },
		{ "limits.cpu.allowance", "0%", "neither" },
		{ "limits.cpu.allowance", "25ms/2000ms", "periods" },
		{ "limits.cpu.allowance", "ms/100ms", "neither" },
		{ "limits.memory", "512MiB", NULL },
		{ "limits.memory", "50%", NULL },
		{ "limits.memory", "101%", "neither" },
		{ "limits.memory", "0", "neither" },
		{ "limits.memory", "lots", "neither" },
		{ "limits.processes", "0", "whole number" },
		{ "limits.kernel.nofile", "1024:4096", NULL },
		{ "limits.kernel.nofile", "unlimited", NULL },
		{ "limits.kernel.nofile", "10:unlimited", NULL },
		{ "limits.kernel.nofile", "4096:1024", "soft limit" },
		{ "limits.kernel.nofile", "1:2:3", "SOFT:HARD" },
		{ "limits.kernel.bogus", "1", "none of" },
		{ "security.nesting", "yes", NULL },
		{ "security.nesting", "maybe", "true or false" },
		{ "security.idmap.size", "65536", NULL },
		{ "security.idmap.size", "1000", "65536 up" },
		{ "raw.idmap", "both 1000 1000\nuid 50-60 500-510", NULL },
		{ "raw.idmap", "both 1000-1001 1000", "spans" },
		{ "raw.idmap", "both 1000", "not 'uid" },
		{ "environment.PATH", "/bin:/usr/bin", NULL },
		{ "environment.A", "x\nlxc.hook.start=/bin/sh", "newline" },
		{ "environment.A-B", "1", "variable's name" },
		{ "environment.1A", "1", "variable's name" },
		{ "linux.sysctl.net.ipv4.ip_forward", "1", NULL },
		{ "linux.sysctl.kernel.core_pattern", "|/bin/sh", "own namespaces" },
		{ "linux.sysctl.net..ipv4", "1", "configuration key" },
		{ "user.note", "two\nlines", NULL },
		{ "user.a/b", "1", "configuration key" },
		{ "user.a b", "1", "configuration key" },
		{ "user.note", "bad \xff", "UTF-8" },
		{ "snapshots.schedule", "0 6 * * *", NULL },
		{ "snapshots.schedule", "*/15 0-6,12 1 jan mon", NULL },
		{ "snapshots.schedule", "@daily, @startup", NULL },
		{ "snapshots.schedule", "0 25 * * *", "cron" },
		{ "snapshots.schedule", "0 6 * *", "cron" },
		{ "snapshots.schedule", "@sometimes", "none of" },
		{ "snapshots.expiry", "2w 3H", NULL },
		{ "snapshots.expiry", "soon", "not a time" },
		{ "snapshots.pattern", "auto-%d", NULL },
		{ "snapshots.pattern", "{{ creation_date|date:'2006' }}", NULL },
		{ "snapshots.pattern", "{% include '/etc/shadow' %}", "cannot be a snapshot" },
		{ "snapshots.pattern", "{% ssi 'x' %}", "after a percent sign" },
		{ "snapshots.pattern", "{{ config }}", "creation_date" },
		{ "snapshots.pattern", "%s%n", "one %d" },
		{ "boot.host_shutdown_action", "explode", "none of: stop" },
		{ "volatile.eth0.hwaddr", "00:16:3e:00:00:01", NULL },
		{ "volatile.eth0.hwaddr", "01:16:3e:00:00:01", "multicast" },
		{ "volatile.eth0.host_name", "a/b", "network interface" },
		{ "nvidia.runtime", "true", "is refused, unset it: they are about a hook" },
		{ "raw.lxc", "lxc.cap.drop=\n# text\n\nlxc.environment = A=b=c\nlxc.prlimit.nofile=1:2", NULL },
		{ "raw.lxc", "lxc.cap.drop = net_raw x", "line 1, 'lxc.cap.drop': 'x'" },
		{ "raw.lxc", "\nlxc.mount.entry=a", "line 2, 'lxc.mount.entry': it has no translation: a device" },
		{ "raw.lxc", "lxc.sysctl.=1", "it has no translation" },
		{ "security.syscalls.intercept.mount.allowed", "ext4,xfs", NULL },
		{ "security.syscalls.intercept.mount.allowed", "ext4,nfs", "'nfs' is not a filesystem on a block device" },
		{ "security.syscalls.intercept.mount.fuse", "ext4=fuse2fs", NULL },
		{ "security.syscalls.intercept.mount.fuse", "ext4=../x", "FILESYSTEM=PROGRAM" },
		{ "raw.qemu", "-nographic", "virtual machines only" },
		{ "limits.cpus", "2", "did you mean 'limits.cpu'" },
		{ "whatever", "2", "start with 'user.'" },
		{ "limits.cpu", "", NULL },
		{ "raw.lxc", "", NULL },
	};

	judge(&conf_instance, s, LXM_ARRAY_LEN(s));
}

static void network_values_are_judged(void)
{
	static const struct sample s[] = {
		{ "ipv4.address", "10.0.3.1/24", NULL },
		{ "ipv4.address", "auto", NULL },
		{ "ipv4.address", "10.0.3.1", "ADDRESS/PREFIX" },
		{ "ipv4.address", "10.0.3.1/33", "ADDRESS/PREFIX" },
		{ "ipv6.address", "fd42::1/64", NULL },
		{ "ipv6.address", "10.0.3.1/24", "ADDRESS/PREFIX" },
		{ "ipv4.dhcp.ranges", "10.0.3.10-10.0.3.20, 10.0.3.40-10.0.3.50", NULL },
		{ "ipv4.dhcp.ranges", "10.0.3.20-10.0.3.10", "FIRST-LAST" },
		{ "ipv4.dhcp.expiry", "7d", NULL },
		{ "ipv4.dhcp.expiry", "7x", "not a time" },
		{ "bridge.mtu", "9000", NULL },
		{ "bridge.mtu", "60", "68 to 65535" },
		{ "bridge.hwaddr", "00:16:3e:00:00:zz", "not a MAC" },
		{ "dns.domain", "lxm.example.org", NULL },
		{ "dns.domain", "a domain", "not a DNS name" },
		{ "dns.mode", "managed", NULL },
		{ "raw.dnsmasq", "conf-file=/etc/shadow", "with rights of the host" },
	};

	judge(conf_network("bridge"), s, LXM_ARRAY_LEN(s));
	CU_ASSERT_PTR_NULL(conf_network("ovn"));
}

static void server_values_are_judged(void)
{
	/* the rows are refused as yet; their checks are tried on a copy without the flag */
	static const struct sample s[] = {
		{ "core.https_address", "10.0.0.1:8443", NULL },   { "core.https_address", "[::]:8443", NULL },
		{ "core.https_address", ":8443", NULL },	   { "core.https_address", "::1", NULL },
		{ "core.https_address", "[10.0.0.1]:1", "PORT" },  { "core.https_address", "[fd42::1", "PORT" },
		{ "core.https_address", "10.0.0.1:99999", "PORT" },
	};
	struct confkey k = *conf_find(&conf_server, "core.https_address");
	struct conftable one = { "server", &k, 1 };

	k.flags = 0;
	judge(&one, s, LXM_ARRAY_LEN(s));
}

/* "key=value key=value" */
static void dev_of(struct lxm_kv *kv, const char *text)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, text, ' ');
	for (i = 0; i < parts.n; i++) {
		char *eq = strchr(parts.v[i], '=');

		*eq = '\0';
		lxm_kv_set(kv, parts.v[i], eq + 1);
	}
}

static void devices_are_judged(void)
{
	static const struct {
		const char *dev, *says;
	} s[] = {
		{ "type=disk path=/ pool=default", NULL },
		{ "type=disk path=/ pool=default size=5GiB", NULL },
		{ "type=disk path=/", "needs the key 'pool'" },
		{ "type=disk path=/ pool=default source=/x", "no 'source'" },
		{ "type=disk path=/mnt", "needs the key 'source'" },
		{ "type=disk path=/mnt source=x", "absolute path" },
		{ "type=disk path=/mnt source=x pool=default", NULL },
		{ "type=disk path=mnt source=/x", "not an absolute path" },
		{ "type=disk path=/a/../b source=/x", "'..'" },
		{ "type=disk source=/x", "needs the key 'path'" },
		{ "type=disk path=/mnt source=/x raedonly=true", "did you mean 'readonly'" },
		{ "type=nic network=lxmbr0", NULL },
		{ "type=nic network=lxmbr0 name=eth0", NULL },
		{ "type=nic nictype=bridged parent=br0", NULL },
		{ "type=nic nictype=bridged parent=br0 network=x", "exclude" },
		{ "type=nic", "needs 'network'" },
		{ "type=nic nictype=bridged", "needs the key 'parent'" },
		{ "type=nic nictype=warp", "unknown nictype 'warp'; there are bridged, " },
		{ "type=nic nictype=sriov parent=eth0", "lxm takes no virtual functions from a card" },
		{ "type=nic network=lxmbr0 name=a/b", "network interface" },
		{ "type=none", NULL },
		{ "type=unix-char source=/dev/null", NULL },
		{ "type=unix-char", "needs 'source' or 'path'" },
		{ "type=unix-char path=/dev/null mode=9999", "octal" },
		{ "type=pci address=00:01.0", "virtual machines only" },
		{ "type=toaster", "unknown type 'toaster'; there are disk, gpu, none, " },
		{ "path=/", "no 'type'" },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(s); i++) {
		lxm_auto(kv) struct lxm_kv kv = { 0 };
		struct lxm_err e = { 0 };
		int r;

		dev_of(&kv, s[i].dev);
		r = conf_device_check("d0", &kv, &e);
		if (s[i].says ? r != -EINVAL || !strstr(e.msg, s[i].says) || !strstr(e.msg, "device 'd0'") : r != 0) {
			fprintf(stderr, "\n    %s: %d %s\n", s[i].dev, r, e.msg);
			CU_FAIL("device");
		}
	}
}

static void unchanged_values_pass_unseen(void)
{
	lxm_auto(kv) struct lxm_kv was = { 0 };
	lxm_auto(kv) struct lxm_kv now = { 0 };
	lxm_auto(strv) struct lxm_strv keys = { 0 };
	struct lxm_err e = { 0 };

	lxm_kv_set(&was, "old.key", "x");
	lxm_kv_set(&was, "limits.cpu", "2");
	lxm_kv_copy(&now, &was);
	CU_ASSERT_EQUAL(conf_check_change(&conf_instance, &was, &now, &e), 0);
	lxm_kv_set(&now, "old.key", "y");
	CU_ASSERT_EQUAL(conf_check_change(&conf_instance, &was, &now, &e), -EINVAL);
	lxm_kv_set(&now, "old.key", "");
	CU_ASSERT_EQUAL(conf_check_change(&conf_instance, &was, &now, &e), 0);
	lxm_kv_del(&now, "limits.cpu");
	lxm_kv_set(&now, "user.x", "1");
	conf_changed(&was, &now, &keys);
	CU_ASSERT(keys.n == 3 && lxm_streq(keys.v[0], "limits.cpu") && lxm_streq(keys.v[2], "user.x"));
	conf_drop_empty(&now);
	CU_ASSERT(now.n == 1);
}

static void fixed_keys_stay(void)
{
	lxm_auto(kv) struct lxm_kv was = { 0 };
	lxm_auto(kv) struct lxm_kv now = { 0 };
	struct lxm_err e = { 0 };

	lxm_kv_set(&was, "source", "/a");
	lxm_kv_set(&now, "source", "/b");
	CU_ASSERT_EQUAL(conf_check_change(conf_pool("dir"), &was, &now, &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "cannot change"));
}

static void values_in_force_fall_back_to_defaults(void)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	CU_ASSERT(conf_bool(&conf_instance, &kv, "security.idmap.isolated"));
	CU_ASSERT(conf_int(&conf_instance, &kv, "boot.host_shutdown_timeout") == 30);
	CU_ASSERT_PTR_NULL(conf_get(&conf_instance, &kv, "limits.cpu"));
	lxm_kv_set(&kv, "security.idmap.isolated", "no");
	CU_ASSERT_FALSE(conf_bool(&conf_instance, &kv, "security.idmap.isolated"));
}

/* Part of a page: what is printed lies between the two marks, or is the whole page without marks. */
struct page {
	const char *path, *begin, *end;
	void (*print)(struct lxm_buf *out);
};

static void expected(const struct page *p, const char *have, struct lxm_buf *want)
{
	const char *begin = p->begin ? strstr(have, p->begin) : NULL, *end = p->end ? strstr(have, p->end) : NULL;

	CU_ASSERT_FATAL(!p->begin || (begin && end && begin < end));
	if (p->begin)
		lxm_buf_add(want, have, (size_t)(begin - have) + strlen(p->begin));
	p->print(want);
	if (p->end)
		lxm_buf_str(want, end);
}

/* Run in the top of the tree; LXM_UPDATE_DOCS=1 writes the pages (that is `make docs`). */
static void documentation_is_fresh(void)
{
	static const struct page pages[] = {
		{ "doc/config-keys.md", NULL, NULL, conf_doc },
		{ "doc/compatibility.md", "<!-- refused keys: begin -->\n", "<!-- refused keys: end -->\n", conf_doc_refusals },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(pages); i++) {
		lxm_auto(buf) struct lxm_buf want = { 0 };
		lxm_auto(buf) struct lxm_buf have = { 0 };

		CU_ASSERT_EQUAL_FATAL(lxm_read_file(pages[i].path, 1 << 20, &have), 0);
		expected(&pages[i], have.data, &want);
		if (lxm_streq(have.data, want.data))
			continue;
		if (getenv("LXM_UPDATE_DOCS")) {
			CU_ASSERT_EQUAL(lxm_write_file_atomic(-100 /* AT_FDCWD */, pages[i].path, want.data, want.len, 0644), 0);
			continue;
		}
		fprintf(stderr, "\n    %s is stale: run make docs\n", pages[i].path);
		CU_FAIL("page");
	}
}

UNIT_MAIN("conf/keys", { "tables are sorted without twins", tables_are_sorted_without_twins },
	  { "defaults pass their own check", defaults_pass_their_own_check },
	  { "wildcards take the most exact row", wildcards_take_the_most_exact_row },
	  { "instance values are judged", instance_values_are_judged },
	  { "network values are judged", network_values_are_judged },
	  { "server values are judged", server_values_are_judged }, { "devices are judged", devices_are_judged },
	  { "unchanged values pass unseen", unchanged_values_pass_unseen }, { "fixed keys stay", fixed_keys_stay },
	  { "values in force fall back to defaults", values_in_force_fall_back_to_defaults },
	  { "documentation is fresh", documentation_is_fresh })
