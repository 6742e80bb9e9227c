/*
 * What every system container has: device nodes, the kernel's filesystems, protected paths, capabilities. Runs in lxmd
 * while a plan is built. What is protected is a second fence only: in an unprivileged container the kernel itself denies
 * root inside what belongs to root outside, and whoever is root inside may unmount what was put over a path.
 */
#include "lib/wire/plan.h"

#include <linux/capability.h>
#include <linux/mount.h>

#define NSD  (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define NSDX (NSD | MOUNT_ATTR_NOEXEC)

static const struct plan_dev devs[] = {
	{ "null", 'c', 1, 3, 0666, 0, 0 },    { "zero", 'c', 1, 5, 0666, 0, 0 },    { "full", 'c', 1, 7, 0666, 0, 0 },
	{ "random", 'c', 1, 8, 0666, 0, 0 },  { "urandom", 'c', 1, 9, 0666, 0, 0 }, { "tty", 'c', 5, 0, 0666, 0, 5 },
	{ "fuse", 'c', 10, 229, 0666, 0, 0 }, { "net/tun", 'c', 10, 200, 0666, 0, 0 },
};

static const struct plan_mount mounts[] = {
	{ "proc", "/proc", "proc", "", NSDX, 0, 0 },
	{ "sysfs", "/sys", "sysfs", "", NSDX, 0, 0 },
	{ "mqueue", "/dev/mqueue", "mqueue", "", NSDX, PLAN_MNT_OPTIONAL, 0 },
	{ "tmpfs", "/dev/shm", "tmpfs", "mode=1777", NSD, 0, 0 },
};

static const struct plan_mount nesting_mounts[] = {
	{ "proc", "/dev/.lxm/proc", "proc", "", NSDX, PLAN_MNT_MKDIR, 0 },
	{ "sysfs", "/dev/.lxm/sys", "sysfs", "", NSDX, PLAN_MNT_MKDIR, 0 },
};

/* Unprivileged: what an image has no business to read although everybody may. */
static const struct plan_protect protect[] = {
	{ "/proc/kcore", PLAN_MASK },
	{ "/proc/keys", PLAN_MASK },
	{ "/proc/timer_list", PLAN_MASK },
	{ "/sys/firmware", PLAN_MASK },
};

/*
 * A read-only /sys tells systemd that devices are not the container's to manage (its container interface): udevd does not
 * start and networkd does not wait for it. The container's own links stay writable. Nested managers get all of /sys.
 */
static const struct plan_protect protect_sys[] = {
	{ "/sys/devices/virtual/net", PLAN_WRITABLE },
	{ "/sys", PLAN_READONLY },
};

/* Privileged: root inside is root outside, so the switches of the whole host are made read-only. */
static const struct plan_protect protect_privileged[] = {
	{ "/proc/acpi", PLAN_MASK },	     { "/proc/kcore", PLAN_MASK },    { "/proc/keys", PLAN_MASK },
	{ "/proc/latency_stats", PLAN_MASK }, { "/proc/timer_list", PLAN_MASK }, { "/proc/scsi", PLAN_MASK },
	{ "/proc/sysrq-trigger", PLAN_READONLY }, { "/proc/asound", PLAN_READONLY }, { "/proc/bus", PLAN_READONLY },
	{ "/proc/irq", PLAN_READONLY },	     { "/proc/sys/net", PLAN_WRITABLE },
	{ "/proc/sys", PLAN_READONLY },  { "/sys/firmware", PLAN_MASK },
};

uint64_t plan_caps_default(void)
{
	/* with SYS_RAWIO kept systemd tries debugfs and tracefs and ends degraded */
	return ~((1ull << CAP_SYS_MODULE) | (1ull << CAP_SYS_RAWIO) | (1ull << CAP_SYS_TIME) | (1ull << CAP_MAC_ADMIN) |
		 (1ull << CAP_MAC_OVERRIDE));
}

static int add_mounts(struct plan *p, const struct plan_mount *m, size_t n, uint32_t flags, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		struct plan_step s = { .kind = PLAN_MOUNT, .u.mount = m[i] };

		/* without a network namespace of its own sysfs belongs to the host: read-only, as for privileged ones */
		if (flags & PLAN_PRIVILEGED && m[i].fstype[0] == 's')
			s.u.mount.attrs |= MOUNT_ATTR_RDONLY;
		r = plan_add(p, &s, e);
	}
	return r;
}

static int add_protect(struct plan *p, const struct plan_protect *pr, size_t n, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++)
		r = plan_add(p, &(struct plan_step){ .kind = PLAN_PROTECT, .u.protect = pr[i] }, e);
	return r;
}

int plan_add_defaults(struct plan *p, uint32_t flags, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < LXM_ARRAY_LEN(devs) && r == 0; i++)
		r = plan_add(p, &(struct plan_step){ .kind = PLAN_DEV, .u.dev = devs[i] }, e);
	if (r == 0)
		r = add_mounts(p, mounts, LXM_ARRAY_LEN(mounts), flags, e);
	if (r == 0 && flags & PLAN_NESTING)
		r = add_mounts(p, nesting_mounts, LXM_ARRAY_LEN(nesting_mounts), flags, e);
	if (r == 0 && flags & PLAN_PRIVILEGED)
		r = add_protect(p, protect_privileged, LXM_ARRAY_LEN(protect_privileged), e);
	else if (r == 0)
		r = add_protect(p, protect, LXM_ARRAY_LEN(protect), e);
	if (r == 0 && !(flags & (PLAN_PRIVILEGED | PLAN_NESTING)))
		r = add_protect(p, protect_sys, LXM_ARRAY_LEN(protect_sys), e);
	if (r == 0 && !plan_count(p, PLAN_CAPS))
		r = plan_add(p, &(struct plan_step){ .kind = PLAN_CAPS, .u.caps.keep = plan_caps_default() }, e);
	return r;
}
