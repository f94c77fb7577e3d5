#include "common/net/http/curl_reason.h"

#include <openssl/x509_vfy.h>

const char *curl_certificate_reason(long verified)
{
    switch (verified) {
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED: /* so libcurl leaves it when it refuses the host itself */
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "certificate_of_another_host";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate_expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate_not_yet_valid";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "certificate_self_signed";
    default:
        return "certificate_not_trusted";
    }
}
