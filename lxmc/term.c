/* The terminal, see term.h. */
#include "lxmc/term.h"

#include <sys/ioctl.h>
#include <unistd.h>

void term_raw(struct term *t)
{
	struct termios raw;

	if (t->changed || tcgetattr(STDIN_FILENO, &t->old) < 0)
		return;
	raw = t->old;
	cfmakeraw(&raw);
	t->changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void term_restore(struct term *t)
{
	if (t->changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t->old);
	t->changed = false;
}

bool term_size(int *width_out, int *height_out)
{
	struct winsize ws;

	if ((ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col) &&
	    (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col))
		return false;
	*width_out = ws.ws_col;
	*height_out = ws.ws_row;
	return true;
}
