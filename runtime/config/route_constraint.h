/* config/route_constraint.h
 * What a parameter of a route may be: {id:int}, {name:length(3,5)}. Read and judged as ASP.NET Core does it
 * for the invariant culture. Pure. */
#ifndef AZFN_CONFIG_ROUTE_CONSTRAINT_H
#define AZFN_CONFIG_ROUTE_CONSTRAINT_H

#include <azfn.h>

enum azfn__route_constraint_kind {
    AZFN__ROUTE_INT,
    AZFN__ROUTE_LONG,
    AZFN__ROUTE_BOOL,
    AZFN__ROUTE_DATETIME, /* wider than the host's: what looks like a date; the host has checked it */
    AZFN__ROUTE_DECIMAL,
    AZFN__ROUTE_DOUBLE,
    AZFN__ROUTE_FLOAT,
    AZFN__ROUTE_GUID, /* the forms N, D, B and P */
    AZFN__ROUTE_ALPHA,
    AZFN__ROUTE_REQUIRED,
    AZFN__ROUTE_FILE,
    AZFN__ROUTE_NONFILE,
    AZFN__ROUTE_REGEX, /* always met: the host has checked it */
    AZFN__ROUTE_LENGTH,
    AZFN__ROUTE_MINLENGTH,
    AZFN__ROUTE_MAXLENGTH,
    AZFN__ROUTE_MIN,
    AZFN__ROUTE_MAX,
    AZFN__ROUTE_RANGE,
};

struct azfn__route_constraint {
    enum azfn__route_constraint_kind kind;
    int64_t low; /* of length, range, min, ...: both ends belong to it */
    int64_t high;
};

/* Reads "int" or "length(3,5)". NULL, or static text that says what is wrong. */
const char *azfn__route_constraint_parse(struct azfn_span text, struct azfn__route_constraint *out_constraint);

/* Whether it says which characters a value may have (int does, length does not; what a regex says is not known). */
bool azfn__route_constraint_is_closed(const struct azfn__route_constraint *constraint);

/* value is decoded; absent where the parameter has none. */
bool azfn__route_constraint_is_met(const struct azfn__route_constraint *constraint, struct azfn_span value);

#endif
