/* security-events/page.h
 * docs/security-events.md: what an operator reads. */
#ifndef SECURITY_EVENTS_PAGE_H
#define SECURITY_EVENTS_PAGE_H

#include <stdbool.h>

/* On stdout. False, with a word on stderr, where an event fits into no part of the page. */
bool page_print(void);

#endif
