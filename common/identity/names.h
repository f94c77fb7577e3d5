/* What tokens are for, and how long the names in them may be. */
#ifndef COMMON_IDENTITY_NAMES_H
#define COMMON_IDENTITY_NAMES_H

#define JWT_AUD_API "checkout"
#define JWT_AUD_EVENTS "checkout-events"
#define JWT_USER_SIZE 256
#define JWT_CUSTOMER_SIZE 65
#define JWT_HUMAN_SIZE 256
#define JWT_EMAIL_SIZE 255

#endif
