/* The functions of this app: each in the folder of its name, beside its function.json. */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <azfn.h>

azfn_handler_fn hello;
azfn_handler_fn order;
azfn_handler_fn tidy;
azfn_handler_fn webhook;

#endif
