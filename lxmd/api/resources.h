/* Inside lxmd/api: what the host is made of, read from /proc and /sys below a root descriptor. */
#ifndef LXMD_API_RESOURCES_H
#define LXMD_API_RESOURCES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

/*
 * All functions: @root is a directory that holds proc/ and sys/ ("/", or a made-up tree in a test); any thread; they
 * read small files, which may block shortly; what is not there is left out, so they do not fail.
 */

/** First line of a file without blanks at its end into out (n bytes); false (and "") if it cannot be read. */
bool sys_str(int root, char *out, size_t n, const char *fmt, ...) LXM_PRINTF(4, 5);
/** A number, decimal or 0x; dflt if it cannot be read. */
int64_t sys_int(int root, int64_t dflt, const char *fmt, ...) LXM_PRINTF(3, 4);
/** Last component of a link's target into out; false if it is no link. */
bool sys_link(int root, char *out, size_t n, const char *fmt, ...) LXM_PRINTF(4, 5);
/** Names in a directory, sorted; entries whose name starts with a dot are left out. */
void sys_list(int root, struct lxm_strv *out, const char *fmt, ...) LXM_PRINTF(3, 4);
/** Whole text file (at most 1 MiB) into out; false if it cannot be read. */
bool sys_text(int root, struct lxm_buf *out, const char *path);
/** The value after "KEY" and ':' in a text such as /proc/cpuinfo, free() it; NULL if it is not there. */
char *sys_field(const char *text, const char *key);

/* Each a new reference. */
json_t *resources_cpu(int root);
json_t *resources_memory(int root);
json_t *resources_load(int root);
json_t *resources_system(int root);
json_t *resources_pci(int root);
json_t *resources_usb(int root);
json_t *resources_gpu(int root);
json_t *resources_network(int root);
json_t *resources_storage(int root);

/**
 * Set driver, driver_version, numa_node, pci_address, vendor, vendor_id, product, product_id of the PCI or USB device
 * that a class entry belongs to.
 *
 * @dev  path of its `device` directory below root ("sys/class/net/eth0/device")
 */
void resources_identify(int root, const char *dev, json_t *o);

#endif
