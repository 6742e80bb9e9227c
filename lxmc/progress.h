/* Progress of long work on stderr: one redrawn line on a terminal, few plain lines elsewhere, nothing when quiet. */
#ifndef LXM_LXMC_PROGRESS_H
#define LXM_LXMC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed shows nothing. */
struct progress {
	char title[96];	    /* "Creating c1"; may be empty */
	bool on, tty, drawn;
	int64_t begun_ms, shown_ms;
	int shown_percent;
	char shown[200]; /* last plain line */
};

/** @title copied; NULL: none. A title on its own is shown at once (as lxc shows "Creating c1"). */
void progress_begin(struct progress *p, const char *title, bool quiet);
/** A server's words, as they are ("Unpack: 42% (31.2MB/s)"); "" clears. Neutralised before they are shown. */
void progress_text(struct progress *p, const char *text);
/** A bar: stage, percent 0-100 or -1, speed in bytes a second or 0. */
void progress_bar(struct progress *p, const char *stage, int percent, uint64_t speed_bytes);
/** Bytes moved by ourselves; total 0 when it is not known. */
void progress_bytes(struct progress *p, uint64_t done, uint64_t total);
/** Take the line away (the title's own line stays). */
void progress_end(struct progress *p);

#endif
