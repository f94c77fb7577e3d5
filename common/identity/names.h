/* What tokens are for, and how long the names in them may be. */
#ifndef COMMON_IDENTITY_NAMES_H
#define COMMON_IDENTITY_NAMES_H

#define JWT_AUD_API "checkout"
#define JWT_AUD_EVENTS "checkout-events"
#define JWT_AUD_CONSOLE "checkout-console"
#define JWT_USER_SIZE 256
#define JWT_CUSTOMER_SIZE 65
#define JWT_HUMAN_SIZE 256
#define JWT_EMAIL_SIZE 255

/* What a token for the console allows: words of its claim `scope`. Each that writes reads, too. */
enum jwt_scope {
    JWT_SCOPE_SHOP_READ = 1,
    JWT_SCOPE_SHOP = 2,
    JWT_SCOPE_OPERATOR_READ = 4,
    JWT_SCOPE_OPERATOR = 8,
};

#endif
