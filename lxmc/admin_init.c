/* `lxmc admin init`: questions, --auto, --preseed or --dump; all become a preseed that is applied. See verb.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/edit.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/preseed.h"
#include "lxmc/shipped.h"
#include "lxmc/verb.h"
#include "lxmc/yaml.h"

#define PRESEED_MAX ((size_t)4 << 20)

/* What is known before asking. */
struct setup {
	struct cli *cli;
	struct client *client;
	json_t *server, *pools, *networks; /* owned: pools and networks */
	json_t *preseed;		   /* being put together; owned */
	bool ask;
};

static void setup_deinit(struct setup *s)
{
	json_decref(s->pools);
	json_decref(s->networks);
	json_decref(s->preseed);
}
LXM_AUTO_STRUCT(setup, struct setup, setup_deinit)

/* One question; the default when nothing is asked or nothing is answered. free() it. -EIO at the end of input: NULL. */
static char *ask(const struct setup *s, const char *question, const char *dflt)
{
	char line[1024];

	if (!s->ask)
		return lxm_strdup(dflt);
	printf("%s [default=%s]: ", question, dflt);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return NULL;
	line[strcspn(line, "\r\n")] = 0;
	return lxm_strdup(*line ? line : dflt);
}

/* 1 yes, 0 no, -EINVAL at the end of input. */
static int ask_yes(const struct setup *s, const char *question, bool dflt, struct lxm_err *e)
{
	for (;;) {
		lxm_auto(free) char *q = lxm_asprintf("%s (yes/no)", question);
		lxm_auto(free) char *a = ask(s, q, dflt ? "yes" : "no");

		if (!a)
			return lxm_err_set(e, EINVAL, "the input ended before all was answered; nothing was changed");
		if (strcmp(a, "y") == 0 || lxm_parse_bool(a) == 1)
			return 1;
		if (strcmp(a, "n") == 0 || lxm_parse_bool(a) == 0)
			return 0;
		printf("Please answer yes or no.\n");
	}
}

static int no_answer(struct lxm_err *e)
{
	return lxm_err_set(e, EINVAL, "the input ended before all was answered; nothing was changed");
}

/* The best driver that the server has: overlay needs nothing of the file system, dir is the last resort. */
static const char *best_driver(const struct setup *s)
{
	static const char *const wish[] = { "overlay", "btrfs", "zfs", "dir" };
	json_t *env = json_object_get(s->server, "environment"), *d;
	size_t w, i;

	for (w = 0; w < LXM_ARRAY_LEN(wish); w++)
		json_array_foreach(json_object_get(env, "storage_supported_drivers"), i, d)
			if (strcmp(jtext(d, "Name"), wish[w]) == 0)
				return wish[w];
	return "dir";
}

static bool has_named(const json_t *list, const char *name)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (strcmp(jtext(o, "name"), name) == 0)
			return true;
	return false;
}

static json_t *list_at(struct setup *s, const char *key)
{
	json_t *list = json_object_get(s->preseed, key);

	if (!list) {
		list = json_array();
		json_object_set_new(s->preseed, key, list);
	}
	return list;
}

/* A pool, unless there is one; *name_out is the pool that the profile shall use. */
static int plan_pool(struct setup *s, char **name_out, struct lxm_err *e)
{
	const char *first = jtext(json_array_get(s->pools, 0), "name");
	lxm_auto(free) char *driver = NULL, *source = NULL;
	json_t *pool;
	int r;

	r = ask_yes(s, "Do you want to configure a new storage pool?", !*first, e);
	if (r < 0)
		return r;
	if (!r) {
		*name_out = *first ? lxm_strdup(has_named(s->pools, "default") ? "default" : first) : NULL;
		return 0;
	}
	*name_out = ask(s, "Name of the new storage pool", cli_opt(s->cli, "storage-pool", "default"));
	driver = *name_out ? ask(s, "Driver of the new storage pool", cli_opt(s->cli, "storage-backend", best_driver(s))) :
			     NULL;
	if (!driver)
		return no_answer(e);
	pool = json_pack("{s:s, s:s, s:{}}", "name", *name_out, "driver", driver, "config");
	if (cli_opt(s->cli, "storage-create-device", NULL))
		source = lxm_strdup(cli_opt(s->cli, "storage-create-device", ""));
	if (source)
		json_object_set_new(json_object_get(pool, "config"), "source", json_string(source));
	json_array_append_new(list_at(s, "storage_pools"), pool);
	return 0;
}

