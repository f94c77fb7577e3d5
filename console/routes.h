/* Which call of the API a request is, and what its token must allow. */
#ifndef CONSOLE_ROUTES_H
#define CONSOLE_ROUTES_H

#include "common/net/http/http.h"

/* `arg`: the struct console. */
void routes_handle(struct http_request *request, void *arg);

#endif
