/* Editing, see edit.h. The editor gets a private file of mode 0600 below $TMPDIR; a refused text can be edited again. */
#include "lxmc/edit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/yaml.h"

#define TEXT_MAX ((size_t)16 << 20)

bool edit_stdin_has_data(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

int yaml_body(const char *text, size_t n, json_t **out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	int r = yaml_load(text, n, &o, e);

	if (r < 0)
		return r;
	if (!json_is_object(o) && !json_is_null(o))
		return lxm_err_set(e, EINVAL, "the YAML is not a map of keys");
	*out = json_is_null(o) ? NULL : LXM_TAKE(o, NULL);
	return 0;
}

/* Run the editor on a file. Its command is split at blanks, as shells would without quotes. */
static int run_editor(const char *path, struct lxm_err *e)
{
	const char *cmd = getenv("VISUAL");
	lxm_auto(strv) struct lxm_strv argv = { 0 };
	int status = 0;
	pid_t pid;

	if (lxm_empty(cmd))
		cmd = getenv("EDITOR");
	lxm_strv_split(&argv, lxm_empty(cmd) ? "vi" : cmd, ' ');
	if (!argv.n)
		lxm_strv_add(&argv, "vi");
	lxm_strv_add(&argv, path);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return lxm_err_sys(e, "start the editor");
	if (pid == 0) {
		execvp(argv.v[0], argv.v);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return lxm_err_sys(e, "wait for the editor");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return lxm_err_set(e, ENOENT, "cannot run the editor '%s'; set EDITOR", argv.v[0]);
	return lxm_err_set(e, EIO, "the editor '%s' failed; nothing was changed", argv.v[0]);
}

int edit_text(const char *text, const char *suffix, char **out, size_t *n_out, struct lxm_err *e)
{
	const char *tmp = getenv("TMPDIR");
	lxm_auto(free) char *path = lxm_asprintf("%s/lxmc-XXXXXX%s", lxm_empty(tmp) ? "/tmp" : tmp, suffix);
	lxm_auto(fd_close) int fd = mkostemps(path, (int)strlen(suffix), O_CLOEXEC);
	lxm_auto(buf) struct lxm_buf saved = { 0 };
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "make '%s'", path);
	r = lxm_write_all(fd, text, strlen(text));
	if (r < 0)
		errno = -r, r = lxm_err_sys(e, "write '%s'", path);
	if (r == 0)
		r = run_editor(path, e);
	if (r == 0) {
		r = lxm_read_file(path, TEXT_MAX, &saved);
		if (r < 0)
			errno = -r, r = lxm_err_sys(e, "read '%s'", path);
	}
	(void)unlink(path);
	if (r < 0)
		return r;
	*n_out = saved.len;
	*out = lxm_buf_take(&saved);
	return strcmp(*out, text) == 0 ? 1 : 0;
}

static int put(struct client *c, const struct entity *ent, const char *url, const char *etag, const char *text,
	       size_t n, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL, *body = NULL;
	lxm_auto(call) struct call call = { .method = "PUT", .url = url, .if_match = etag };
	int r;

	r = yaml_body(text, n, &o, e);
	if (r < 0)
		return r;
	/* whoever wants it empty writes {}: a lost pipe or an emptied buffer must not clear an object */
	if (!o)
		return lxm_err_set(e, EINVAL, "%s is empty; nothing was changed", etag ? "the text" : "stdin");
	r = entity_check_keys(ent, o, e);
	if (r < 0)
		return r;
	body = entity_writable(ent, o);
	call.body = body;
	r = client_call(c, &call, e);
	if (r == 0 && call.operation)
		r = client_wait(c, call.operation, NULL, NULL, e);
	return r;
}

/* After a refused text: Enter edits it again, end of input gives up. */
static bool ask_again(const struct lxm_err *e)
{
	int ch;

	out_error(e->msg);
	fprintf(stderr, "Press Enter to edit again, ^D to give up: ");
	do {
		ch = getchar();
	} while (ch != EOF && ch != '\n');
	return ch == '\n';
}

static char *with_comment(const struct entity *ent, const json_t *o)
{
	lxm_auto(json) json_t *shown = entity_writable(ent, o);
	lxm_auto(free) char *yaml = yaml_dump(shown, ent->order);

	return lxm_asprintf("%s%s", ent->comment ? ent->comment : "", yaml);
}

int edit_object(struct client *c, const struct entity *ent, const char *url, struct lxm_err *e)
{
	lxm_auto(call) struct call get = { .method = "GET", .url = url };
	lxm_auto(free) char *text = NULL;
	size_t n;
	int r;

	if (!out_tty(STDIN_FILENO)) {
		r = read_stdin(&text, &n, e);
		return r < 0 ? r : put(c, ent, url, NULL, text, n, e);
	}
	r = client_call(c, &get, e);
	if (r < 0)
		return r;
	text = with_comment(ent, get.meta);
	for (;;) {
		char *edited;

		r = edit_text(text, ".yaml", &edited, &n, e);
		if (r < 0)
			return r;
		if (r == 1 && !*e->msg) {
			free(edited);
			fprintf(stderr, "Nothing changed\n");
			return 0;
		}
		free(text);
		text = edited;
		lxm_err_clear(e);
		r = put(c, ent, url, get.etag, text, n, e);
		if (r == 0 || !ask_again(e))
			return r;
	}
}
