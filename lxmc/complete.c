/* Shell completion: small scripts that ask the hidden verb __complete, which knows the verb table and the server. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/conf.h"
#include "lxmc/hosts.h"
#include "lxmc/json.h"
#include "lxmc/keys.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

static const struct {
	const char *shell, *script;
} scripts[] = {
	{ "bash", "_lxmc() {\n"
		  "\tlocal IFS=$'\\n'\n"
		  "\tCOMPREPLY=($(lxmc __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
		  "\t[[ ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace\n"
		  "}\n"
		  "complete -o default -F _lxmc lxmc\n" },
	{ "zsh", "#compdef lxmc\n"
		 "_lxmc() {\n"
		 "\tlocal -a found\n"
		 "\tfound=(${(f)\"$(lxmc __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
		 "\tif (( $#found )); then compadd -- $found; else _files; fi\n"
		 "}\n"
		 "compdef _lxmc lxmc\n" },
	{ "fish", "complete -c lxmc -f -a '(lxmc __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'\n" },
};

int verb_completion(struct cli *cli, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(scripts); i++) {
		if (strcmp(cli->args[0], scripts[i].shell) == 0) {
			fputs(scripts[i].script, stdout);
			return 0;
		}
	}
	return cli_usage(e, "no completion for '%s'; there are bash, zsh and fish", cli->args[0]);
}

/* What the placeholders of the verb table stand for: a list of URLs on the server, or fixed words. */
static const struct {
	const char *word, *url, *words, *suffix;
} sources[] = {
	{ "INSTANCE", "/1.0/instances", NULL, "" },
	{ "INSTANCE/PATH", "/1.0/instances", NULL, "/" },
	{ "IMAGE", "/1.0/images/aliases", NULL, "" },
	{ "IMAGE", "/1.0/templates", NULL, "" },
	{ "ALIAS", "/1.0/images/aliases", NULL, "" },
	{ "TEMPLATE", "/1.0/templates", NULL, "" },
	{ "PROFILE", "/1.0/profiles", NULL, "" },
	{ "NETWORK", "/1.0/networks", NULL, "" },
	{ "POOL", "/1.0/storage-pools", NULL, "" },
	{ "PROJECT", "/1.0/projects", NULL, "" },
	{ "WARNING", "/1.0/warnings", NULL, "" },
	{ "FORMAT", NULL, "table compact csv json yaml", "" },
	{ "MODE", NULL, "auto interactive non-interactive", "" },
	{ "LEVEL", NULL, "debug info warning error", "" },
	{ "EVENT", NULL, "logging operation lifecycle", "" },
	{ "SHELL", NULL, "bash zsh fish", "" },
	{ "DATABASE", NULL, "node cluster", "" },
	{ "DEVICE-TYPE", NULL, "disk gpu nic none proxy unix-block unix-char unix-hotplug usb", "" },
	{ "TRANSFER-MODE", NULL, "pull push relay", "" },
	{ "PROTOCOL", NULL, "lxd simplestreams", "" },
	{ "AUTH-TYPE", NULL, "tls", "" },
	{ "CERT-TYPE", NULL, "client metrics", "" },
	{ "FINGERPRINT", "/1.0/certificates", NULL, "" },
	{ "NETWORK-TYPE", NULL, "bridge macvlan physical", "" },
	{ "DRIVER", NULL, "overlay dir", "" },
	{ "METHOD", NULL, "GET PUT POST PATCH DELETE", "" },
};

static void offer(const char *text, const char *prefix, const char *suffix)
{
	lxm_auto(free) char *safe = out_safe(text);

	if (lxm_starts(safe, prefix))
		printf("%s%s\n", safe, suffix);
}

static void offer_urls(struct cli *cli, const char *path, const char *prefix, const char *suffix)
{
	lxm_auto(json) json_t *list = NULL;
	struct client *c;
	json_t *item;
	size_t i;

	if (cli_client(cli, NULL, &c, NULL) < 0 || client_get(c, client_url(c, "%r", path), &list, NULL) < 0)
		return;
	json_array_foreach(list, i, item) {
		const char *url = json_string_value(item), *last = url ? url + strlen(path) : "";
		lxm_auto(free) char *name = NULL;

		/* names may hold '/', encoded or not: all behind the collection's path is the name */
		if (!url || !lxm_starts(url, path) || *last != '/')
			continue;
		name = lxm_url_decode(last + 1, strcspn(last + 1, "?"), false);
		if (name)
			offer(name, prefix, suffix);
	}
}

static void offer_words(const struct lxm_strv *words, const char *prefix)
{
	size_t i;

	for (i = 0; i < words->n; i++)
		offer(words->v[i], prefix, "");
}

