/*
 * Work on many hosts side by side: one child process for each host, so that verbs keep their one thread, their signals and
 * their stdout; what they say comes back through pipes and their reports (sink.h) as data. Bounded: so many hosts at a time,
 * but one that does not answer gives its place to the next after a second, so all silent ones together cost one time-out.
 */
#ifndef LXM_LXMC_FLEET_H
#define LXM_LXMC_FLEET_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum fleet_state { FLEET_WAITING, FLEET_RUNNING, FLEET_DONE };

struct fleet_host {
	const char *name; /* borrowed */
	enum fleet_state state;
	int status;	  /* exit status once done; 128 + N: killed by signal N */
	bool answered;	  /* the server has said something */
	bool timed_out;
	struct lxm_buf text[2];	 /* stdout and stderr: what on_text left */
	struct lxm_strv errors;	 /* reported ones */
	json_t *list, *object;	 /* the last such report; owned */
	/* ---- of fleet.c */
	pid_t pid;
	int fd[3];  /* stdout, stderr, reports; -1 once at their end */
	int in_fd;  /* its stdin, -1: none or at its end */
	off_t in_at;
	struct lxm_buf reports; /* a line that is not whole yet */
	int64_t started_ms;
};

struct fleet {
	struct fleet_host *v; /* owned, n of them, in the order of the names */
	size_t n;
	/* ---- set before fleet_run() */
	int parallel;	   /* hosts at a time */
	int64_t answer_ms; /* until a host's first answer */
	int64_t total_ms;  /* until a host is done; 0: no limit */
	bool feed_stdin;   /* each host gets a copy of our stdin; else nothing */
	/** In the child, stdout and stderr redirected and the sink open. Returns the exit status. */
	int (*work)(void *arg, const char *host);
	/** May be NULL. New text of a host in h->text[which]; take out of it what is done. @end: no more will come. */
	void (*on_text)(void *arg, struct fleet_host *h, int which, bool end);
	/** May be NULL. A sample (borrowed). */
	void (*on_sample)(void *arg, struct fleet_host *h, const json_t *sample);
	/** May be NULL. After each wake-up; returns how long poll may sleep (< 0: for ever), or -ECANCELED to end all. */
	int (*on_turn)(void *arg, bool key_ready);
	int key_fd; /* on_turn() is told when it can be read; -1: none */
	void *arg;
	/* ---- after it */
	bool interrupted; /* ^C, or on_turn() ended it */
};

/** Hosts from names (borrowed for the fleet's life), with defaults set. */
void fleet_init(struct fleet *f, const struct lxm_strv *names);
void fleet_deinit(struct fleet *f);
LXM_AUTO_STRUCT(fleet, struct fleet, fleet_deinit)

/**
 * Run until every host is done. ^C and its like are passed on to all; nothing new begins then, and the third one kills.
 *
 * Returns 0 whatever became of the hosts, or -errno when no process could be made.
 */
int fleet_run(struct fleet *f, struct lxm_err *e);

#endif
