/* boot.*: instances that start without being asked. See also instances_autostart() and instances_shutdown(). */
#ifndef LXMD_INSTANCE_BOOT_H
#define LXMD_INSTANCE_BOOT_H

struct instance;
struct lxmd;
struct restarts;

/**
 * An instance has ended and nobody asked for it: with boot.autorestart it is started again, on a worker, ten times a minute
 * at most.
 *
 * @i  as stored, expanded; out of the table of what runs
 *
 * Worker threads; does not wait.
 */
void boot_ended(struct lxmd *d, const struct instance *i);

/** The record of restarts, when the daemon ends. NULL is fine. */
void boot_restarts_free(struct restarts *r);

#endif
