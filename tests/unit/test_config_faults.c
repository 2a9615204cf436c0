/* What a faulty file is answered with, word by word: people read this when their app does not start. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#define HOST "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":" \
             "{\"defaultExecutablePath\":\"h\"}},\"functionTimeout\":\"1.00:00:10\"}"
#define HTTP "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\",\"direction\":\"out\"," \
             "\"name\":\"res\"}]}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"}]}"
#define TEN "[[[[[[[[[["
#define DEEP TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

struct fault_case {
    const char *path;
    const char *text; /* instead of the sound file of that path */
    const char *message;
};

/* clang-format off */
static const struct fault_case FAULTS[] = {
    {"host.json", "", "host.json:1: not JSON at column 1"},
    {"host.json", "{", "host.json:1: not JSON at column 2"},
    {"host.json", "{\n \"a\": tru\n}", "host.json:2: not JSON at column 7"},
    {"host.json", "{\"version\":\"2.0\",}", "host.json:1: not JSON at column 18"},
    {"host.json", "{} /* x", "host.json:1: not JSON at column 4"},
    {"host.json", "// x\n{'a':1}", "host.json:2: not JSON at column 2"},
    {"host.json", "{\"\303\251\303\251\": x}", "host.json:1: not JSON at column 8"},
    {"host.json", DEEP, "host.json:1: nested too deeply at column 129"},
    {"host.json", "[]", "host.json:1: expected an object, found an array"},
    {"host.json", "{}", "host.json:1: /version: expected \"2.0\", found nothing"},
    {"host.json", "{\"version\":2.0}", "host.json:1: /version: expected \"2.0\", found 2.0"},
    {"host.json", "{\n\"version\":\n\"3.0\"}", "host.json:3: /version: expected \"2.0\", found \"3.0\""},
    {"host.json", "{\"Version\":\"2.0\"}", "host.json:1: /Version: expected the key to be written version"},
    {"host.json",
     "{\"version\":\"2.0\"}",
     "host.json:1: /customHandler: expected the section of the custom handler, found nothing"},
    {"host.json",
     "{\"version\":\"2.0\",\n\"httpWorker\":{\"description\":{\"defaultExecutablePath\":\"h\"}}}",
     "host.json:2: /httpWorker: expected customHandler, found its older form: rename it"},
    {"host.json",
     "{\"version\":\"2.0\",\"customhandler\":{}}",
     "host.json:1: /customhandler: expected the key to be written customHandler"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":[]}",
     "host.json:1: /customHandler: expected an object, found an array"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{}}",
     "host.json:1: /customHandler/description/defaultExecutablePath: expected the path of the handler, found no"
     "thing"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"description\":\"h\"}}",
     "host.json:1: /customHandler/description: expected an object, found \"h\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"description\":{\"defaultExecutablePath\":\"\"}}}",
     "host.json:1: /customHandler/description/defaultExecutablePath: expected the path of the handler, found \""
     "\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"description\":{\"defaultExecutablePath\":7}}}",
     "host.json:1: /customHandler/description/defaultExecutablePath: expected the path of the handler, found 7"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":\"true\",\"description\":{\"defau"
     "ltExecutablePath\":\"h\"}}}",
     "host.json:1: /customHandler/enableForwardingHttpRequest: expected true or false, found \"true\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableProxyingHttpRequest\":1,\"description\":{\"defaultExecuta"
     "blePath\":\"h\"}}}",
     "host.json:1: /customHandler/enableProxyingHttpRequest: expected true or false, found 1"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"EnableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}}}",
     "host.json:1: /customHandler/EnableForwardingHttpRequest: expected the key to be written enableForwardingH"
     "ttpRequest"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"functionTimeout\":\"5\"}",
     "host.json:1: /functionTimeout: expected \"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days,"
     " found \"5\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"functionTimeout\":\"24:00:00\"}",
     "host.json:1: /functionTimeout: expected \"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days,"
     " found \"24:00:00\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"functionTimeout\":\"00:00:00\"}",
     "host.json:1: /functionTimeout: expected \"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days,"
     " found \"00:00:00\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"functionTimeout\":300}",
     "host.json:1: /functionTimeout: expected \"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days,"
     " found 300"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"functionTimeout\":\"99.00:00:00\"}",
     "host.json:1: /functionTimeout: expected \"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days,"
     " found \"99.00:00:00\""},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"extensions\":7}",
     "host.json:1: /extensions: expected an object, found 7"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"extensions\":{\"http\":{\"routePrefix\":false}}}",
     "host.json:1: /extensions/http/routePrefix: expected a string, found false"},
    {"host.json",
     "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultEx"
     "ecutablePath\":\"h\"}},\"extensions\":{\"http\":{\"routePrefix\":\"a//b\"}}}",
     "host.json:1: /extensions/http/routePrefix: expected the start of a route, found two slashes in a row"},
    {"webhook/function.json", "{}", "webhook/function.json:1: /bindings: expected an array, found nothing"},
    {"webhook/function.json",
     "{\"bindings\":{}}",
     "webhook/function.json:1: /bindings: expected an array, found an object"},
    {"webhook/function.json",
     "{\"bindings\":[]}",
     "webhook/function.json:1: /bindings: expected one trigger, found none"},
    {"webhook/function.json",
     "{\"bindings\":[7]}",
     "webhook/function.json:1: /bindings/0: expected an object, found 7"},
    {"webhook/function.json",
     "{\"bindings\":[{\"name\":\"a\"}]}",
     "webhook/function.json:1: /bindings/0/type: expected a type such as \"httpTrigger\", found nothing"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"\"}]}",
     "webhook/function.json:1: /bindings/0/type: expected a type such as \"httpTrigger\", found \"\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\"}]}",
     "webhook/function.json:1: /bindings/0/name: expected a letter and up to 127 letters and digits, or \"$retu"
     "rn\", found nothing"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"my_name\"}]}",
     "webhook/function.json:1: /bindings/0/name: expected a letter and up to 127 letters and digits, or \"$retu"
     "rn\", found \"my_name\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"$return\"}]}",
     "webhook/function.json:1: /bindings/0/name: expected another name, since $return is an output, found \"$re"
     "turn\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\",\"direction\":\"out\"}]}",
     "webhook/function.json:1: /bindings/0/direction: expected \"in\", since it is a trigger, found \"out\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},\n{\"type\":\"queue\",\"name\":\"b\"}]}",
     "webhook/function.json:2: /bindings/1/direction: expected \"in\", \"out\" or \"inout\", found nothing"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},{\"type\":\"queue\",\"name\":\"b\",\"direction"
     "\":\"both\"}]}",
     "webhook/function.json:1: /bindings/1/direction: expected \"in\", \"out\" or \"inout\", found \"both\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},{\"type\":\"timerTrigger\",\"name\":\"b\"}]}",
     "webhook/function.json:1: /bindings/1: expected one trigger, found a second one"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queue\",\"name\":\"b\",\"direction\":\"out\"}]}",
     "webhook/function.json:1: /bindings: expected one trigger, found none"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},{\"type\":\"blob\",\"name\":\"a\",\"direction\""
     ":\"in\"}]}",
     "webhook/function.json:1: /bindings/1: expected a name of its own, found \"a\" for two inputs"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},{\"type\":\"queue\",\"name\":\"b\",\"direction"
     "\":\"out\"},{\"type\":\"blob\",\"name\":\"b\",\"direction\":\"inout\"}]}",
     "webhook/function.json:1: /bindings/2: expected a name of its own, found \"b\" for two outputs"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"methods\":\"get\"},{\"type\":\"http\",\"directi"
     "on\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/methods: expected an array, found \"get\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"methods\":[\"get\",\"fetch\"]},{\"type\":\"http"
     "\",\"direction\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/methods/1: expected one of get, head, post, put, delete, options, pa"
     "tch, trace, found \"fetch\""},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"methods\":[1]},{\"type\":\"http\",\"direction\""
     ":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/methods/0: expected one of get, head, post, put, delete, options, pa"
     "tch, trace, found 1"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"route\":7},{\"type\":\"http\",\"direction\":\"o"
     "ut\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/route: expected a string, found 7"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"route\":\"items/{id\"},{\"type\":\"http\",\"dir"
     "ection\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/route: expected a route, found an opening brace without a closing on"
     "e"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"route\":\"{a:number}\"},{\"type\":\"http\",\"di"
     "rection\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/route: expected a route, found an unknown constraint"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"route\":\"/admin/x\"},{\"type\":\"http\",\"dire"
     "ction\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/route: expected a route that does not begin with admin or runtime, w"
     "hich are the host's own"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"route\":\"x/{a}/{*b}/c\"},{\"type\":\"http\",\""
     "direction\":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/route: expected a route, found a catch-all parameter that is not the"
     " last one"},
    {"webhook/function.json",
     "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"r\",\"Route\":\"x\"},{\"type\":\"http\",\"direction\""
     ":\"out\",\"name\":\"o\"}]}",
     "webhook/function.json:1: /bindings/0/Route: expected the key to be written route"},
    {"azfn.json", "", "azfn.json:1: not JSON at column 1"},
    {"azfn.json", "\357\273\277{}", "azfn.json:1: not JSON at column 1"},
    {"azfn.json", "// c\n{}", "azfn.json:1: not JSON at column 1"},
    {"azfn.json", "{\"a\":1,\"a\":}", "azfn.json:1: not JSON at column 12"},
    {"azfn.json", "[]", "azfn.json:1: expected an object, found an array"},
    {"azfn.json",
     "{\"secret\":{}}",
     "azfn.json:1: /secret: expected one of $schema, secrets, destinations, functions, users, sandbox, limit"
     "s, identity, secretsInEnvironment, found \"secret\" (did you mean \"secrets\"?)"},
    {"azfn.json",
     "{\"nothing\":{}}",
     "azfn.json:1: /nothing: expected one of $schema, secrets, destinations, functions, users, sandbox, limi"
     "ts, identity, secretsInEnvironment, found \"nothing\""},
    {"azfn.json",
     "{\"secrets\":{},\n\"secrets\":{}}",
     "azfn.json:2: /secrets: expected the key once, found it again"},
    {"azfn.json", "{\"$schema\":7}", "azfn.json:1: /$schema: expected a string, found 7"},
    {"azfn.json", "{\"secrets\":[]}", "azfn.json:1: /secrets: expected an object, found an array"},
    {"azfn.json",
     "{\"secrets\":{\"a b\":{}}}",
     "azfn.json:1: /secrets/a b: expected a name of up to 127 letters, digits, dots, dashes and underscores, fo"
     "und \"a b\""},
    {"azfn.json",
     "{\"secrets\":{\"a\\u0007b\":{}}}",
     "azfn.json:1: /secrets/a?b: expected a name of up to 127 letters, digits, dots, dashes and underscores, fo"
     "und \"a?b\""},
    {"azfn.json", "{\"secrets\":{\"k\":\"x\"}}", "azfn.json:1: /secrets/k: expected an object, found \"x\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{}}}",
     "azfn.json:1: /secrets/k/reference: expected @Microsoft.KeyVault(...), found nothing"},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"x\",\"value\":\"y\"}}}",
     "azfn.json:1: /secrets/k/value: expected one of reference, preload, found \"value\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\",\"preload\":1}}}",
     "azfn.json:1: /secrets/k/preload: expected true or false, found 1"},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":null}}}",
     "azfn.json:1: /secrets/k/reference: expected @Microsoft.KeyVault(...), found null"},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"secret\"}}}",
     "azfn.json:1: /secrets/k/reference: expected @Microsoft.KeyVault(SecretUri=...) or @Microsoft.KeyVault(Vau"
     "ltName=...;SecretName=...), found something else (not shown)"},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault()\"}}}",
     "azfn.json:1: /secrets/k/reference: expected VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<"
     "version>, found \"@Microsoft.KeyVault()\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=http://v.vault.azure.net/secrets/s)\"}"
     "}}",
     "azfn.json:1: /secrets/k/reference: expected SecretUri=https://<vault>.vault.azure.net/secrets/<name>, or "
     "with /<version>, found \"@Microsoft.KeyVault(SecretUri=http://v.v...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://v.vault.example/secrets/s)\"}}"
     "}",
     "azfn.json:1: /secrets/k/reference: expected SecretUri=https://<vault>.vault.azure.net/secrets/<name>, or "
     "with /<version>, found \"@Microsoft.KeyVault(SecretUri=https://v....\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://vv.vault.azure.net/secrets/s)"
     "\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a vault name of 3 to 24 letters, digits and dashes, found \"@"
     "Microsoft.KeyVault(SecretUri=https://vv...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://vvv.vault.azure.net/keys/s)\"}"
     "}}",
     "azfn.json:1: /secrets/k/reference: expected SecretUri=https://<vault>.vault.azure.net/secrets/<name>, or "
     "with /<version>, found \"@Microsoft.KeyVault(SecretUri=https://vv...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://vvv.vault.azure.net/secrets/s/"
     "1)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a secret version of 32 hexadecimal digits, found \"@Microsoft"
     ".KeyVault(SecretUri=https://vv...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://u@vvv.vault.azure.net/secrets/"
     "s)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a vault name of 3 to 24 letters, digits and dashes, found \"@"
     "Microsoft.KeyVault(SecretUri=https://u@...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<"
     "version>, found \"@Microsoft.KeyVault(VaultName=vault)\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=a_b)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a secret name of 1 to 127 letters, digits and dashes, found "
     "\"@Microsoft.KeyVault(VaultName=vault;Secr...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a secret name of 1 to 127 letters, digits and dashes, found "
     "\"@Microsoft.KeyVault(VaultName=vault;Secr...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;VaultName=v;SecretName=s)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<"
     "version>, found \"@Microsoft.KeyVault(VaultName=vault;Vaul...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s;SecretVersion=xyz)"
     "\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a secret version of 32 hexadecimal digits, found \"@Microsoft"
     ".KeyVault(VaultName=vault;Secr...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(Vault=vault;SecretName=s)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<"
     "version>, found \"@Microsoft.KeyVault(Vault=vault;SecretNa...\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=%V;SecretName=s)\"}}}",
     "azfn.json:1: /secrets/k/reference: expected a vault name of 3 to 24 letters, digits and dashes, found \"@"
     "Microsoft.KeyVault(VaultName=%V;SecretN...\""},
    {"azfn.json",
     "{\"secrets\":{\n\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"},\n\"k\":{\"re"
     "ference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}}}",
     "azfn.json:3: /secrets/k: expected the key once, found it again"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{}}}",
     "azfn.json:1: /destinations/d/url: expected a URL that begins with https://, found nothing"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"http://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"managed"
     "Identity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a URL that begins with https://, found \"http://a.example/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://u:p@a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"ma"
     "nagedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a URL without a user in it, found something else (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/?x=1\",\"methods\":[\"GET\"],\"authenticate\":{\"ma"
     "nagedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a URL without a query and without a fragment, found something "
     "else (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/#x\",\"methods\":[\"GET\"],\"authenticate\":{\"mana"
     "gedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a URL without a query and without a fragment, found \"https://"
     "a.example/#x\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https:///x\",\"methods\":[\"GET\"],\"authenticate\":{\"managedIdentit"
     "y\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a host name of letters, digits, dashes and dots after https://"
     ", found \"https:///x\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a..b/\",\"methods\":[\"GET\"],\"authenticate\":{\"managedIden"
     "tity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a host name of letters, digits, dashes and dots after https://"
     ", found \"https://a..b/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://%HOST%/\",\"methods\":[\"GET\"],\"authenticate\":{\"managedId"
     "entity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a host name whose domain is written out: a setting may stand f"
     "or its first parts only, found \"https://%HOST%/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example:0/\",\"methods\":[\"GET\"],\"authenticate\":{\"mana"
     "gedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a port from 1 to 65535, found \"https://a.example:0/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example:99999/\",\"methods\":[\"GET\"],\"authenticate\":{\""
     "managedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a port from 1 to 65535, found \"https://a.example:99999/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/a%20b\",\"methods\":[\"GET\"],\"authenticate\":{\"m"
     "anagedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected %NAME% where there is a %, with the name of a setting: escapes"
     " are not possible here, found \"https://a.example/a%20b\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/a b\",\"methods\":[\"GET\"],\"authenticate\":{\"man"
     "agedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a URL of printable ASCII characters, found \"https://a.example"
     "/a b\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/../x\",\"methods\":[\"GET\"],\"authenticate\":{\"ma"
     "nagedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a path without . and .. in it, found \"https://a.example/../x"
     "\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example\\\\x/\",\"methods\":[\"GET\"],\"authenticate\":{\"m"
     "anagedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a host name of letters, digits, dashes and dots after https://"
     ", found \"https://a.example\\\\x/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\\u0001\",\"methods\":[\"GET\"],\"authenticate\":{"
     "\"managedIdentity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected text without control characters, found some"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://[::1]/\",\"methods\":[\"GET\"],\"authenticate\":{\"managedIde"
     "ntity\":\"https://a\"}}}}",
     "azfn.json:1: /destinations/d/url: expected a host name of letters, digits, dashes and dots after https://"
     ", found \"https://[::1]/\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[]}}}",
     "azfn.json:1: /destinations/d/methods: expected at least one method, found none"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"get\"]}}}",
     "azfn.json:1: /destinations/d/methods/0: expected one of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, fou"
     "nd \"get\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"TRACE\"]}}}",
     "azfn.json:1: /destinations/d/methods/0: expected one of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, fou"
     "nd \"TRACE\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\",\"GET\"]}}}",
     "azfn.json:1: /destinations/d/methods/1: expected each method once, found \"GET\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"]}}}",
     "azfn.json:1: /destinations/d/authenticate: expected an object, found nothing"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{}}}}",
     "azfn.json:1: /destinations/d/authenticate: expected either managedIdentity, or header and secret, found n"
     "either"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"manage"
     "dIdentity\":\"https://a\",\"header\":\"x\"}}}}",
     "azfn.json:1: /destinations/d/authenticate: expected either managedIdentity, or header and secret, found b"
     "oth"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header"
     "\":\"x\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/secret: expected the name of one of the secrets above, found no"
     "thing"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header"
     "\":\"a b\",\"secret\":\"k\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/header: expected the name of a header, found \"a b\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header"
     "\":\"Host\",\"secret\":\"k\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/header: expected a header that does not belong to the connectio"
     "n, found \"Host\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}},\"destinations"
     "\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header\":\"x\",\"secr"
     "et\":\"K1\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/secret: expected the name of one of the secrets above, found an"
     "other (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"manage"
     "dIdentity\":\"api://x\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/managedIdentity: expected a URL that begins with https://, foun"
     "d \"api://x\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"manage"
     "dIdentity\":\"https://%A%.example\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/managedIdentity: expected an audience without %, found \"https:"
     "//%A%.example\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"Basic "
     "dTpw\"}}}",
     "azfn.json:1: /destinations/d/authenticate: expected an object or \"none\", found other text (not shown)"},
    {"azfn.json",
     "{\"secrets\":{\"key\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}},\"destinati"
     "ons\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header\":\"X-Api-"
     "Key\",\"secret\":\"k3y-that-was-pasted\"}}}}",
     "azfn.json:1: /destinations/d/authenticate/secret: expected the name of one of the secrets above, found a"
     "nother (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":[\"x\"]}}}",
     "azfn.json:1: /destinations/d/headers: expected an object, found an array"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x0\":\"1\",\"x1\":\"1\",\"x2\":\"1\",\"x3\":\"1\",\"x4\":\"1\",\"x5\":\"1\",\"x6\":\"1\""
     ",\"x7\":\"1\",\"x8\":\"1\",\"x9\":\"1\",\"x10\":\"1\",\"x11\":\"1\",\"x12\":\"1\",\"x13\":\"1\",\"x14\":"
     "\"1\",\"x15\":\"1\",\"x16\":\"1\"}}}}",
     "azfn.json:1: /destinations/d/headers: expected an object of at most 16 entries, found 17"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"a b\":\"1\"}}}}",
     "azfn.json:1: /destinations/d/headers/a b: expected the name of a header, found \"a b\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"\":\"1\"}}}}",
     "azfn.json:1: /destinations/d/headers/: expected the name of a header, found \"\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"Transfer-Encoding\":\"1\"}}}}",
     "azfn.json:1: /destinations/d/headers/Transfer-Encoding: expected a header that does not belong to the co"
     "nnection, found \"Transfer-Encoding\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"AUTHORIZATION\":\"Basic dTpw\"}}}}",
     "azfn.json:1: /destinations/d/headers/AUTHORIZATION: expected a header that carries no credential, which "
     "authenticate is for, found \"AUTHORIZATION\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"cookie\":\"a=b\"}}}}",
     "azfn.json:1: /destinations/d/headers/cookie: expected a header that carries no credential, which authent"
     "icate is for, found \"cookie\""},
    {"azfn.json",
     "{\"secrets\":{\"key\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}},\"destinati"
     "ons\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":{\"header\":\"X-Api-"
     "Key\",\"secret\":\"key\"},\"headers\":{\"x-api-KEY\":\"1\"}}}}",
     "azfn.json:1: /destinations/d/headers/x-api-KEY: expected another header than that of authenticate, found"
     " \"x-api-KEY\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x-a\":\"1\",\"X-A\":\"2\"}}}}",
     "azfn.json:1: /destinations/d/headers/X-A: expected each header once, found \"X-A\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x-a\":[\"1\"]}}}}",
     "azfn.json:1: /destinations/d/headers/x-a: expected the header's value, found an array"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x-a\":\"1\\r\\nb: 2\"}}}}",
     "azfn.json:1: /destinations/d/headers/x-a: expected text without control characters, found some"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x-a\":\"\303\251\"}}}}",
     "azfn.json:1: /destinations/d/headers/x-a: expected up to 2048 visible ASCII characters and blanks betwee"
     "n them, found something else (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"headers\":{\"x-a\":\" 1\"}}}}",
     "azfn.json:1: /destinations/d/headers/x-a: expected up to 2048 visible ASCII characters and blanks betwee"
     "n them, found something else (not shown)"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"timeoutMs\":0}}}",
     "azfn.json:1: /destinations/d/timeoutMs: expected an integer from 1 to 86400000, found 0"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"maxRequestBytes\":134217729}}}",
     "azfn.json:1: /destinations/d/maxRequestBytes: expected an integer from 0 to 134217728, found 134217729"},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"maxResponseBytes\":\"1\"}}}",
     "azfn.json:1: /destinations/d/maxResponseBytes: expected an integer from 0 to 134217728, found \"1\""},
    {"azfn.json",
     "{\"destinations\":{\"d\":{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\""
     ",\"header\":{}}}}",
     "azfn.json:1: /destinations/d/header: expected one of url, methods, authenticate, headers, timeoutMs, max"
     "RequestBytes, maxResponseBytes, found \"header\" (did you mean \"headers\"?)"},
    {"azfn.json",
     "{\"identity\":\"x\"}",
     "azfn.json:1: /identity: expected an object, found \"x\""},
    {"azfn.json",
     "{\"identity\":{}}",
     "azfn.json:1: /identity: expected one of clientId, resourceId, principalId, found 0 of them"},
    {"azfn.json",
     "{\"identity\":{\"clientId\":\"%A%\",\"principalId\":\"%A%\"}}",
     "azfn.json:1: /identity: expected one of clientId, resourceId, principalId, found 2 of them"},
    {"azfn.json",
     "{\"identity\":{\"clientID\":\"x\"}}",
     "azfn.json:1: /identity/clientID: expected one of clientId, resourceId, principalId, found \"clientID\" ("
     "did you mean \"clientId\"?)"},
    {"azfn.json",
     "{\"identity\":{\"clientId\":7}}",
     "azfn.json:1: /identity/clientId: expected a GUID, found 7"},
    {"azfn.json",
     "{\"identity\":{\"clientId\":\"\"}}",
     "azfn.json:1: /identity/clientId: expected a GUID, found \"\""},
    {"azfn.json",
     "{\"identity\":{\"clientId\":\"pasted~by-mistake\"}}",
     "azfn.json:1: /identity/clientId: expected a GUID, found something else (not shown)"},
    {"azfn.json",
     "{\"identity\":{\"principalId\":\"%A%~\"}}",
     "azfn.json:1: /identity/principalId: expected a GUID, found something else (not shown)"},
    {"azfn.json",
     "{\"identity\":{\"resourceId\":\"subscriptions/a\"}}",
     "azfn.json:1: /identity/resourceId: expected a resource's id, /subscriptions/..., found something else (n"
     "ot shown)"},
    {"azfn.json",
     "{\"identity\":{\"resourceId\":\"/subscriptions/a?b\"}}",
     "azfn.json:1: /identity/resourceId: expected a resource's id, /subscriptions/..., found something else (n"
     "ot shown)"},
    {"azfn.json",
     "{\"secretsInEnvironment\":\"ignore\"}",
     "azfn.json:1: /secretsInEnvironment: expected \"report\" or \"refuse\", found \"ignore\""},
    {"azfn.json",
     "{\"functions\":{\"webhok\":{}}}",
     "azfn.json:1: /functions/webhok: expected the name of a function's folder, found \"webhok\" (did you mean "
     "\"webhook\"?)"},
    {"azfn.json",
     "{\"functions\":{\"Webhook\":{}}}",
     "azfn.json:1: /functions/Webhook: expected the name of a function's folder, found \"Webhook\" (did you mea"
     "n \"webhook\"?)"},
    {"azfn.json",
     "{\"functions\":{\"other\":{}}}",
     "azfn.json:1: /functions/other: expected the name of a function's folder, found \"other\" (did you mean \""
     "order\"?)"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{},\n\n\"webhook\":{}}}",
     "azfn.json:3: /functions/webhook: expected the key once, found it again"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timoutMs\":5}}}",
     "azfn.json:1: /functions/webhook/timoutMs: expected one of secrets, destinations, settings, timeoutMs, max"
     "Concurrent, maxBodyBytes, found \"timoutMs\" (did you mean \"timeoutMs\"?)"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMS\":5}}}",
     "azfn.json:1: /functions/webhook/timeoutMS: expected one of secrets, destinations, settings, timeoutMs, ma"
     "xConcurrent, maxBodyBytes, found \"timeoutMS\" (did you mean \"timeoutMs\"?)"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"secrets\":\"k\"}}}",
     "azfn.json:1: /functions/webhook/secrets: expected an array, found \"k\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"secrets\":[\"webhook-key\"]}}}",
     "azfn.json:1: /functions/webhook/secrets/0: expected the name of one of the secrets above, found \"webhook"
     "-key\""},
    {"azfn.json",
     "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}},\"functions\":"
     "{\"webhook\":{\"secrets\":[\"k\",\"k\"]}}}",
     "azfn.json:1: /functions/webhook/secrets/1: expected each name once, found \"k\""},
    {"azfn.json",
     "{\"secrets\":{\"webhook-key\":{\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"}},\n\""
     "functions\":{\"webhook\":{\n\"secrets\":[\"webhok-key\"]}}}",
     "azfn.json:3: /functions/webhook/secrets/0: expected the name of one of the secrets above, found \"webhok-"
     "key\" (did you mean \"webhook-key\"?)"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"destinations\":[\"d\"]}}}",
     "azfn.json:1: /functions/webhook/destinations/0: expected the name of one of the destinations above, found"
     " \"d\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"settings\":[\"A=B\"]}}}",
     "azfn.json:1: /functions/webhook/settings/0: expected the name of a setting, found \"A=B\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"settings\":[\"\"]}}}",
     "azfn.json:1: /functions/webhook/settings/0: expected the name of a setting, found \"\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"settings\":[null]}}}",
     "azfn.json:1: /functions/webhook/settings/0: expected the name of a setting, found null"},
    {"azfn.json",
     "{\"functions\":{\n\"order\":{},\n\"webhook\":{\n\"timeoutMs\":\n\"30s\"}}}",
     "azfn.json:5: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found \"30s\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":0}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found 0"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":86400001}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found 86400001"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":1.5}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found 1.5"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":1e3}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found 1e3"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":-1}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found -1"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":null}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found null"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"maxConcurrent\":0}}}",
     "azfn.json:1: /functions/webhook/maxConcurrent: expected an integer from 1 to 100000, found 0"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"maxConcurrent\":100001}}}",
     "azfn.json:1: /functions/webhook/maxConcurrent: expected an integer from 1 to 100000, found 100001"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"maxBodyBytes\":1073741825}}}",
     "azfn.json:1: /functions/webhook/maxBodyBytes: expected an integer from 0 to 1073741824, found 1073741825"},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"maxBodyBytes\":\"1 MiB\"}}}",
     "azfn.json:1: /functions/webhook/maxBodyBytes: expected an integer from 0 to 1073741824, found \"1 MiB\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"
     "}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found \"aaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaa...\""},
    {"azfn.json",
     "{\"functions\":{\"webhook\":{\"timeoutMs\":\"\342\200\256\303\251\177\302\205\"}}}",
     "azfn.json:1: /functions/webhook/timeoutMs: expected an integer from 1 to 86400000, found \"?\303\251??\""},
    {"azfn.json",
     "{\"users\":{\"broker\":0}}",
     "azfn.json:1: /users/broker: expected an integer from 1 to 4294967293, found 0"},
    {"azfn.json",
     "{\"users\":{\"broker\":65534}}",
     "azfn.json:1: /users/broker: expected a user of its own, which nobody (65534) is not, found 65534"},
    {"azfn.json",
     "{\"users\":{\"worker\":4294967294}}",
     "azfn.json:1: /users/worker: expected an integer from 1 to 4294967293, found 4294967294"},
    {"azfn.json",
     "{\"users\":{\"broker\":61802}}",
     "azfn.json:1: /users: expected two users, found 61802 for the broker and the worker"},
    {"azfn.json",
     "{\"users\":{\"broker\":5,\"worker\":5}}",
     "azfn.json:1: /users: expected two users, found 5 for the broker and the worker"},
    {"azfn.json",
     "{\"users\":{\"root\":5}}",
     "azfn.json:1: /users/root: expected one of broker, worker, found \"root\""},
    {"azfn.json", "{\"users\":[]}", "azfn.json:1: /users: expected an object, found an array"},
    {"azfn.json",
     "{\"sandbox\":\"off\"}",
     "azfn.json:1: /sandbox: expected \"enforce\" or \"report\", found \"off\""},
    {"azfn.json", "{\"sandbox\":true}", "azfn.json:1: /sandbox: expected \"enforce\" or \"report\", found true"},
    {"azfn.json",
     "{\"functions\":{\"a~/b\":{}}}",
     "azfn.json:1: /functions/a~0~1b: expected the name of a function's folder, found \"a~/b\""},
};
/* clang-format on */

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
}

