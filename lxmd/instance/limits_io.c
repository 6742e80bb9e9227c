/*
 * Disk requests: the weight of an instance under contention, and ceilings for the block devices below its disks. A cgroup knows one
 * ceiling for each device: disks on the same one share the mean of what they ask for, as with LXD.
 */
#include "lxmd/instance/limits_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/device/disk_io.h"
#include "lxmd/instance/devices.h"

/* What an instance that is held back may still do. */
#define SLOW_BPS  (8u << 20)
#define SLOW_IOPS 200

int limits_set_disk_priority(const struct limits_sink *s, struct lxm_err *e)
{
	int64_t prio = 5;
	char plain[16], dflt[24];
	bool v2 = limits_v2(s, "io"), any = false;
	int r = 0;

	(void)lxm_parse_i64(lxm_kv_or(&s->i->config, "limits.disk.priority", "5"), &prio);
	/* 5 is the kernel's default of 100, 10 is twice and 0 a fiftieth of it */
	snprintf(plain, sizeof(plain), "%d", prio ? (int)prio * 20 : 2);
	snprintf(dflt, sizeof(dflt), "default %s", plain);
	if (v2 && limits_have(s, "io", "io.weight")) {
		any = true;
		r = limits_put(s, "io", NULL, "io.weight", dflt, e);
	}
	if (r == 0 && v2 && limits_have(s, "io", "io.bfq.weight")) {
		any = true;
		r = limits_put(s, "io", NULL, "io.bfq.weight", plain, e);
	}
	if (r == 0 && !v2 && limits_have(s, "blkio", "blkio.bfq.weight")) {
		any = true;
		r = limits_put(s, "blkio", "blkio.bfq.weight", NULL, plain, e);
	}
	if (r == 0 && !any)
		return lxm_err_http(e, 400, EOPNOTSUPP, "no weights for disk requests on this host (cgroup controller '%s': no I/O scheduler bfq, no io.cost)",
				    v2 ? "io" : "blkio");
	return r;
}

/* ---- ceilings */

struct ceilings {
	struct disk_io *v; /* by device */
	unsigned int *disks[4]; /* how many disks each of its four values is the sum of */
	size_t n;
};

static void ceilings_deinit(struct ceilings *c)
{
	size_t k;

	free(c->v);
	for (k = 0; k < LXM_ARRAY_LEN(c->disks); k++)
		free(c->disks[k]);
}
LXM_AUTO_STRUCT(ceilings, struct ceilings, ceilings_deinit)

static uint64_t *value(struct disk_io *io, size_t k)
{
	uint64_t *const v[] = { &io->read_bps, &io->write_bps, &io->read_iops, &io->write_iops };

	return v[k];
}

static size_t place(struct ceilings *c, const struct disk_io *io)
{
	size_t i, k;

	for (i = 0; i < c->n; i++)
		if (c->v[i].major == io->major && c->v[i].minor == io->minor)
			return i;
	c->v = lxm_realloc_n(c->v, c->n + 1, sizeof(*c->v));
	c->v[c->n] = (struct disk_io){ .major = io->major, .minor = io->minor };
	for (k = 0; k < LXM_ARRAY_LEN(c->disks); k++) {
		c->disks[k] = lxm_realloc_n(c->disks[k], c->n + 1, sizeof(**c->disks));
		c->disks[k][c->n] = 0;
	}
	return c->n++;
}

/* @all  also devices of disks without limits, and no error where there is none */
static int collect(struct lxmd *d, const struct instance *i, bool all, struct ceilings *out, struct lxm_err *e)
{
	size_t at, k;

	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, NULL);
		struct disk_io io = { 0 };
		struct lxm_err e2 = { 0 };
		int r;

		if (!lxm_streq(lxm_kv_get(&dev->kv, "type"), "disk") || (!all && !disk_io_wanted(&dev->kv)))
			continue;
		r = disk_io_read(&c, &io, &e2);
		if (r < 0 && !all) {
			if (e)
				*e = e2;
			return lxm_err_wrap(e, r, "device '%s'", dev->name);
		}
		if (r < 0 || !io.major)
			continue;
		at = place(out, &io);
		for (k = 0; k < LXM_ARRAY_LEN(out->disks); k++)
			if (*value(&io, k)) {
				*value(&out->v[at], k) += *value(&io, k);
				out->disks[k][at]++;
			}
	}
	for (at = 0; at < out->n; at++)
		for (k = 0; k < LXM_ARRAY_LEN(out->disks); k++)
			if (out->disks[k][at])
				*value(&out->v[at], k) /= out->disks[k][at];
	return 0;
}

static void hold_back(struct disk_io *io)
{
	size_t k;

	for (k = 0; k < 4; k++) {
		uint64_t most = k < 2 ? SLOW_BPS : SLOW_IOPS, *v = value(io, k);

		if (!*v || *v > most)
			*v = most;
	}
}

static const char *or_max(uint64_t n, char out[24])
{
	if (!n)
		return "max";
	snprintf(out, 24, "%" PRIu64, n);
	return out;
}

static int put(const struct limits_sink *s, struct disk_io *io, struct lxm_err *e)
{
	static const char *const files[] = { "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
					     "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device" };
	char n[4][24], text[160];
	size_t k;
	int r = 0;

	if (limits_v2(s, "io")) {
		snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s riops=%s wiops=%s", io->major, io->minor, or_max(io->read_bps, n[0]),
			 or_max(io->write_bps, n[1]), or_max(io->read_iops, n[2]), or_max(io->write_iops, n[3]));
		return limits_put(s, "io", NULL, "io.max", text, e);
	}
	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(files); k++) {
		snprintf(text, sizeof(text), "%u:%u %" PRIu64, io->major, io->minor, *value(io, k));
		/* a fresh group has no limit that could be taken away */
		if (*value(io, k) || s->mode == LIMITS_LIVE)
			r = limits_put(s, "blkio", files[k], NULL, text, e);
	}
	return r;
}

int limits_set_disks(const struct limits_sink *s, struct lxm_err *e)
{
	lxm_auto(ceilings) struct ceilings now = { 0 }, was = { 0 };
	size_t i;
	int r = collect(s->d, s->i, s->slow, &now, e);

	/* devices that had a limit and have none any more; what cannot be found any more has none either */
	if (r == 0 && s->mode == LIMITS_LIVE)
		(void)collect(s->d, s->was ? s->was : s->i, true, &was, NULL);
	for (i = 0; r == 0 && i < was.n; i++)
		(void)place(&now, &was.v[i]);
	for (i = 0; r == 0 && i < now.n; i++) {
		if (s->slow)
			hold_back(&now.v[i]);
		r = put(s, &now.v[i], e);
	}
	return r;
}

bool limits_disks_differ(const struct instance *now, const struct instance *was)
{
	static const struct lxm_devs none;
	const struct lxm_devs *a = &now->devices, *b = was ? &was->devices : &none;
	int turn;

	for (turn = 0; turn < 2; turn++) {
		lxm_devs_each(dev, turn ? b : a) {
			const struct lxm_dev *o = lxm_devs_get(turn ? a : b, dev->name);

			if (disk_io_wanted(&dev->kv) && lxm_streq(lxm_kv_get(&dev->kv, "type"), "disk") && (!o || !lxm_kv_eq(&o->kv, &dev->kv)))
				return true;
		}
	}
	return false;
}
