/* Why a certificate was refused, in a word. Pure. */
#ifndef COMMON_NET_HTTP_CURL_REASON_H
#define COMMON_NET_HTTP_CURL_REASON_H

/* `verified`: X509_V_ERR_* of OpenSSL, as libcurl reports it. Static. */
const char *curl_certificate_reason(long verified);

#endif