static struct azfn__config_file file(const char *path, const char *text)
{
    return (struct azfn__config_file){.path = azfn_span_of(path), .text = azfn_span_of(text)};
}

static const struct azfn_function functions[] = {{.name = "webhook", .handler = handle},
                                                 {.name = "order", .handler = handle}};

static void expect_fault(const struct azfn__config_file *files, size_t file_count,
                         const struct azfn_function *registered, size_t registered_count, const char *message)
{
    struct azfn__config *config;
    struct azfn__config_fault fault;
    enum azfn_error error = azfn__config_new(files, file_count, registered, registered_count, &config, &fault);
    assert_int_not_equal(error, AZFN_OK);
    assert_null(config);
    assert_string_equal(fault.message, message);
}

static void a_faulty_file_is_refused_with_the_place_and_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        struct azfn__config_file files[] = {file("host.json", HOST), file("azfn.json", "{}"),
                                            file("order/function.json", QUEUE), file("webhook/function.json", HTTP)};
        for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
            if (azfn_span_equals(files[k].path, FAULTS[i].path)) {
                files[k].text = azfn_span_of(FAULTS[i].text);
            }
        }
        expect_fault(files, 4, functions, 2, FAULTS[i].message);
    }
}

static void a_timeout_above_the_hosts_names_both(void **state)
{
    (void)state;
    const struct azfn__config_file files[] = {
        file("host.json", "{\"version\":\"2.0\",\"functionTimeout\":\"00:00:30\",\"customHandler\":{\"description\":"
                          "{\"defaultExecutablePath\":\"h\"}}}"),
        file("azfn.json", "{\"functions\":{\"order\":{\"timeoutMs\":25001}}}"), file("order/function.json", QUEUE)};
    expect_fault(files, 3, &functions[1], 1,
                 "azfn.json:1: /functions/order/timeoutMs: expected at most 25000, which is 5000 below host.json's "
                 "functionTimeout of 30000 ms, found 25001");
}

