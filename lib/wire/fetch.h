/* The fetch job: what lxm-fetch does on the network for lxmd, and what it reports back. */
#ifndef LXM_WIRE_FETCH_H
#define LXM_WIRE_FETCH_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

/*
 * lxmd fills a struct fetch_job and starts lxm-fetch (lxmd/fetch) as a user without rights with these descriptors:
 */
enum { FETCH_FD_JOB = 3, FETCH_FD_SOCK, FETCH_FD_META, FETCH_FD_ROOTFS, FETCH_FD_SPOOL, FETCH_FD_END };
/*
 * SOCK is a SOCK_SEQPACKET socket that carries struct fetch_report; META, ROOTFS and SPOOL are regular files: empty ones to
 * be filled, or for FETCH_PUSH the image to send (ROOTFS only of a split one, no SPOOL).
 *
 *	FETCH_PROPERTY   any number: what the server says of the image
 *	FETCH_FOUND      the image and its size; lxm-fetch waits for one byte before it goes on, end of file ends it
 *	FETCH_PROGRESS   bytes so far
 *	FETCH_DONE       the last message: the files hold the image (it is sent)
 *	FETCH_FAILED     the last message
 *
 * lxmd checks what it gets: the fingerprint again over the files, every report for its form.
 */

enum fetch_verb {
	FETCH_STREAMS = 1, /* simplestreams: streams/v1/index.json and what it names */
	FETCH_SERVER,	   /* the REST API of LXD, Incus or lxm */
	FETCH_DIRECT,	   /* one file, described by headers of a HEAD request */
	FETCH_PUSH,	   /* the other way: upload to a server and wait for its operation */
	FETCH_VERBS
};

#define FETCH_CERT_MAX	16384u
#define FETCH_LIST_MAX	16384u
#define FETCH_URL_MAX	2048u

/* Borrowed strings; NULL counts as "". */
struct fetch_job {
	uint32_t verb;	    /* enum fetch_verb */
	uint64_t max_bytes; /* no file may become larger */
	uint32_t outside;   /* 1: connect to no address of this machine itself (base/outside.h), but to the proxies */
	const char *url;    /* http(s)://...; the server, for FETCH_DIRECT the image's address */
	const char *name;   /* alias or fingerprint; FETCH_PUSH: fingerprint */
	const char *arch;   /* FETCH_STREAMS: kernel's name of the wanted architecture */
	const char *project, *secret; /* of the server */
	const char *certificate;      /* PEM: the only certificate that the server may show; "": the system's authorities decide */
	const char *proxy_http, *proxy_https, *no_proxy;
	const char *filename, *profiles; /* FETCH_PUSH: header values */
};

/** Encode and seal into a memfd. Any thread. Returns 0, -EINVAL (a string is too long) or another -errno. */
int fetch_job_seal(const struct fetch_job *j, int *fd_out, struct lxm_err *e);

/* A decoded job; strings point into the mapping. Zeroed is empty. */
struct fetch_view {
	struct fetch_job job;
	struct wire_mapping mapping;
};

/** Map, check and decode a job. Returns 0, -EBADMSG or another -errno. */
int fetch_job_open(int fd, struct fetch_view *v, struct lxm_err *e);
/** Unmap. */
void fetch_job_close(struct fetch_view *v);

enum fetch_report_kind { FETCH_PROPERTY = 1, FETCH_FOUND, FETCH_PROGRESS, FETCH_DONE, FETCH_FAILED, FETCH_REPORTS };

#define FETCH_PROPERTIES_MAX 256

struct fetch_report {
	uint32_t kind; /* enum fetch_report_kind */
	int32_t code;  /* FAILED: positive errno value */
	int32_t http;  /* FAILED: status for the caller, 0: by code */
	uint32_t split; /* DONE: 1: META and ROOTFS are filled, 0: META only */
	uint64_t done, total; /* PROGRESS: bytes, total 0 while unknown; FOUND: total */
	char fingerprint[65]; /* FOUND: 64 lowercase hex digits */
	char key[128];	      /* PROPERTY */
	char text[1024];      /* PROPERTY: value; FAILED: why */
};

/** lxm-fetch's side; a text that is too long is cut. Returns 0 or -errno. */
int fetch_report_send(int sock, const struct fetch_report *r);

/**
 * lxmd's side: take one report; checked, because lxm-fetch has read what strangers wrote.
 *
 * Returns 1, 0 at end of file, -ETIMEDOUT, or another -errno.
 */
int fetch_report_recv(int sock, struct fetch_report *r, int timeout_ms, struct lxm_err *e);

/** Check a report that was received whole: kind, ends of strings, UTF-8, fingerprint. Returns 0 or -EBADMSG. */
int fetch_report_check(const struct fetch_report *r);

#endif
