/* Finding devices in sysfs. Any thread; only reads. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/hot.h"
#include "lxmd/device/nodes.h"

const char *sysfs_root(void)
{
	const char *root = getenv("LXMD_SYSFS");

	return lxm_empty(root) ? "/sys" : root;
}

void node_set_add(struct node_set *s, const struct node *n)
{
	if (s->n < NODES_MAX && !node_set_has(s, n))
		s->v[s->n++] = *n;
}

bool node_is(const struct node *a, const struct node *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor && lxm_streq(a->path, b->path);
}

bool node_set_has(const struct node_set *s, const struct node *n)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (node_is(&s->v[i], n))
			return true;
	return false;
}

/* A short attribute without its newline and "0x"; false if there is none. */
static bool attribute(int dir, const char *name, char *out, size_t size)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *s;

	if (lxm_read_file_at(dir, name, 4096, &text) < 0 || !text.data)
		return false;
	text.data[strcspn(text.data, "\n")] = 0;
	s = lxm_starts(text.data, "0x") ? text.data + 2 : text.data;
	(void)snprintf(out, size, "%s", s);
	return true;
}

static bool wanted(int dir, const char *name, const char *want)
{
	char is[128];

	return lxm_empty(want) || (attribute(dir, name, is, sizeof(is)) && strcasecmp(is, want) == 0);
}

static bool wanted_number(int dir, const char *name, int64_t want)
{
	char is[32];

	return want < 0 || (attribute(dir, name, is, sizeof(is)) && strtoll(is, NULL, 10) == want);
}

static bool usb_matches(int dir, const struct usb_want *w)
{
	return wanted(dir, "idVendor", w->vendor) && wanted(dir, "idProduct", w->product) && wanted(dir, "serial", w->serial) &&
	       wanted_number(dir, "busnum", w->bus) && wanted_number(dir, "devnum", w->dev);
}

static bool numbers(int dir, struct node *n)
{
	char text[32];

	return attribute(dir, "dev", text, sizeof(text)) && sscanf(text, "%u:%u", &n->major, &n->minor) == 2;
}

/* For each entry of a directory; the name of none is an error that nobody has to hear of: the host has no such devices. */
static int each(const char *sys, const char *what, void (*fn)(int dir, const char *name, void *arg), void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", sys, what);
	DIR *d = opendir(path);
	struct dirent *ent;

	if (!d)
		return errno == ENOENT ? 0 : lxm_err_sys(e, "read '%s'", path);
	while ((ent = readdir(d))) {
		lxm_auto(fd_close) int dir = -1;

		if (*ent->d_name == '.')
			continue;
		dir = openat(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			fn(dir, ent->d_name, arg);
	}
	(void)closedir(d);
	return 0;
}

/* ---- USB */

struct search {
	const struct usb_want *usb;
	const struct gpu_want *gpu;
	struct node_set *out;
	char type; /* of the nodes in the directory that is being read */
};

static void see_usb(int dir, const char *name, void *arg)
{
	struct search *s = arg;
	struct node n = { .type = 'c' };
	char bus[16], dev[16];

	/* names with a colon are interfaces */
	if (strchr(name, ':') || !usb_matches(dir, s->usb) || !numbers(dir, &n) || !attribute(dir, "busnum", bus, sizeof(bus)) ||
	    !attribute(dir, "devnum", dev, sizeof(dev)))
		return;
	(void)snprintf(n.path, sizeof(n.path), "bus/usb/%03d/%03d", atoi(bus), atoi(dev));
	node_set_add(s->out, &n);
}

int sysfs_find_usb(const char *sys, const struct usb_want *w, struct node_set *out, struct lxm_err *e)
{
	struct search s = { .usb = w, .out = out };

	return each(sys, "bus/usb/devices", see_usb, &s, e);
}

/* Up the tree to the USB device that this one hangs on. */
static bool below_usb(int dir, const struct usb_want *w)
{
	lxm_auto(fd_close) int at = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	int depth;

	for (depth = 0; at >= 0 && depth < 24; depth++) {
		int up;

		if (faccessat(at, "idVendor", F_OK, 0) == 0)
			return usb_matches(at, w);
		up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(at);
		at = up;
	}
	return false;
}

/* The name of its node in /dev. */
static bool devname(int dir, char *out, size_t size)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	const char *at;

	if (lxm_read_file_at(dir, "uevent", 4096, &text) < 0 || !text.data)
		return false;
	at = strstr(text.data, "DEVNAME=");
	if (!at || (at > text.data && at[-1] != '\n'))
		return false;
	at += strlen("DEVNAME=");
	return snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at) < (int)size && *out && *out != '/' && !strstr(out, "..");
}