static void each_folder_is_a_registered_function_and_the_other_way_round(void **state)
{
    (void)state;
    static const struct azfn_function twice[] = {{.name = "order", .handler = handle}, {.name = "order", .handler = handle}};
    static const struct azfn_function unnamed[] = {{.name = NULL, .handler = handle}};
    static const struct azfn_function unhandled[] = {{.name = "order", .handler = NULL}};
    static const struct azfn_function other_case[] = {{.name = "Order", .handler = handle}};
    const struct azfn__config_file files[] = {file("host.json", HOST), file("order/function.json", QUEUE)};
    expect_fault(files, 2, functions, 0,
                 "order/function.json: expected a registered function \"order\", found none: add it to the table in "
                 "main.c, or remove the folder");
    expect_fault(files, 2, functions, 2,
                 "webhook/function.json: expected this file for the registered function \"webhook\", found none: add the "
                 "folder, or remove it from the table in main.c");
    expect_fault(files, 2, other_case, 1,
                 "Order/function.json: expected this file for the registered function \"Order\", found none (did you mean "
                 "\"order\"?): add the folder, or remove it from the table in main.c");
    expect_fault(files, 2, twice, 2, "function \"order\": expected once, found twice in the table in main.c");
    expect_fault(files, 2, unnamed, 1, "entry 0 of the table in main.c: expected a name and a handler");
    expect_fault(files, 2, unhandled, 1, "entry 0 of the table in main.c: expected a name and a handler");
}

