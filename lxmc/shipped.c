/* The profiles that come with lxm, and `lxmc profile load`; see shipped.h and verb.h. */
#include "lxmc/shipped.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/json.h"
#include "lxmc/cli.h"
#include "lxmc/client.h"
#include "lxmc/edit.h"
#include "lxmc/verb.h"
#include "lxmc/yaml.h"

#define FILE_BYTES_MAX (64u << 10)

/* In the tree that lxmc was built in, else where it is installed. */
static int open_dir(void)
{
	char self[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	static const char *const up[] = { "../..", "../../.." };
	size_t i;

	self[n < 0 ? 0 : n] = 0;
	if (strrchr(self, '/'))
		*strrchr(self, '/') = 0;
	for (i = 0; n > 0 && i < LXM_ARRAY_LEN(up); i++) {
		snprintf(path, sizeof(path), "%s/%s/lxmc/main.c", self, up[i]);
		if (access(path, F_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/profiles", self, up[i]);
		return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return open(LXM_PREFIX "/share/lxm/profiles", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void shipped_list(struct lxm_strv *out)
{
	int fd = open_dir();
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(d))) {
		size_t n = strlen(de->d_name);

		if (n > 5 && strcmp(de->d_name + n - 5, ".yaml") == 0 && strcmp(de->d_name, "default.yaml") != 0) {
			lxm_auto(free) char *name = lxm_strndup(de->d_name, n - 5);

			lxm_strv_add(out, name);
		}
	}
	closedir(d);
	lxm_strv_sort(out);
}

int shipped_read(const char *name, json_t **out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv all = { 0 };
	lxm_auto(fd_close) int dir = open_dir();
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(free) char *file = lxm_asprintf("%s.yaml", name), *names = NULL;
	int r;

	shipped_list(&all);
	if (!lxm_strv_has(&all, name)) {
		names = lxm_strv_join(&all, ", ");
		return lxm_err_set(e, ENOENT, "no profile '%s' comes with lxm; there are: %s", name, all.n ? names : "none (is lxm installed here?)");
	}
	r = lxm_read_file_at(dir, file, FILE_BYTES_MAX, &text);
	if (r < 0)
		return lxm_err_set(e, -r, "read profile '%s': %s", name, strerror(-r));
	r = yaml_body(text.data ? text.data : "", text.len, out, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "profile '%s'", name);
	json_object_set_new(*out, "name", json_string(name));
	return 0;
}

static int list_them(struct cli *cli)
{
	lxm_auto(strv) struct lxm_strv all = { 0 };
	size_t i;

	shipped_list(&all);
	for (i = 0; i < all.n; i++) {
		lxm_auto(json) json_t *o = NULL;

		if (shipped_read(all.v[i], &o, NULL) == 0)
			printf("%s: %s\n", all.v[i], jtext(o, "description"));
	}
	return 0;
}

int verb_profile_load(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	if (!cli->n_args)
		return list_them(cli);
	for (i = 0; r == 0 && i < cli->n_args; i++) {
		json_t *body = NULL;
		struct client *c;
		const char *name;

		r = cli_target(cli, cli->args[i], &c, &name, e);
		if (r == 0)
			r = shipped_read(name, &body, e);
		if (r == 0)
			r = client_change(c, "POST", client_url(c, "/1.0/profiles"), body, e);
		if (r == 0 && !cli->quiet)
			printf("Profile %s created\n", cli->args[i]);
	}
	return r;
}
