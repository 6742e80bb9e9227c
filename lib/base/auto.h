/* Cleanup at the end of a scope, and giving things away visibly. */
#ifndef LXM_BASE_AUTO_H
#define LXM_BASE_AUTO_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* `lxm_auto(fd_close) int fd = -1;` runs auto_fd_close(&fd) when fd leaves its scope. */
#define lxm_auto(f) __attribute__((cleanup(auto_##f)))

/* Yields v and leaves `empty` (NULL, -1) behind, so that the cleaner of v has nothing to do. */
#define LXM_TAKE(v, empty)          \
	({                          \
		__auto_type t_ = (v); \
		(v) = (empty);      \
		t_;                 \
	})

/* Declares auto_NAME(), which calls fn(*p) unless *p is NULL, and keeps errno. */
#define LXM_AUTO_PTR(name, type, fn)             \
	static inline void auto_##name(type **p) \
	{                                        \
		int saved = errno;               \
		if (*p)                          \
			fn(*p);                  \
		*p = NULL;                       \
		errno = saved;                   \
	}

/* Declares auto_NAME() for a struct that the scope holds; fn(&v) must accept the empty value. */
#define LXM_AUTO_STRUCT(name, type, fn)         \
	static inline void auto_##name(type *p) \
	{                                       \
		int saved = errno;              \
		fn(p);                          \
		errno = saved;                  \
	}

#define LXM_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LXM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define LXM_UNUSED       __attribute__((unused))

static inline void auto_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	*(void **)p = NULL;
	errno = saved;
}

/* close() is called once whatever it returns: a retry may hit another thread's new descriptor. */
static inline void auto_fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void auto_fclose(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f);
	*f = NULL;
	errno = saved;
}

#endif
