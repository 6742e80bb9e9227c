/* See size.h. */
#include "lxmd/instance/size.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/str.h"

#define MOST_CPUS 4096
#define MOST_GIB  (1 << 20)

/* "1.5" in hundredths; more digits are refused. */
static bool hundredths(const char *s, size_t n, int64_t most, int64_t *out)
{
	int64_t v = 0;
	int after = -1;

	if (!n || s[0] == '.' || s[n - 1] == '.')
		return false;
	for (; n; s++, n--) {
		if (*s == '.' && after < 0) {
			after = 0;
			continue;
		}
		if (*s < '0' || *s > '9' || after == 2 || v > most * 100)
			return false;
		v = v * 10 + (*s - '0');
		after += after >= 0;
	}
	for (after = after < 0 ? 0 : after; after < 2; after++)
		v *= 10;
	*out = v;
	return v > 0 && v <= most * 100;
}

static void set_missing(struct lxm_kv *config, const char *key, int64_t value, const char *unit)
{
	if (lxm_empty(lxm_kv_get(config, key)))
		lxm_kv_setf(config, key, "%lld%s", (long long)value, unit);
}

int instance_size(const char *type, struct lxm_kv *config, struct lxm_err *e)
{
	int64_t cpu = 0, gib = 0, whole;
	const char *p = type;
	size_t n;

	for (;; p += n + 1) {
		n = strcspn(p, "-");
		if (!(*p == 'c' && !cpu && hundredths(p + 1, n - 1, MOST_CPUS, &cpu)) &&
		    !(*p == 'm' && !gib && hundredths(p + 1, n - 1, MOST_GIB, &gib)))
			return lxm_err_set(e, EINVAL,
					   "instance type '%.40s' is unknown: write processors and GiB of memory, as in c2-m4", type);
		if (!p[n])
			break;
	}
	whole = (cpu + 99) / 100;
	if (cpu)
		set_missing(config, "limits.cpu", whole, "");
	if (cpu % 100)
		set_missing(config, "limits.cpu.allowance", cpu / whole, "%");
	if (gib)
		set_missing(config, "limits.memory", gib * 1024 / 100, "MiB");
	return 0;
}