static void a_folder_has_a_name_that_the_host_takes(void **state)
{
    (void)state;
    static const char *const names[] = {"1order", "or der", "host", "HOST", "_x", "order.js", "\xc3\xb6rder", "a\nb"};
    static const char *const shown[] = {"1order", "or der", "host", "HOST", "_x", "order.js", "\xc3\xb6rder", "a?b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        char message[256];
        snprintf(path, sizeof(path), "%s/function.json", names[i]);
        snprintf(message, sizeof(message),
                 "%s/function.json: expected a folder named with a letter and up to 127 letters, digits, - and _, and "
                 "not host",
                 shown[i]);
        const struct azfn__config_file files[] = {file("host.json", HOST), file(path, QUEUE)};
        expect_fault(files, 2, functions, 0, message);
    }
}

static void two_folders_differ_in_more_than_case(void **state)
{
    (void)state;
    const struct azfn__config_file files[] = {file("host.json", HOST), file("Order/function.json", QUEUE),
                                              file("order/function.json", QUEUE)};
    struct azfn__config *config;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__config_new(files, 3, functions, 2, &config, &fault), AZFN_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(fault.message, "expected a name of its own"));
    assert_non_null(strstr(fault.message, "which differs in case only"));
}

static void files_are_there_and_there_once(void **state)
{
    (void)state;
    const struct azfn__config_file files[] = {file("azfn.json", "{}"), file("host.json", HOST), file("host.json", HOST)};
    expect_fault(files, 1, functions, 0, "host.json: expected this file, found none");
    expect_fault(files, 3, functions, 0, "host.json: expected once, found twice");
}

