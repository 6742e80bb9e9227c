/* Progress lines, see progress.h. Redraws at most ten times a second; plain lines at most one in ten percent or 5 s. */
#include "lxmc/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmc/out.h"

#define REDRAW_MS 100
#define PLAIN_MS  5000
#define QUICK_MS  300 /* work that is done sooner shows nothing but its title */
#define BAR_CELLS 24

static void draw(struct progress *p, const char *line)
{
	int columns = out_columns(STDERR_FILENO);
	lxm_auto(free) char *cut = out_cut(line, columns > 1 ? (size_t)columns - 1 : 79);

	fprintf(stderr, "\r%s\033[K", cut);
	fflush(stderr);
	p->drawn = true;
}

void progress_begin(struct progress *p, const char *title, bool quiet)
{
	memset(p, 0, sizeof(*p));
	p->on = !quiet;
	p->tty = out_tty(STDERR_FILENO);
	p->begun_ms = lxm_mono_ms();
	p->shown_percent = -1;
	if (!title)
		return;
	snprintf(p->title, sizeof(p->title), "%s", title);
	if (!p->on)
		return;
	if (p->tty)
		draw(p, title);
	else
		fprintf(stderr, "%s\n", title);
}

/* Whether two texts differ only behind their first word or colon: the same work, a bit further. */
static bool same_stage(const char *a, const char *b)
{
	size_t n = strcspn(a, ":0123456789");

	return strncmp(a, b, n) == 0 && strcspn(b, ":0123456789") == n;
}

static void show(struct progress *p, const char *text, int percent)
{
	int64_t now = lxm_mono_ms();
	lxm_auto(free) char *safe = NULL;
	char line[400];

	if (!p->on || now - p->begun_ms < QUICK_MS)
		return;
	safe = out_safe(text);
	snprintf(line, sizeof(line), "%s%s%s", p->title, *p->title && *safe ? ": " : "", safe);
	if (p->tty) {
		if (p->drawn && p->shown_ms && now - p->shown_ms < REDRAW_MS && percent < 100)
			return;
		draw(p, line);
		p->shown_ms = now;
		return;
	}
	if (!*safe || strcmp(p->shown, safe) == 0)
		return;
	if (p->shown_ms && now - p->shown_ms < PLAIN_MS && same_stage(p->shown, safe) &&
	    (percent < 0 || percent < p->shown_percent + 10))
		return;
	fprintf(stderr, "%s\n", line);
	snprintf(p->shown, sizeof(p->shown), "%s", safe);
	p->shown_ms = now;
	p->shown_percent = percent;
}

void progress_text(struct progress *p, const char *text)
{
	const char *pc = strchr(text, '%');
	int percent = -1;

	if (pc) {
		const char *d = pc;

		while (d > text && d[-1] >= '0' && d[-1] <= '9')
			d--;
		if (d < pc && pc - d <= 3)
			percent = atoi(d);
	}
	show(p, text, percent);
}

void progress_bar(struct progress *p, const char *stage, int percent, uint64_t speed_bytes)
{
	lxm_auto(free) char *speed = speed_bytes ? lxm_format_bytes(speed_bytes) : NULL;
	char bar[BAR_CELLS + 1], text[300];
	int full;

	if (percent > 100)
		percent = 100;
	full = percent * BAR_CELLS / 100;
	if (percent >= 0 && p->tty) {
		memset(bar, '-', BAR_CELLS);
		memset(bar, '#', (size_t)full);
		bar[BAR_CELLS] = 0;
		snprintf(text, sizeof(text), "%s [%s] %3d%%%s%s%s", stage, bar, percent, speed ? "  " : "",
			 speed ? speed : "", speed ? "/s" : "");
	} else if (percent >= 0) {
		snprintf(text, sizeof(text), "%s %d%%%s%s%s", stage, percent, speed ? " (" : "", speed ? speed : "",
			 speed ? "/s)" : "");
	} else {
		snprintf(text, sizeof(text), "%s%s%s%s", stage, speed ? " (" : "", speed ? speed : "",
			 speed ? "/s)" : "");
	}
	show(p, text, percent);
}

void progress_bytes(struct progress *p, uint64_t done, uint64_t total)
{
	int64_t ms = lxm_mono_ms() - p->begun_ms;
	uint64_t speed = ms > 200 ? done * 1000 / (uint64_t)ms : 0;
	lxm_auto(free) char *have = lxm_format_bytes(done);

	progress_bar(p, have, total ? (int)(done * 100 / total) : -1, speed);
}

void progress_end(struct progress *p)
{
	if (!p->on || !p->tty || !p->drawn)
		return;
	fprintf(stderr, "\r\033[K%s%s", p->title, *p->title ? "\n" : "");
	fflush(stderr);
	p->drawn = false;
}
