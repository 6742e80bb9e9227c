/* lxmc/conf.c: remotes in config.yml, as lxc writes them too. */
#include "lxmc/conf.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static char dir[SCRATCH_MAX];

static struct conf *fresh(const char *text)
{
	lxm_auto(free) char *path = NULL;
	struct conf *conf = NULL;

	scratch(dir, "conf");
	CU_ASSERT_EQUAL(setenv("LXMC_CONF", dir, 1), 0);
	path = lxm_asprintf("%s/config.yml", dir);
	if (text)
		CU_ASSERT_EQUAL(lxm_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600), 0);
	CU_ASSERT_EQUAL_FATAL(conf_load(&conf, NULL), 0);
	return conf;
}

static void done(struct conf *conf)
{
	conf_free(conf);
	(void)lxm_rm_tree_at(AT_FDCWD, dir);
}

static void files_of_lxc(void)
{
	struct conf *conf = fresh("default-remote: a\nremotes:\n  a:\n    addr: https://h:8443\n    auth_type: tls\n    project: p\n"
				  "    protocol: lxd\n    public: false\n  images:\n    addr: https://i\n    protocol: simplestreams\n"
				  "    public: true\naliases: {}\n");
	struct remote rm;
	size_t i, n = 0;

	CU_ASSERT_STRING_EQUAL(conf_default_remote(conf), "a");
	CU_ASSERT_EQUAL_FATAL(conf_remote(conf, "a", &rm, NULL), 0);
	CU_ASSERT(strcmp(rm.addr, "https://h:8443") == 0 && strcmp(rm.auth_type, "tls") == 0 && strcmp(rm.project, "p") == 0);
	CU_ASSERT(!rm.is_public && !rm.is_static);
	/* an entry of the file wins over what is built in */
	CU_ASSERT_EQUAL_FATAL(conf_remote(conf, "images", &rm, NULL), 0);
	CU_ASSERT(strcmp(rm.addr, "https://i") == 0 && rm.is_public && !rm.is_static);
	CU_ASSERT_EQUAL_FATAL(conf_remote(conf, "ubuntu", &rm, NULL), 0);
	CU_ASSERT(rm.is_static && strcmp(rm.protocol, "simplestreams") == 0);
	for (i = 0; conf_remote_at(conf, i, &rm); i++)
		n += strcmp(rm.name, "images") == 0 || strcmp(rm.name, "a") == 0;
	CU_ASSERT_EQUAL(n, 2);
	CU_ASSERT_EQUAL(conf_remote(conf, "b", &rm, NULL), -ENOENT);
	done(conf);
}

/* A remote keeps its name when the text that it was asked for with is gone. */
static void names_are_the_configurations(void)
{
	struct conf *conf = fresh("remotes:\n  abc:\n    addr: https://h\n");
	char asked[] = "abc";
	struct remote rm;

	CU_ASSERT_EQUAL_FATAL(conf_remote(conf, asked, &rm, NULL), 0);
	memset(asked, 'x', 3);
	CU_ASSERT_STRING_EQUAL(rm.name, "abc");
	done(conf);
}

static void add_rename_remove(void)
{
	struct conf *conf = fresh(NULL), *again = NULL;
	struct remote rm = { .name = "a", .addr = "https://h:1", .protocol = "lxd", .auth_type = "tls", .project = "" }, got;
	lxm_auto(free) char *old = conf_server_cert(conf, "a"), *new = conf_server_cert(conf, "b");

	CU_ASSERT_EQUAL(conf_add_remote(conf, &rm, NULL), 0);
	CU_ASSERT_EQUAL(conf_add_remote(conf, &rm, NULL), -EEXIST);
	CU_ASSERT_EQUAL(conf_save_server_cert(conf, "a", "PEM\n", NULL), 0);
	CU_ASSERT_EQUAL(conf_set_default_remote(conf, "a", NULL), 0);
	CU_ASSERT_EQUAL(conf_rename_remote(conf, "a", "local", NULL), -EEXIST);
	CU_ASSERT_EQUAL(conf_rename_remote(conf, "a", "../b", NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_rename_remote(conf, "a", "b", NULL), 0);
	CU_ASSERT(access(old, F_OK) < 0 && access(new, F_OK) == 0);
	CU_ASSERT_STRING_EQUAL(conf_default_remote(conf), "b");
	CU_ASSERT_EQUAL(conf_set_addr(conf, "b", "https://h:2", NULL), 0);
	CU_ASSERT_EQUAL(conf_save(conf, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(conf_load(&again, NULL), 0);
	CU_ASSERT(conf_remote(again, "b", &got, NULL) == 0 && strcmp(got.addr, "https://h:2") == 0);
	CU_ASSERT_EQUAL(conf_remote(again, "a", &got, NULL), -ENOENT);
	conf_free(again);
	CU_ASSERT_EQUAL(conf_remove_remote(conf, "b", NULL), -EBUSY);
	CU_ASSERT_EQUAL(conf_set_default_remote(conf, "local", NULL), 0);
	CU_ASSERT_EQUAL(conf_remove_remote(conf, "b", NULL), 0);
	CU_ASSERT(access(new, F_OK) < 0);
	CU_ASSERT_EQUAL(conf_remove_remote(conf, "local", NULL), -EPERM);
	CU_ASSERT_EQUAL(conf_set_addr(conf, "local", "https://x", NULL), -EPERM);
	CU_ASSERT_EQUAL(conf_rename_remote(conf, "images", "pictures", NULL), -EPERM);
	done(conf);
}

static void names(void)
{
	static const char *const bad[] = { "", "a:b", "a/b", "..", ".a", "-a", "a b", "a\nb", "\xff" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(conf_check_name(bad[i], NULL), -EINVAL);
	CU_ASSERT_EQUAL(conf_check_name("büro-1.example", NULL), 0);
}

UNIT_MAIN("conf", { "files of lxc", files_of_lxc }, { "names are the configuration's", names_are_the_configurations },
	  { "add, rename, remove", add_rename_remove }, { "names", names })
