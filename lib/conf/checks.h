/* Checkers of values, for key tables and for everyone else who is handed such a value. */
#ifndef LXM_CONF_CHECKS_H
#define LXM_CONF_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf/conf.h"

/*
 * All have the type confcheck_fn: 0, or -EINVAL with a text that says what is accepted (without the key, which the
 * caller puts in front). Any thread, no blocking.
 */
int check_cpus(const char *key, const char *value, struct lxm_err *e);	    /* "2", "0-3", "0,2-3" */
int check_cpu_nodes(const char *key, const char *value, struct lxm_err *e); /* "0", "0-1", "balanced" */
int check_cpu_allowance(const char *key, const char *value, struct lxm_err *e); /* "50%", "25ms/100ms" */
int check_memory(const char *key, const char *value, struct lxm_err *e);    /* bytes or "50%" */
int check_swap(const char *key, const char *value, struct lxm_err *e);	    /* boolean or bytes */
int check_priority(const char *key, const char *value, struct lxm_err *e);  /* 0-10 */
int check_percent(const char *key, const char *value, struct lxm_err *e);   /* 0-100 */
int check_positive(const char *key, const char *value, struct lxm_err *e);  /* > 0 */
int check_u32(const char *key, const char *value, struct lxm_err *e);	    /* 0 .. 2^32-1 */
int check_id(const char *key, const char *value, struct lxm_err *e);	    /* uid, gid: 0 .. 2^32-2 */
int check_octal_mode(const char *key, const char *value, struct lxm_err *e); /* 0000 .. 7777 */
int check_mac(const char *key, const char *value, struct lxm_err *e);	    /* unicast Ethernet address */
int check_mtu(const char *key, const char *value, struct lxm_err *e);	    /* 68 .. 65535 */
int check_vlan(const char *key, const char *value, struct lxm_err *e);	    /* 0 .. 4094 or "none" */
int check_link(const char *key, const char *value, struct lxm_err *e);	    /* name of a network link */
int check_ip4(const char *key, const char *value, struct lxm_err *e);	    /* address or "none" */
int check_ip6(const char *key, const char *value, struct lxm_err *e);
int check_net4(const char *key, const char *value, struct lxm_err *e);	    /* CIDR with host part, "auto", "none" */
int check_net6(const char *key, const char *value, struct lxm_err *e);
int check_cidr4_list(const char *key, const char *value, struct lxm_err *e); /* comma list of CIDR */
int check_cidr6_list(const char *key, const char *value, struct lxm_err *e);
int check_range4_list(const char *key, const char *value, struct lxm_err *e); /* comma list of FIRST-LAST */
int check_range6_list(const char *key, const char *value, struct lxm_err *e);
int check_rate(const char *key, const char *value, struct lxm_err *e);	    /* "10Mbit", "1Gbit" */
int check_io(const char *key, const char *value, struct lxm_err *e);	    /* bytes per second or "500iops" */
int check_duration(const char *key, const char *value, struct lxm_err *e);  /* seconds, or "30s", "5m", "1h" */
int check_expiry(const char *key, const char *value, struct lxm_err *e);    /* "1M 2H 3d 4w 5m 6y" */
int check_cron(const char *key, const char *value, struct lxm_err *e);	    /* five fields or comma list of @daily ... */
int check_uuid(const char *key, const char *value, struct lxm_err *e);
int check_idmap(const char *key, const char *value, struct lxm_err *e);	    /* lines "uid|gid|both HOST CONTAINER" */
int check_rlimit(const char *key, const char *value, struct lxm_err *e);    /* "unlimited", "N", "SOFT:HARD" */
int check_sysctl(const char *key, const char *value, struct lxm_err *e);    /* looks at the key: linux.sysctl.NAME */
int check_env(const char *key, const char *value, struct lxm_err *e);	    /* key is a C identifier, value one line */
int check_modules(const char *key, const char *value, struct lxm_err *e);   /* comma list of module names */
int check_filesystems(const char *key, const char *value, struct lxm_err *e); /* comma list of filesystems on block devices */
int check_fuse(const char *key, const char *value, struct lxm_err *e);	    /* comma list of FILESYSTEM=PROGRAM */
int check_raw_lxc(const char *key, const char *value, struct lxm_err *e);   /* lines that raw_lxc_translate() knows */
int check_syscalls(const char *key, const char *value, struct lxm_err *e);  /* lines "NAME [actions]" */
int check_architecture(const char *key, const char *value, struct lxm_err *e); /* the kernel's name or Debian's */
int check_compression(const char *key, const char *value, struct lxm_err *e); /* a known algorithm: never a command */
int check_pattern(const char *key, const char *value, struct lxm_err *e);   /* snapshot name with one %d at most */
int check_abs_path(const char *key, const char *value, struct lxm_err *e);  /* absolute, no ".." component */
int check_listen(const char *key, const char *value, struct lxm_err *e);    /* "[ADDR]:PORT", port optional */
int check_proxy_end(const char *key, const char *value, struct lxm_err *e); /* "tcp:ADDR:PORTS", "unix:PATH" */
int check_hex4(const char *key, const char *value, struct lxm_err *e);	    /* usb and pci ids */
int check_pci_slot(const char *key, const char *value, struct lxm_err *e);
int check_domain(const char *key, const char *value, struct lxm_err *e);    /* DNS name */
int check_hostname_list(const char *key, const char *value, struct lxm_err *e); /* comma list of DNS names */
int check_ip_list(const char *key, const char *value, struct lxm_err *e);   /* comma list of IP addresses */
int check_url(const char *key, const char *value, struct lxm_err *e);	    /* http:// or https:// */

/**
 * A value that must be one of a few words.
 *
 * @words  separated by '|', for instance "hard|soft"
 *
 * Returns 0 or -EINVAL with a text that lists the words.
 */
int check_words(const char *value, const char *words, struct lxm_err *e);

/**
 * Read a cpu set.
 *
 * @value  "0-3,5"
 * @each   called for each CPU in rising order of the text, may be NULL; CPUs above 4095 are refused
 *
 * Returns 0 or -EINVAL.
 */
int conf_parse_cpuset(const char *value, void (*each)(unsigned int cpu, void *arg), void *arg);

/** "10Mbit" or a bare number of bits per second. Returns 0 or -EINVAL. */
int conf_parse_rate(const char *value, uint64_t *bits_out);

/** "25ms/100ms" (quota, period) or "50%" (then *period_us_out is 0 and *quota_out the percentage). Returns 0 or -EINVAL. */
int conf_parse_allowance(const char *value, uint64_t *quota_out, uint64_t *period_us_out);

#endif