static bool subsystem(int dir, char *out, size_t size)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(dir, "subsystem", to, sizeof(to) - 1);
	const char *name;

	if (n <= 0)
		return false;
	to[n] = 0;
	name = strrchr(to, '/');
	return snprintf(out, size, "%s", name ? name + 1 : to) < (int)size;
}

static bool is_usb_itself(int dir)
{
	char name[16];

	return subsystem(dir, name, sizeof(name)) && lxm_streq(name, "usb");
}

static void see_hotplug(int dir, const char *name, void *arg)
{
	struct search *s = arg;
	struct node n = { .type = s->type };

	if (sscanf(name, "%u:%u", &n.major, &n.minor) == 2 && !is_usb_itself(dir) && below_usb(dir, s->usb) &&
	    devname(dir, n.path, sizeof(n.path)))
		node_set_add(s->out, &n);
}

int sysfs_find_hotplug(const char *sys, const struct usb_want *w, struct node_set *out, struct lxm_err *e)
{
	struct search s = { .usb = w, .out = out, .type = 'c' };
	int r = each(sys, "dev/char", see_hotplug, &s, e);

	s.type = 'b';
	return r < 0 ? r : each(sys, "dev/block", see_hotplug, &s, e);
}

char *sysfs_uevent(const char *sys, const struct node *n)
{
	lxm_auto(free) char *link = lxm_asprintf("%s/dev/%s/%u:%u", sys, n->type == 'b' ? "block" : "char", n->major, n->minor);
	lxm_auto(free) char *path = realpath(link, NULL), *top = realpath(sys, NULL);
	lxm_auto(buf) struct lxm_buf vars = { 0 };
	lxm_auto(fd_close) int dir = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	char name[64], *text;

	if (dir < 0 || !top || !lxm_starts(path, top) || !subsystem(dir, name, sizeof(name)) || lxm_read_file_at(dir, "uevent", 4096, &vars) < 0)
		return NULL;
	text = lxm_asprintf("DEVPATH=%s\nSUBSYSTEM=%s\n%s", path + strlen(top), name, vars.data ? vars.data : "");
	if (strlen(text) >= HOT_UEVENT_MAX)
		text[0] = 0;
	return text;
}

/* ---- graphics cards */

static bool pci_matches(int dir, const char *want)
{
	lxm_auto(fd_close) int device = openat(dir, "device", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char to[PATH_MAX], self[40];
	const char *name, *is;
	ssize_t n;

	if (lxm_empty(want))
		return true;
	/* the link says it in more ways than one: the directory's own name counts */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", device);
	n = device < 0 ? -1 : readlink(self, to, sizeof(to) - 1);
	if (n <= 0)
		return false;
	to[n] = 0;
	name = strrchr(to, '/');
	is = name ? name + 1 : to;
	/* the domain may be left out when it is 0 */
	return strcasecmp(is, want) == 0 || (lxm_starts(is, "0000:") && strcasecmp(is + 5, want) == 0);
}

static void see_drm_node(int dir, const char *name, void *arg)
{
	struct search *s = arg;
	struct node n = { .type = 'c' };

	if (!numbers(dir, &n))
		return;
	(void)snprintf(n.path, sizeof(n.path), "dri/%.100s", name);
	node_set_add(s->out, &n);
}

static void see_card(int dir, const char *name, void *arg)
{
	struct search *s = arg;
	lxm_auto(free) char *here = NULL;

	/* card0; its outputs, card0-HDMI-A-1, lead to no nodes */
	if (!lxm_starts(name, "card") || !isdigit((unsigned char)name[4]))
		return;
	if ((!lxm_empty(s->gpu->id) && !lxm_streq(name + 4, s->gpu->id)) || !wanted(dir, "device/vendor", s->gpu->vendor) ||
	    !wanted(dir, "device/device", s->gpu->product) || !pci_matches(dir, s->gpu->pci))
		return;
	here = lxm_asprintf("/proc/self/fd/%d", dir);
	(void)each(here, "device/drm", see_drm_node, s, NULL);
}

int sysfs_find_gpu(const char *sys, const struct gpu_want *w, struct node_set *out, struct lxm_err *e)
{
	struct search s = { .gpu = w, .out = out };

	return each(sys, "class/drm", see_card, &s, e);
}
