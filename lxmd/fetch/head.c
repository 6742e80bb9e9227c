/* Header lines of answers: a few fields of fixed size, the rest is passed over. lxm-fetch; the lines are a stranger's. */
#include <string.h>
#include <strings.h>

#include "lxmd/fetch/web.h"

/* True if the line is this header; out stays "" when the value is too long or holds a NUL. */
static bool take(const char *line, size_t len, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	for (line += n + 1, len -= n + 1; len && (*line == ' ' || *line == '\t'); line++, len--)
		;
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	*out = 0;
	if (len < room && !memchr(line, 0, len)) {
		memcpy(out, line, len);
		out[len] = 0;
	}
	return true;
}

void web_head_line(struct web_reply *reply, const char *line, size_t len)
{
	static const char *const hash[] = { "LXD-Image-Hash", "Incus-Image-Hash" }, *const url[] = { "LXD-Image-URL", "Incus-Image-URL" };
	size_t i;

	/* a redirect's headers are not the answer's */
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0)
		memset(reply, 0, sizeof(*reply));
	for (i = 0; i < 2; i++)
		if (take(line, len, hash[i], reply->image_hash, sizeof(reply->image_hash)) ||
		    take(line, len, url[i], reply->image_url, sizeof(reply->image_url)))
			return;
	if (take(line, len, "Content-Type", reply->content_type, sizeof(reply->content_type)))
		reply->multipart = strncasecmp(reply->content_type, "multipart/form-data", 19) == 0;
}
