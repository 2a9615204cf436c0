// Loaded before the clients. Names below localhost lead to this machine, as RFC 6761 has it and curl does it; Node
// leaves them to the C library, which does not know them.
"use strict";
const dns = require("dns");
const lookup = dns.lookup;

dns.lookup = (name, options, callback) => {
  if (typeof options === "function") {
    [options, callback] = [{}, options];
  }
  return lookup(/(^|\.)localhost$/i.test(name) ? "127.0.0.1" : name, options, callback);
};
