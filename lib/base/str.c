/* Strings, see str.h. Any thread, no state; allocation failures end the process (see alloc.h). */
#include "lib/base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "lib/base/alloc.h"

void lxm_buf_deinit(struct lxm_buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

static void buf_grow(struct lxm_buf *b, size_t more)
{
	size_t need = b->len + more + 1;

	if (need <= b->cap)
		return;
	if (need < b->cap * 2)
		need = b->cap * 2;
	if (need < 64)
		need = 64;
	b->data = lxm_realloc_n(b->data, need, 1);
	b->cap = need;
}

void lxm_buf_add(struct lxm_buf *b, const void *data, size_t len)
{
	buf_grow(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void lxm_buf_room(struct lxm_buf *b, size_t n)
{
	buf_grow(b, n);
}

void lxm_buf_str(struct lxm_buf *b, const char *s)
{
	lxm_buf_add(b, s, strlen(s));
}

void lxm_buf_chr(struct lxm_buf *b, char c)
{
	lxm_buf_add(b, &c, 1);
}

void lxm_buf_vfmt(struct lxm_buf *b, const char *fmt, va_list ap)
{
	va_list ap2;
	int n;

	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap2);
	va_end(ap2);
	if (n < 0)
		return;
	buf_grow(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void lxm_buf_fmt(struct lxm_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lxm_buf_vfmt(b, fmt, ap);
	va_end(ap);
}

char *lxm_buf_take(struct lxm_buf *b)
{
	char *s = b->data ? b->data : lxm_strdup("");

	memset(b, 0, sizeof(*b));
	return s;
}

void lxm_strv_deinit(struct lxm_strv *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

void lxm_strv_take(struct lxm_strv *s, char *str)
{
	/* grow by doubling: room is there unless n+1 is a power of two (n strings and a NULL) */
	if (!s->v || ((s->n + 1) & s->n) == 0)
		s->v = lxm_realloc_n(s->v, (s->n + 1) * 2, sizeof(*s->v));
	s->v[s->n++] = str;
	s->v[s->n] = NULL;
}

void lxm_strv_add(struct lxm_strv *s, const char *str)
{
	lxm_strv_take(s, lxm_strdup(str));
}

void lxm_strv_copy(struct lxm_strv *to, const struct lxm_strv *from)
{
	size_t i;

	lxm_strv_deinit(to);
	for (i = 0; i < from->n; i++)
		lxm_strv_add(to, from->v[i]);
}

bool lxm_strv_has(const struct lxm_strv *s, const char *str)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i], str) == 0)
			return true;
	return false;
}

bool lxm_strv_del(struct lxm_strv *s, const char *str)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (strcmp(s->v[i], str) != 0)
			continue;
		free(s->v[i]);
		memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof(*s->v));
		s->n--;
		return true;
	}
	return false;
}

void lxm_strv_split(struct lxm_strv *s, const char *str, char sep)
{
	const char *end;

	for (; str && *str; str = *end ? end + 1 : end) {
		end = strchrnul(str, sep);
		if (end > str)
			lxm_strv_take(s, lxm_strndup(str, (size_t)(end - str)));
	}
}

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void lxm_strv_sort(struct lxm_strv *s)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), cmp_str);
}

char *lxm_strv_join(const struct lxm_strv *s, const char *sep)
{
	struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (i)
			lxm_buf_str(&b, sep);
		lxm_buf_str(&b, s->v[i]);
	}
	return lxm_buf_take(&b);
}

bool lxm_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool lxm_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

int lxm_parse_bool(const char *s)
{
	static const char *const yes[] = { "true", "1", "yes", "on" };
	static const char *const no[] = { "false", "0", "no", "off" };
	size_t i;

	for (i = 0; s && i < LXM_ARRAY_LEN(yes); i++) {
		if (strcasecmp(s, yes[i]) == 0)
			return 1;
		if (strcasecmp(s, no[i]) == 0)
			return 0;
	}
	return -1;
}

