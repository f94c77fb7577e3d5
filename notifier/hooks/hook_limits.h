/* Bounds of endpoints, as the tables have them. */
#ifndef NOTIFIER_HOOKS_HOOK_LIMITS_H
#define NOTIFIER_HOOKS_HOOK_LIMITS_H

#define HOOK_ENDPOINTS_MAX 16
#define HOOK_NAME_SIZE 41 /* with NUL */

#endif
