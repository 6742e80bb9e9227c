/* Fuzz target: the records of a volume's stream and the offer of a migration; what is taken must lie inside and be harmless. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/instance/migrate_talk.h"
#include "lxmd/storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void entry(enum record_type type, const uint8_t *data, uint32_t len)
{
	struct record_entry en;
	struct record_xattr x;
	uint32_t pos = 0, n = 0, i;

	if (record_entry_read(type, data, len, &en, NULL) < 0)
		return;
	if ((const uint8_t *)en.name < data || (const uint8_t *)en.name + en.name_len > data + len ||
	    (const uint8_t *)en.target + en.target_len > data + len || en.xattrs + en.xattrs_len > data + len || (en.mode & ~07777u))
		abort();
	for (i = 0; i < en.name_len; i++)
		if (en.name[i] == '/' || !en.name[i])
			abort();
	if (type == RECORD_ENTRY && (en.name_len == 0 || (en.name_len <= 2 && memcmp(en.name, "..", en.name_len) == 0)))
		abort();
	while (record_xattr_next(&en, &pos, &x)) {
		if ((const uint8_t *)x.value + x.len > data + len || strlen(x.name) > 255)
			abort();
		n++;
	}
	if (n != en.n_xattrs)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mig_offer offer = { 0 };
	enum record_type type;
	uint32_t len;

	if (size >= RECORD_HEAD && record_head_read(data, &type, &len, NULL) == 0) {
		if (len > RECORD_ENTRY_MAX)
			abort();
		if ((type == RECORD_ENTRY || type == RECORD_UP) && size - RECORD_HEAD >= len)
			entry(type, data + RECORD_HEAD, len);
	}
	if (size && data[0] == '{')
		(void)mig_offer_parse((const char *)data, size, &offer, NULL);
	mig_offer_deinit(&offer);
	return 0;
}
