/* The version of all programs, as --version and the metrics tell it. */
#ifndef COMMON_BASE_VERSION_H
#define COMMON_BASE_VERSION_H

#define CHECKOUT_VERSION "0.1.0"

#endif