/* With an empty prefix a client could POST to /order, which is how the host sends its events. */
static void a_forwarded_route_does_not_reach_another_functions_events(void **state)
{
    (void)state;
    static const char host[] = "{\"version\":\"2.0\",\"extensions\":{\"http\":{\"routePrefix\":\"%s\"}},\"customHandler\":"
                               "{\"enableForwardingHttpRequest\":%s,\"description\":{\"defaultExecutablePath\":\"h\"}}}";
    static const char http[] = "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\",\"methods\":[\"%s\"],\n"
                               "\"route\":\"%s\"},{\"type\":\"http\",\"direction\":\"out\",\"name\":\"res\"}]}";
    static const struct {
        const char *prefix;
        const char *is_forwarding;
        const char *method;
        const char *route;
        bool is_fault;
    } cases[] = {
        {"", "true", "post", "{name}", true},         {"", "true", "post", "{*rest}", true},
        {"", "true", "post", "ORDER", true},          {"", "true", "post", "{name:alpha}/{b?}", true},
        {"", "true", "post", "{name:regex(^x)}", true}, {"", "true", "get", "{name}", false},
        {"", "true", "post", "{name:int}", false},    {"", "true", "post", "x/{name}", false},
        {"api", "true", "post", "{*rest}", false},    {"", "false", "post", "{name}", false},
        {"{p}", "true", "post", "{x?}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char host_text[512];
        char http_text[512];
        struct azfn__config *config;
        struct azfn__config_fault fault;
        snprintf(host_text, sizeof(host_text), host, cases[i].prefix, cases[i].is_forwarding);
        snprintf(http_text, sizeof(http_text), http, cases[i].method, cases[i].route);
        const struct azfn__config_file files[] = {file("host.json", host_text), file("order/function.json", QUEUE),
                                                  file("webhook/function.json", http_text)};
        enum azfn_error error = azfn__config_new(files, 3, functions, 2, &config, &fault);
        assert_int_equal(error, cases[i].is_fault ? AZFN_ERROR_INVALID_ARGUMENT : AZFN_OK);
        assert_string_equal(
            fault.message,
            cases[i].is_fault
                ? "webhook/function.json:2: /bindings/0/route: expected a route that does not match POST /order, found "
                  "one that does: the host sends the events of order there, so a client could forge them. Set "
                  "routePrefix in host.json, another route, or methods without post"
                : "");
        azfn__config_destroy(config);
    }
}

static void a_table_that_is_too_long_is_refused(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    struct azfn__config_file files[2] = {file("host.json", HOST)};
    static char text[COUNT * 100];
    size_t length = (size_t)snprintf(text, sizeof(text), "{\"secrets\":{\"a\":{}");
    for (size_t i = 0; i < COUNT; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, ",\"a%zu\":{}", i);
    }
    length += (size_t)snprintf(text + length, sizeof(text) - length, "}}");
    files[1] = (struct azfn__config_file){.path = AZFN__SPAN("azfn.json"), .text = azfn__span(text, length)};
    expect_fault(files, 2, functions, 0,
                 "azfn.json:1: /secrets: expected an object of at most 250 entries, found 40001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_faulty_file_is_refused_with_the_place_and_the_reason),
        cmocka_unit_test(a_timeout_above_the_hosts_names_both),
        cmocka_unit_test(each_folder_is_a_registered_function_and_the_other_way_round),
        cmocka_unit_test(a_folder_has_a_name_that_the_host_takes),
        cmocka_unit_test(two_folders_differ_in_more_than_case),
        cmocka_unit_test(files_are_there_and_there_once),
        cmocka_unit_test(a_forwarded_route_does_not_reach_another_functions_events),
        cmocka_unit_test(a_table_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