/* Remotes of the configuration and their groups, as far as the word stands for those. */
static void offer_remotes(struct conf *conf, const char *word, const char *prefix)
{
	bool hosts = strcmp(word, "HOSTS") == 0, colon = strcmp(word, "REMOTE:") == 0;
	lxm_auto(strv) struct lxm_strv names = { 0 };
	struct remote rm;
	size_t i;

	if (hosts || strcmp(word, "GROUP") == 0)
		group_names(conf, &names);
	offer_words(&names, prefix);
	if (hosts) {
		offer("all", prefix, "");
		if (hosts_choose(conf, "all", &names, NULL) == 0)
			offer_words(&names, prefix);
	}
	for (i = 0; (colon || strcmp(word, "REMOTE") == 0) && conf_remote_at(conf, i, &rm); i++)
		offer(rm.name, prefix, colon ? ":" : "");
}

/* KEY and KEY=VALUE of a verb; in place of an instance's name those of the server, which have a dot in them as no name of an instance has. */
static void offer_keys(const struct verb *v, const char *word, const char *prefix)
{
	bool server = strcmp(word, "INSTANCE") == 0;
	lxm_auto(strv) struct lxm_strv keys = { 0 };
	size_t i;

	if (server ? !lxm_starts(v->args, "[INSTANCE] KEY") || !*prefix : !lxm_starts(word, "KEY"))
		return;
	keys_of_verb(v->name, server, &keys);
	for (i = 0; i < keys.n; i++) {
		bool open = keys.v[i][strlen(keys.v[i]) - 1] == '.';

		offer(keys.v[i], prefix, strchr(server ? v->args : word, '=') && !open ? "=" : "");
	}
}

static void offer_kind(struct cli *cli, const char *word, const char *prefix)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(sources); i++) {
		lxm_auto(strv) struct lxm_strv words = { 0 };

		if (strcmp(word, sources[i].word) != 0)
			continue;
		if (sources[i].url)
			offer_urls(cli, sources[i].url, prefix, sources[i].suffix);
		lxm_strv_split(&words, sources[i].words, ' ');
		offer_words(&words, prefix);
	}
	if (cli->conf || conf_load(&cli->conf, NULL) == 0)
		offer_remotes(cli->conf, word, prefix);
}

/* Next words of verbs that begin with the given ones. Returns how many. */
static size_t offer_verbs(const char *const *words, size_t n, const char *prefix)
{
	lxm_auto(strv) struct lxm_strv seen = { 0 };
	const struct verb *v;
	size_t i;

	for (v = verbs; v->name; v++) {
		lxm_auto(strv) struct lxm_strv parts = { 0 };

		if (!v->group)
			continue;
		lxm_strv_split(&parts, v->name, ' ');
		for (i = 0; i < n && i < parts.n && strcmp(parts.v[i], words[i]) == 0; i++)
			;
		if (i < n || parts.n <= n || lxm_strv_has(&seen, parts.v[n]))
			continue;
		lxm_strv_add(&seen, parts.v[n]);
		offer(parts.v[n], prefix, "");
	}
	return seen.n;
}

static void offer_flags(const struct flag *f, const char *prefix)
{
	for (; f && f->name; f++) {
		lxm_auto(free) char *text = lxm_asprintf("--%s", f->name);

		offer(text, prefix, "");
	}
}

/* The option that a word is, if it still wants its value. */
static const struct flag *open_flag(const struct verb *v, const char *word)
{
	const struct flag *f = NULL;

	if (lxm_starts(word, "--") && !strchr(word, '='))
		f = cli_find_flag(v, word + 2, strlen(word + 2), 0);
	else if (word[0] == '-' && word[1] && !word[2])
		f = cli_find_flag(v, NULL, 0, word[1]);
	return f && f->metavar ? f : NULL;
}

/* Words at the front that are options and their values: the verb comes behind them. */
static size_t options_before(const char *const *words, size_t n)
{
	size_t i = 0;

	while (i < n && words[i][0] == '-')
		i += open_flag(NULL, words[i]) ? 2 : 1;
	return i < n ? i : n;
}

int verb_complete(struct cli *cli, struct lxm_err *e)
{
	size_t all = cli->n_args ? cli->n_args - 1 : 0, skip = options_before(cli->args, all), n = all - skip, used, i, position = 0;
	const char *prefix = cli->n_args ? cli->args[all] : "";
	const char *const *words = cli->args + skip;
	const struct verb *v = cli_find_verb(words, n, &used);
	const struct flag *open = all ? open_flag(n ? v : NULL, cli->args[all - 1]) : NULL;
	char word[32];

	if (open) {
		offer_kind(cli, open->metavar, prefix);
		if (v)
			offer_keys(v, open->metavar, prefix);
		return 0;
	}
	if (*prefix == '-') {
		offer_flags(v ? v->flags : NULL, prefix);
		offer_flags(global_flags, prefix);
		return 0;
	}
	if (!v || used == n)
		offer_verbs(words, n, prefix);
	for (i = used; v && i < n; i++) {
		if (strcmp(words[i], "--") == 0)
			return 0;
		if (words[i][0] != '-' && !(i > used && open_flag(v, words[i - 1])))
			position++;
	}
	if (v && cli_arg_word(v->args, position, word, sizeof(word))) {
		offer_kind(cli, word, prefix);
		offer_keys(v, word, prefix);
	}
	return 0;
}
