/*
 * Libraries on demand, see lazy.h. Each costs the daemon its relocated pages and those of all that it draws in: of libarchive
 * that is libxml2, ICU and libstdc++, for archives alone. They are never let go: what a library leaves behind (threads' data,
 * handlers) must find its code.
 */
#include "lxmd/core/lazy.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held while one is loaded */

static int load(struct lazy_lib *lib, struct lxm_err *e)
{
	void *h = dlopen(lib->soname, RTLD_NOW | RTLD_LOCAL);
	void *found[128];
	size_t i;

	assert(lib->n <= sizeof(found) / sizeof(found[0]));
	if (!h)
		return lxm_err_set(e, ELIBACC, "library '%s' is missing (package %s): %s", lib->soname, lib->package, dlerror());
	for (i = 0; i < lib->n; i++) {
		found[i] = dlsym(h, lib->names[i]);
		if (!found[i]) {
			(void)dlclose(h);
			return lxm_err_set(e, ELIBACC, "library '%s' has no '%s': another version than of package %s?", lib->soname,
					   lib->names[i], lib->package);
		}
	}
	memcpy(lib->functions, found, lib->n * sizeof(found[0]));
	return 0;
}

int lazy_load(struct lazy_lib *lib, struct lxm_err *e)
{
	int r = 0;

	if (__atomic_load_n(&lib->loaded, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&lock);
	if (!lib->loaded)
		r = load(lib, e);
	if (r == 0)
		__atomic_store_n(&lib->loaded, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return r;
}
