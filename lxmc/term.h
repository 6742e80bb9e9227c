/* The terminal on stdin: raw mode and size. */
#ifndef LXM_LXMC_TERM_H
#define LXM_LXMC_TERM_H

#include <stdbool.h>
#include <termios.h>

/* What to put back. Zeroed: nothing. */
struct term {
	struct termios old;
	bool changed;
};

/** Raw mode on stdin if it is a terminal; remembers what was there. */
void term_raw(struct term *t);
/** Put it back; may be called twice. */
void term_restore(struct term *t);
/** Size of the terminal on stdin or stdout; false if neither is one. */
bool term_size(int *width_out, int *height_out);

#endif