int lxm_parse_u64(const char *s, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (!s || !isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*out = v;
	return 0;
}

int lxm_parse_i64(const char *s, int64_t *out)
{
	bool neg = s && *s == '-';
	uint64_t v;
	int r = lxm_parse_u64(neg ? s + 1 : s, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + neg)
		return -ERANGE;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int lxm_parse_bytes(const char *s, uint64_t *out)
{
	static const char units[] = "kMGTPE";
	uint64_t v, mul = 1, base;
	const char *u;
	char *end;

	if (!s || !isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	while (*end == ' ')
		end++;
	if (*end && strcmp(end, "B") != 0 && strcmp(end, "bytes") != 0) {
		char first = *end == 'K' ? 'k' : *end;

		u = strchr(units, first);
		if (!u)
			return -EINVAL;
		if (strcmp(end + 1, "B") == 0)
			base = 1000;
		else if (strcmp(end + 1, "iB") == 0)
			base = 1024;
		else
			return -EINVAL;
		for (; u >= units; u--)
			mul *= base;
	}
	if (__builtin_mul_overflow(v, mul, out))
		return -ERANGE;
	return 0;
}

char *lxm_format_bytes(uint64_t n)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n;
	size_t i = 0;

	if (n < 1024)
		return lxm_asprintf("%lluB", (unsigned long long)n);
	for (v /= 1024; v >= 1024 && i + 1 < LXM_ARRAY_LEN(units); i++)
		v /= 1024;
	return lxm_asprintf("%.2f%s", v, units[i]);
}

bool lxm_utf8_ok(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;

	while (p < end) {
		uint32_t c = *p++, min;
		int more;

		if (c == 0)
			return false;
		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c < 0xe0)
			more = 1, c &= 0x1f, min = 0x80;
		else if (c >= 0xe0 && c < 0xf0)
			more = 2, c &= 0x0f, min = 0x800;
		else if (c >= 0xf0 && c < 0xf5)
			more = 3, c &= 0x07, min = 0x10000;
		else
			return false;
		for (; more; more--) {
			if (p >= end || (*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p++ & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

char *lxm_utf8_clean(const char *s)
{
	struct lxm_buf b = { 0 };
	size_t n;

	for (; *s; s += n) {
		for (n = 1; n < 4 && s[n] && !lxm_utf8_ok(s, n);)
			n++;
		if (lxm_utf8_ok(s, n)) {
			lxm_buf_add(&b, s, n);
		} else {
			lxm_buf_str(&b, "\xef\xbf\xbd");
			n = 1;
		}
	}
	return lxm_buf_take(&b);
}

void lxm_hex(char *out, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

bool lxm_is_hex(const char *s, size_t min, size_t max)
{
	size_t n = strspn(s, "0123456789abcdef");

	return s[n] == 0 && n >= min && n <= max;
}

void lxm_random(void *out, size_t n)
{
	unsigned char *p = out;

	while (n) {
		ssize_t r = getrandom(p, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			abort();
		p += r;
		n -= (size_t)r;
	}
}

char *lxm_random_hex(size_t n)
{
	unsigned char *raw = lxm_alloc(n);
	char *s = lxm_alloc(2 * n + 1);

	lxm_random(raw, n);
	lxm_hex(s, raw, n);
	free(raw);
	return s;
}

void lxm_uuid(char out[37])
{
	unsigned char b[16];
	char h[33];

	lxm_random(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	lxm_hex(h, b, sizeof(b));
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

bool lxm_is_uuid(const char *s)
{
	size_t i;

	for (i = 0; s && s[i] && i < 37; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
	return s && i == 36;
}

char *lxm_url_encode(const char *s, const char *keep)
{
	struct lxm_buf b = { 0 };

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c < 0x80 && isalnum(c)) || strchr("-._~", c) || (keep && strchr(keep, c)))
			lxm_buf_chr(&b, (char)c);
		else
			lxm_buf_fmt(&b, "%%%02X", c);
	}
	return lxm_buf_take(&b);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *lxm_url_decode(const char *s, size_t len, bool plus)
{
	struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int hi, lo;

			hi = i + 1 < len ? hex_digit(s[i + 1]) : -1;
			lo = i + 2 < len ? hex_digit(s[i + 2]) : -1;
			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
				lxm_buf_deinit(&b);
				return NULL;
			}
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		lxm_buf_chr(&b, c);
	}
	return lxm_buf_take(&b);
}

bool lxm_secret_eq(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), i;
	volatile unsigned char diff = n != m;

	for (i = 0; i < n; i++)
		diff |= (unsigned char)(a[i] ^ (m ? b[i % m] : 0));
	return diff == 0;
}