/* "lxmbr0", or the first free name of that kind. */
static char *free_bridge(const struct setup *s)
{
	int i;

	for (i = 0; i < 1000; i++) {
		lxm_auto(free) char *name = lxm_asprintf("lxmbr%d", i);

		if (!has_named(s->networks, name))
			return LXM_TAKE(name, NULL);
	}
	return lxm_strdup("lxmbr1000");
}

static const char *managed_network(const struct setup *s)
{
	json_t *o;
	size_t i;

	json_array_foreach(s->networks, i, o)
		if (jtrue(o, "managed"))
			return jtext(o, "name");
	return "";
}

static int plan_network(struct setup *s, char **name_out, struct lxm_err *e)
{
	const char *have = managed_network(s);
	lxm_auto(free) char *dflt = free_bridge(s), *v4 = NULL, *v6 = NULL;
	int r;

	r = ask_yes(s, "Would you like to create a new local network bridge?", !*have, e);
	if (r < 0)
		return r;
	if (!r) {
		*name_out = *have ? lxm_strdup(have) : NULL;
		return 0;
	}
	*name_out = ask(s, "What should the new bridge be called?", dflt);
	v4 = *name_out ? ask(s, "What IPv4 address should be used? (CIDR notation, auto or none)", "auto") : NULL;
	v6 = v4 ? ask(s, "What IPv6 address should be used? (CIDR notation, auto or none)", "auto") : NULL;
	if (!v6)
		return no_answer(e);
	json_array_append_new(list_at(s, "networks"),
			      json_pack("{s:s, s:s, s:{s:s, s:s}}", "name", *name_out, "type", "bridge", "config",
					"ipv4.address", v4, "ipv6.address", v6));
	return 0;
}

static int plan_listen(struct setup *s, struct lxm_err *e)
{
	const char *address = cli_opt(s->cli, "network-address", NULL), *port = cli_opt(s->cli, "network-port", "8443");
	lxm_auto(free) char *a = NULL, *p = NULL, *both = NULL;
	int r;

	r = address ? 1 : s->ask ? ask_yes(s, "Would you like the server to be available over the network?", false, e) : 0;
	if (r <= 0)
		return r;
	a = address ? lxm_strdup(address) : ask(s, "Address to bind to (not including port)", "all");
	p = a ? (address ? lxm_strdup(port) : ask(s, "Port to bind to", "8443")) : NULL;
	if (!p)
		return no_answer(e);
	if (strcmp(a, "all") == 0)
		*a = 0;
	both = strchr(a, ':') ? lxm_asprintf("[%s]:%s", a, p) : lxm_asprintf("%s:%s", a, p);
	json_object_set_new(s->preseed, "config", json_pack("{s:s}", "core.https_address", both));
	return 0;
}

/* The default profile gets a root disk and a NIC, where it has none yet. */
static int plan_profile(struct setup *s, const char *pool, const char *network, struct lxm_err *e)
{
	lxm_auto(json) json_t *profile = NULL, *devices = json_object();
	int r = client_get(s->client, client_url(s->client, "/1.0/profiles/default"), &profile, e);

	if (r < 0)
		return r;
	if (pool && !json_object_get(json_object_get(profile, "devices"), "root"))
		json_object_set_new(devices, "root",
				    json_pack("{s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", pool));
	if (network && !json_object_get(json_object_get(profile, "devices"), "eth0"))
		json_object_set_new(devices, "eth0",
				    json_pack("{s:s, s:s, s:s}", "type", "nic", "name", "eth0", "network", network));
	if (json_object_size(devices))
		json_array_append_new(list_at(s, "profiles"),
				      json_pack("{s:s, s:O}", "name", "default", "devices", devices));
	return 0;
}

