/* base/ip_address.h
 * Addresses as proxies write them: "203.0.113.7", "203.0.113.7:49152", "2001:db8::7", "[2001:db8::7]:49152". Pure. */
#ifndef AZFN_BASE_IP_ADDRESS_H
#define AZFN_BASE_IP_ADDRESS_H

#include <azfn.h>

/* The address inside of text, without brackets and port; absent where text is anything else. */
struct azfn_span azfn__ip_address_of(struct azfn_span text);

#endif
