/*
 * Text for terminals, see out.h. Names and messages come from servers and containers, so nothing of them reaches a
 * terminal unfiltered. Widths come from a short table of our own: loading a locale would cost more than a whole exec.
 */
#include "lxmc/out.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/sink.h"

/* Decode one character of n > 0 bytes; bytes used in *len, or -1 if it is not UTF-8 (*len is 1 then). */
static int32_t decode(const char *s, size_t n, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t want = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	int32_t c;
	size_t i;

	*len = 1;
	if (want == 1)
		return p[0];
	if (want > n || !lxm_utf8_ok(s, want))
		return -1;
	c = p[0] & (0x7f >> want);
	for (i = 1; i < want; i++)
		c = c << 6 | (p[i] & 0x3f);
	*len = want;
	return c;
}

/* Characters that move the cursor, end lines or turn the writing direction. */
static bool is_unsafe(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0xfeff;
}

static char *make_safe(const char *s, size_t n, bool lines)
{
	struct lxm_buf b = { 0 };
	size_t len;

	for (; n; s += len, n -= len) {
		int32_t c = decode(s, n, &len);

		if (c < 0 || (c < 0x100 && is_unsafe(c) && !(lines && c == '\n') && c != '\t'))
			lxm_buf_fmt(&b, "\\x%02x", c < 0 ? (unsigned char)*s : (unsigned int)c);
		else if (c == '\t')
			lxm_buf_chr(&b, ' ');
		else if (is_unsafe(c) && c >= 0x100)
			lxm_buf_fmt(&b, "\\u%04x", (unsigned int)c);
		else
			lxm_buf_add(&b, s, len);
	}
	return lxm_buf_take(&b);
}

char *out_safe(const char *s)
{
	return make_safe(s, strlen(s), false);
}

char *out_safe_lines(const char *s)
{
	return make_safe(s, strlen(s), true);
}

/* Ranges that take no column, and that take two (East Asian wide, emoji). */
static const struct {
	int32_t from, to;
	size_t width;
} widths[] = {
	{ 0x0300, 0x036f, 0 },	 { 0x0483, 0x0489, 0 },	  { 0x0591, 0x05bd, 0 },   { 0x064b, 0x065f, 0 },
	{ 0x1100, 0x115f, 2 },	 { 0x1ab0, 0x1aff, 0 },	  { 0x1dc0, 0x1dff, 0 },   { 0x200b, 0x200d, 0 },
	{ 0x20d0, 0x20ff, 0 },	 { 0x2e80, 0x303e, 2 },	  { 0x3041, 0xa4cf, 2 },   { 0xa960, 0xa97c, 2 },
	{ 0xac00, 0xd7a3, 2 },	 { 0xf900, 0xfaff, 2 },	  { 0xfe00, 0xfe0f, 0 },   { 0xfe20, 0xfe2f, 0 },
	{ 0xfe30, 0xfe6f, 2 },	 { 0xff00, 0xff60, 2 },	  { 0xffe0, 0xffe6, 2 },   { 0x1f300, 0x1f64f, 2 },
	{ 0x1f680, 0x1f6ff, 2 }, { 0x1f900, 0x1f9ff, 2 }, { 0x20000, 0x3fffd, 2 }, { 0xe0100, 0xe01ef, 0 },
};

static size_t char_width(int32_t c)
{
	size_t i;

	if (c < 0x300)
		return 1;
	for (i = 0; i < LXM_ARRAY_LEN(widths); i++)
		if (c >= widths[i].from && c <= widths[i].to)
			return widths[i].width;
	return 1;
}

size_t out_width(const char *s, size_t n)
{
	size_t w = 0, len;

	for (; n; s += len, n -= len)
		w += char_width(decode(s, n, &len));
	return w;
}

char *out_cut(const char *s, size_t columns)
{
	size_t n = strlen(s), at = 0, len, w = 0;

	while (at < n) {
		size_t cw = char_width(decode(s + at, n - at, &len));

		if (w + cw > columns)
			break;
		w += cw;
		at += len;
	}
	return lxm_strndup(s, at);
}

bool out_tty(int fd)
{
	return isatty(fd) == 1;
}

int out_columns(int fd)
{
	struct winsize ws;

	return ioctl(fd, TIOCGWINSZ, &ws) == 0 ? ws.ws_col : 0;
}

bool out_colour(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return out_tty(fd) && lxm_empty(no) && term && strcmp(term, "dumb") != 0;
}

void out_error(const char *text)
{
	lxm_auto(free) char *safe = out_safe(text);
	bool colour = out_colour(STDERR_FILENO);

	if (sink_active()) {
		sink_error(text);
		return;
	}
	fflush(stdout);
	fprintf(stderr, "%sError:%s %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "", safe);
}

void out_text(const char *s, size_t n)
{
	lxm_auto(free) char *safe = NULL;

	if (!out_tty(STDOUT_FILENO)) {
		fwrite(s, 1, n, stdout);
		return;
	}
	safe = make_safe(s, n, true);
	fputs(safe, stdout);
}

void out_json(const json_t *data, bool indent)
{
	size_t flags = JSON_ENCODE_ANY | (out_tty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
	lxm_auto(free) char *text = NULL;

	if (sink_active()) {
		sink_object(data);
		return;
	}
	text = json_dumps(data, flags | (indent ? JSON_INDENT(2) : JSON_COMPACT));
	if (text)
		puts(text);
}
