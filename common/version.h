/* The version of all programs, as --version and the metrics tell it. */
#ifndef CHECKOUT_VERSION_H
#define CHECKOUT_VERSION_H

#define CHECKOUT_VERSION "0.1.0"

#endif
