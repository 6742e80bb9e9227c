/* Remotes by names, groups and patterns, see hosts.h. */
#include "lxmc/hosts.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "lxmc/json.h"

static json_t *members_of(struct conf *conf, const char *group)
{
	return json_object_get(conf_map(conf, "groups"), group);
}

void group_names(struct conf *conf, struct lxm_strv *out)
{
	const char *name;
	json_t *list;

	lxm_strv_deinit(out);
	json_object_foreach(conf_map(conf, "groups"), name, list)
		lxm_strv_add(out, name);
	lxm_strv_sort(out);
}

int group_members(struct conf *conf, const char *group, struct lxm_strv *out, struct lxm_err *e)
{
	json_t *list = members_of(conf, group), *item;
	size_t i;

	lxm_strv_deinit(out);
	if (!json_is_array(list))
		return lxm_err_set(e, ENOENT, "group '%s' is not known; 'lxmc remote group list' shows which are", group);
	json_array_foreach(list, i, item)
		if (json_is_string(item))
			lxm_strv_add(out, json_string_value(item));
	return 0;
}

int group_add(struct conf *conf, const char *group, const char *remote, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv have = { 0 };
	struct remote rm;
	int r;

	if (!*group || strcmp(group, "all") == 0 || strpbrk(group, ":,!*?[]/ \\\"'") || *group == '-' || *group == '.' ||
	    strlen(group) > 128 || !lxm_utf8_ok(group, strlen(group)))
		return lxm_err_set(e, EINVAL, "'%s' cannot be the name of a group", group);
	if (conf_remote(conf, group, &rm, NULL) == 0)
		return lxm_err_set(e, EINVAL, "'%s' is a remote already, so it cannot be the name of a group", group);
	r = conf_remote(conf, remote, &rm, e);
	if (r < 0)
		return r;
	if (group_members(conf, group, &have, NULL) < 0)
		json_object_set_new(conf_map(conf, "groups"), group, json_array());
	if (!lxm_strv_has(&have, remote))
		json_array_append_new(members_of(conf, group), json_string(remote));
	return 0;
}

int group_remove(struct conf *conf, const char *group, const char *remote, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv have = { 0 };
	size_t i;
	int r = group_members(conf, group, &have, e);

	if (r < 0)
		return r;
	for (i = 0; remote && i < have.n && strcmp(have.v[i], remote) != 0; i++)
		;
	if (remote && i == have.n)
		return lxm_err_set(e, ENOENT, "remote '%s' is not in group '%s'", remote, group);
	if (!remote || have.n == 1)
		json_object_del(conf_map(conf, "groups"), group);
	else
		json_array_remove(members_of(conf, group), i);
	return 0;
}

void group_follow(struct conf *conf, const char *remote, const char *to)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i, k;

	group_names(conf, &names);
	for (i = 0; i < names.n; i++) {
		json_t *list = members_of(conf, names.v[i]), *item;

		json_array_foreach(list, k, item) {
			if (!lxm_streq(json_string_value(item), remote))
				continue;
			if (to)
				json_array_set_new(list, k, json_string(to));
			else
				(void)group_remove(conf, names.v[i], remote, NULL);
			break;
		}
	}
}

/* ---- choosing */

/* Whether verbs can be run there. */
static bool is_server(const struct remote *rm)
{
	return !rm->is_public && strcmp(rm->protocol, "simplestreams") != 0;
}

static void add_once(struct lxm_strv *out, const char *name)
{
	if (!lxm_strv_has(out, name))
		lxm_strv_add(out, name);
}

/* Every server whose name matches; a name is a pattern of itself. */
static void match(struct conf *conf, const char *pattern, struct lxm_strv *out)
{
	struct remote rm;
	size_t i;

	for (i = 0; conf_remote_at(conf, i, &rm); i++)
		if (is_server(&rm) && (!pattern || strcmp(pattern, rm.name) == 0 || fnmatch(pattern, rm.name, 0) == 0))
			add_once(out, rm.name);
}

static int expand_group(struct conf *conf, const char *group, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv members = { 0 };
	struct remote rm;
	size_t i;
	int r = group_members(conf, group, &members, e);

	for (i = 0; r == 0 && i < members.n; i++) {
		r = conf_remote(conf, members.v[i], &rm, NULL);
		if (r < 0)
			return lxm_err_set(e, ENOENT, "group '%s' holds remote '%s', which is gone; take it out with 'lxmc remote group remove %s %s'",
					   group, members.v[i], group, members.v[i]);
		if (is_server(&rm))
			add_once(out, members.v[i]);
	}
	return r;
}

/* One word, without '!'. */
static int expand(struct conf *conf, const char *word, struct lxm_strv *out, struct lxm_err *e)
{
	size_t before = out->n;

	if (strcmp(word, "all") == 0) {
		match(conf, NULL, out);
		return 0;
	}
	if (json_is_array(members_of(conf, word)))
		return expand_group(conf, word, out, e);
	match(conf, word, out);
	if (out->n == before && !strpbrk(word, "*?["))
		return lxm_err_set(e, ENOENT, "'%s' is neither a server nor a group; 'lxmc remote list' and 'lxmc remote group list' show which there are",
				   word);
	return 0;
}

static int natural(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

int hosts_choose(struct conf *conf, const char *words, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 }, without = { 0 };
	bool chosen = false;
	size_t i;
	int r = 0;

	lxm_strv_deinit(out);
	lxm_strv_split(&parts, words, ',');
	for (i = 0; i < parts.n && r == 0; i++) {
		bool away = *parts.v[i] == '!';
		lxm_auto(strv) struct lxm_strv found = { 0 };
		size_t k;

		r = expand(conf, parts.v[i] + away, &found, e);
		for (k = 0; k < found.n; k++)
			add_once(away ? &without : out, found.v[k]);
		chosen |= !away;
	}
	if (r < 0)
		return r;
	if (!chosen && parts.n)
		match(conf, NULL, out);
	for (i = 0; i < without.n; i++)
		(void)lxm_strv_del(out, without.v[i]);
	if (!out->n)
		return lxm_err_set(e, ENOENT, "no server matches '%s'; 'lxmc remote list' shows which there are", words);
	qsort(out->v, out->n, sizeof(*out->v), natural);
	return 0;
}