/* Those of the profiles that come with lxm that the user wants as well. */
static int plan_shipped(struct setup *s, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv all = { 0 }, wanted = { 0 };
	lxm_auto(free) char *names = NULL, *question = NULL, *answer = NULL;
	size_t i;

	shipped_list(&all);
	if (!s->ask || !all.n)
		return 0;
	names = lxm_strv_join(&all, ", ");
	question = lxm_asprintf("Further profiles to create (comma-separated, of: %s)", names);
	answer = ask(s, question, "none");
	if (!answer)
		return no_answer(e);
	if (strcmp(answer, "none") != 0)
		lxm_strv_split(&wanted, answer, ',');
	for (i = 0; i < wanted.n; i++) {
		json_t *profile = NULL;
		int r = shipped_read(wanted.v[i] + strspn(wanted.v[i], " "), &profile, e);

		if (r < 0)
			return r;
		json_array_append_new(list_at(s, "profiles"), profile);
	}
	return 0;
}

static int plan(struct setup *s, struct lxm_err *e)
{
	lxm_auto(free) char *pool = NULL, *network = NULL;
	int r;

	s->preseed = json_object();
	r = client_server(s->client, &s->server, e);
	if (r == 0)
		r = client_get(s->client, client_url(s->client, "/1.0/storage-pools?recursion=1"), &s->pools, e);
	if (r == 0)
		r = client_get(s->client, client_url(s->client, "/1.0/networks?recursion=1"), &s->networks, e);
	if (r == 0)
		r = plan_pool(s, &pool, e);
	if (r == 0)
		r = plan_network(s, &network, e);
	if (r == 0)
		r = plan_listen(s, e);
	if (r == 0)
		r = plan_profile(s, pool, network, e);
	if (r == 0)
		r = plan_shipped(s, e);
	return r;
}

static int read_preseed(struct cli *cli, json_t **out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf buf = { 0 };
	lxm_auto(free) char *text = NULL;
	size_t n;
	int r;

	if (cli->n_args && strcmp(cli->args[0], "-") != 0) {
		r = lxm_read_file(cli->args[0], PRESEED_MAX, &buf);
		if (r < 0) {
			errno = -r;
			return lxm_err_sys(e, "read '%s'", cli->args[0]);
		}
		r = yaml_body(buf.data ? buf.data : "", buf.len, out, e);
	} else {
		r = read_stdin(&text, &n, e);
		if (r == 0)
			r = yaml_body(text, n, out, e);
	}
	if (r == 0 && !*out)
		*out = json_object();
	return r < 0 ? lxm_err_wrap(e, r, "preseed") : 0;
}

static int check_flags(const struct cli *cli, struct lxm_err *e)
{
	int ways = cli_has(cli, "auto") + cli_has(cli, "preseed") + cli_has(cli, "dump");

	if (ways > 1)
		return cli_usage(e, "--auto, --preseed and --dump exclude each other");
	if (cli->n_args && !cli_has(cli, "preseed"))
		return cli_usage(e, "a file is only read with --preseed");
	return 0;
}

int verb_admin_init(struct cli *cli, struct lxm_err *e)
{
	static const char *const order[] = { "config", "networks", "storage_pools", "profiles", "projects", NULL };
	lxm_auto(setup) struct setup s = { .cli = cli };
	int r;

	r = check_flags(cli, e);
	if (r == 0)
		r = cli_client(cli, NULL, &s.client, e);
	if (r < 0)
		return r;
	if (cli_has(cli, "dump")) {
		r = preseed_dump(s.client, &s.preseed, e);
		if (r == 0)
			yaml_print(s.preseed, order);
		return r;
	}
	s.ask = !cli_has(cli, "auto") && !cli_has(cli, "preseed");
	r = cli_has(cli, "preseed") ? read_preseed(cli, &s.preseed, e) : plan(&s, e);
	if (r == 0 && s.ask) {
		r = ask_yes(&s, "Would you like the answers to be printed as a preseed?", false, e);
		if (r > 0)
			yaml_print(s.preseed, order);
	}
	return r < 0 ? r : preseed_apply(s.client, s.preseed, e);
}
