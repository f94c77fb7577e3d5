/* What writing and reading of records share. */
#ifndef DEPLOY_SANDBOX_RECORD_IMPL_H
#define DEPLOY_SANDBOX_RECORD_IMPL_H

#include "deploy/sandbox/record.h"

#define CHECKSUM_LEN 16
#define NUMBER_LEN 16
#define KINDS 10
#define INTENT_STATUSES 7
#define REFUND_STATUSES 3
#define DISPUTE_STATUSES 3

extern const char *const record_kinds[KINDS];
extern const char *const record_intent_statuses[INTENT_STATUSES];
extern const char *const record_refund_statuses[REFUND_STATUSES];
extern const char *const record_dispute_statuses[DISPUTE_STATUSES];

/* Writes `number` as `len` lower-case hexadecimal digits. */
void record_write_hex(char *out, uint64_t number, size_t len);
/* Reads exactly `len` lower-case hexadecimal digits. ERR_PARSE. */
MUST_CHECK int record_read_hex(const char *text, size_t len, uint64_t *ret_number);

#endif
