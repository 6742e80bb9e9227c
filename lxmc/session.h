/* The streams of a running exec or console: terminal or pipes on our side, websockets on the server's. */
#ifndef LXM_LXMC_SESSION_H
#define LXM_LXMC_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "lxmc/client.h"

struct session_spec {
	struct client *client;
	const char *operation; /* its id */
	const json_t *fds;     /* stream name to secret, from the operation's metadata */
	bool interactive;      /* one pty stream instead of three pipes */
	bool raw;	       /* put the terminal on stdin into raw mode meanwhile */
	bool console;	       /* ^a q leaves; leaving closes the control stream */
	int in_fd;	       /* what feeds the command; borrowed */
};

/**
 * Carry bytes, window sizes and signals until the operation has ended and every output is drained.
 *
 * @op_out  the final operation, owned; NULL if stdout was closed and the server did not end the command
 *
 * Blocks; catches the signals that are forwarded. Output that nobody takes stops the command and not us. Returns 0
 * whatever became of the operation, -errno when the server was lost.
 */
int session_run(const struct session_spec *spec, json_t **op_out, struct lxm_err *e);

#endif
