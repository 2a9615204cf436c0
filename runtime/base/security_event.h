/* base/security_event.h
 * The catalogue of security events: each once, with all that is said about it. docs/security-events.md is written from
 * it. Names and levels are those of OWASP's logging vocabulary, whose CRITICAL is the host's Error; behind the colon
 * stands what it is about. Different from it: sys_startup, sys_shutdown and a sensitive_read that was granted, or that
 * the platform is made for, are INFORMATION; and what keeps the handler from serving is ERROR, since the host shows an
 * operator the last Error lines. Pure. */
#ifndef AZFN_BASE_SECURITY_EVENT_H
#define AZFN_BASE_SECURITY_EVENT_H

#include "base/event_fields.h"

#include <azfn.h>

/* How often counts are told. */
#define AZFN__EVENT_COUNT_INTERVAL_MS ((uint64_t)5 * 60 * 1000)

/* X(id, name, level, source, repeats, fields, when, action)
 * source: BROKER; WORKER, whose word it is, and FUNCTION, which calls azfn_security_event() there: both may be in an
 * attacker's hands; ANY: broker and worker.
 * repeats: EACH has a line of its own; COUNTED: the first one at once, later ones of the same kind as a count.
 * fields: what the line may say beside the fields of every line. */
#define AZFN__SECURITY_EVENTS(X) \
    /* The life of the handler */ \
    X(STARTUP, "sys_startup", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(AZFN_VERSION) | AZFN__FIELD_BIT(BUILD) | AZFN__FIELD_BIT(FUNCTIONS) | AZFN__FIELD_BIT(PORT) | \
          AZFN__FIELD_BIT(BROKER_USER) | AZFN__FIELD_BIT(WORKER_USER) | AZFN__FIELD_BIT(LAYERS_ON) | \
          AZFN__FIELD_BIT(LAYERS_OFF), \
      "The handler serves.", \
      "Compare build and layers_off with what you deployed. A start that nobody asked for follows a sys_crash or a " \
      "malicious event; where none is before it the handler was killed, as for its memory: see the platform's logs.") \
    X(WORKER_STARTUP, "sys_startup:worker", INFORMATION, BROKER, EACH, AZFN__FIELD_BIT(DURATION_MS), \
      "A worker serves: the first one, or one that takes the place of another.", "Nothing.") \
    X(SHUTDOWN, "sys_shutdown", INFORMATION, BROKER, EACH, AZFN__FIELD_BIT(SIGNAL) | AZFN__FIELD_BIT(REASON), \
      "The handler was told to end, or its host has ended.", "Nothing, where the platform scales in or deploys.") \
    X(WORKER_SHUTDOWN, "sys_shutdown:worker", INFORMATION, BROKER, EACH, 0, \
      "A worker that was replaced has finished what it had in flight.", "Nothing.") \
    X(WORKER_SHUTDOWN_KILLED, "sys_shutdown:worker_killed", WARNING, BROKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(REASON), \
      "A worker that was replaced did not finish in time or made room, and was killed; what it had in flight failed.", \
      "Look for functions that take longer than their timeoutMs.") \
    X(SHUTDOWN_UNFINISHED, "sys_shutdown:unfinished", WARNING, BROKER, EACH, AZFN__FIELD_BIT(DURATION_MS), \
      "The handler ends although not everything in flight was finished.", \
      "Look for functions that take longer than their timeoutMs.") \
    X(START_CRASH, "sys_crash:start", ERROR, BROKER, EACH, AZFN__FIELD_BIT(ATTEMPTS), \
      "The handler can't start, or its workers can't: it ends.", \
      "The description says what is wrong with configuration or system.") \
    X(WORKER_START_CRASH, "sys_crash:worker_start", ERROR, ANY, EACH, AZFN__FIELD_BIT(ATTEMPTS), \
      "A worker could not begin to serve; it is tried again.", "The description says why.") \
    X(WORKER_CRASH, "sys_crash:worker", WARNING, BROKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SIGNAL) | AZFN__FIELD_BIT(EXIT_CODE), \
      "A worker ended unasked. What it had in flight failed; another one takes its place.", \
      "A fault of the function that is named, or somebody who tries to exploit one: find the input by invocation_id. A " \
      "SIGSEGV can hide a forbidden system call. The handler is not ended by it, however often it happens.") \
    X(WORKER_CRASH_BESIDE, "sys_crash:worker_beside", WARNING, BROKER, EACH, AZFN__FIELDS_OF_INVOCATION, \
      "Another function that the worker ran on a thread when it ended: one for each.", "As for sys_crash:worker.") \
    X(WORKER_BLOCKED, "sys_crash:worker_blocked", WARNING, BROKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(DURATION_MS), \
      "A worker is killed, since a function blocks its loop beyond the function's timeoutMs.", \
      "Register the function as blocking, or find what makes it wait or turn in circles.") \
    X(REPEAT_REFUSED, "sys_crash:repeat", WARNING, WORKER, EACH, AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS), \
      "A request that a worker has died of came again, and was not run.", "As for sys_crash:worker.") \
    X(LAUNCHER_CRASH, "sys_crash:launcher", ERROR, BROKER, EACH, AZFN__FIELD_BIT(REASON), \
      "The launcher has ended or hangs: the handler ends, and the host starts it again.", \
      "Look for what has ended it: the out-of-memory killer, an operator.") \
    X(BROKER_CRASH, "sys_crash:broker", ERROR, BROKER, EACH, AZFN__FIELD_BIT(SIGNAL), \
      "The broker was ended by a signal that a fault in it raises: the handler ends, and the host starts it again.", \
      "A fault in azfn or a library, or somebody who tries to exploit one by way of what services answer: report it. " \
      "Lines that were not yet taken are lost. A kill, as for its memory, leaves no such event.") \
    X(WORKER_RESTART, "sys_restart:worker", WARNING, BROKER, EACH, AZFN__FIELD_BIT(REASON), \
      "Another worker is started in the place of one that ended, or that asks for it since it can't go on for long.", \
      "See the line before it: the end of the worker, or why it asks.") \
    /* An attack, very likely */ \
    X(WORKER_VIOLATION, "malicious_syscall:worker", ERROR, BROKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SYSTEM_CALL) | AZFN__FIELD_BIT(SYSTEM_CALL_NUMBER), \
      "The worker was ended for a system call that its sandbox forbids.", \
      "Treat it as an exploited function: find the input by invocation_id, take the function out of service, see " \
      "what azfn.json grants to the functions of this app, and look for their uses. On a new Linux or C library it may be " \
      "a call that azfn does not know yet.") \
    X(BROKER_VIOLATION, "malicious_syscall:broker", ERROR, BROKER, EACH, AZFN__FIELD_BIT(SYSTEM_CALL_NUMBER), \
      "The broker ended itself for a system call that its sandbox forbids.", \
      "As for malicious_syscall:worker; and the broker holds the credentials: rotate the secrets, and report it.") \
    X(WORKER_FRAME, "malicious_frame:worker", ERROR, BROKER, EACH, AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(REASON), \
      "The worker sent to the broker what azfn never sends, and was killed.", \
      "Treat it as an exploited function, as for malicious_syscall:worker.") \
    X(WORKER_SOCKET, "malicious_socket:worker", ERROR, BROKER, EACH, AZFN__FIELD_BIT(REASON), \
      "A worker can't listen on the socket that an earlier one has used: the handler is started anew.", \
      "Treat it as an exploited function, as for malicious_syscall:worker.") \
    X(FORGED_ENVELOPE, "malicious_envelope:client", ERROR, WORKER, EACH, \
      AZFN__FIELDS_OF_UNROUTED | AZFN__FIELD_BIT(STATUS), \
      "A request that looks like an event of the host, but came another way than the host sends them; refused.", \
      "Somebody tries to call a function by way of another one's route: see the threat model.") \
    X(DESTINATION_ECHO, "malicious_echo:destination", ERROR, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A service sends the credential back that it was given; this part of its answer was kept from the function.", \
      "Ask the service's owner why; rotate the credential.") \
    X(DESTINATION_DISTRUSTED, "malicious_certificate:destination", ERROR, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "The certificate that came in a service's name is not trusted, or not of that host: nothing was sent.", \
      "Somebody may be between azfn and the service: compare the certificate with what others see. Or it has " \
      "expired, or the system's authorities are too old.") \
    X(VAULT_DISTRUSTED, "malicious_certificate:key_vault", ERROR, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "The certificate that came in Key Vault's name is not trusted, or not of that host: no token was sent.", \
      "As for malicious_certificate:destination.") \
    /* Protections that are off */ \
    X(SANDBOX_OFF, "sys_monitor_disabled:sandbox", WARNING, BROKER, EACH, AZFN__FIELD_BIT(REASON), \
      "azfn.json turns the sandbox off, or this is a program for tests.", \
      "Not in production: remove \"sandbox\" from azfn.json.") \
    X(LANDLOCK_FILES_OFF, "sys_monitor_disabled:landlock_files", WARNING, BROKER, EACH, 0, \
      "This kernel has no Landlock: files are kept from functions by seccomp alone.", \
      "Use a plan or a kernel that has it (Linux 5.13), or accept it. --require-sandbox makes it fatal.") \
    X(LANDLOCK_NETWORK_OFF, "sys_monitor_disabled:landlock_network", WARNING, BROKER, EACH, 0, \
      "This kernel's Landlock does not know TCP: connections are kept from functions by seccomp alone.", \
      "As for sys_monitor_disabled:landlock_files (Linux 6.7).") \
    X(LANDLOCK_SCOPE_OFF, "sys_monitor_disabled:landlock_scope", WARNING, BROKER, EACH, 0, \
      "This kernel's Landlock does not know signals and abstract sockets: seccomp alone keeps them from functions.", \
      "As for sys_monitor_disabled:landlock_files (Linux 6.12).") \
    X(MEMORY_UNLOCKED, "sys_monitor_disabled:memory_lock", WARNING, ANY, EACH, AZFN__FIELD_BIT(BYTES), \
      "Memory for secrets could not be locked: it may be swapped out.", "Raise RLIMIT_MEMLOCK.") \
    X(HOST_WEAKNESS, "sys_monitor_disabled:host_settings", WARNING, BROKER, EACH, \
      AZFN__FIELD_BIT(FUNCTION) | AZFN__FIELD_BIT(REASON), \
      "The host's or the app's configuration weakens what azfn keeps: redirects are followed, events can be forged, " \
      "a key can be got around, or lines of the log, events among them, do not reach those who look at them.", \
      "The description says which setting, and what to write. One that you accept you can leave out by its reason.") \
    X(DEVELOPMENT, "sys_monitor_disabled:development", WARNING, BROKER, EACH, 0, \
      "AZFN_DEVELOPMENT is set: stand-ins take the place of Key Vault and of services.", \
      "Never in production: remove the setting, and find out who has set it.") \
    X(DESTINATION_UNWATCHED, "sys_monitor_disabled:destination", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A destination's credential is too short to be searched for in its answers.", "Use a longer one.") \
    /* The environment */ \
    X(ENVIRONMENT_SECRETS, "sensitive_read:environment", WARNING, BROKER, EACH, AZFN__FIELD_BIT(VARIABLES), \
      "Variables of the environment look like secrets: all that the host starts can read them; wiped here.", \
      "Move them to Key Vault and to \"secrets\" of azfn.json.") \
    X(PLATFORM_SECRETS, "sensitive_read:platform_environment", INFORMATION, BROKER, EACH, AZFN__FIELD_BIT(VARIABLES), \
      "Secrets that the platform itself puts into the environment; wiped.", \
      "Connections can use a managed identity instead: see AzureWebJobsStorage__credential.") \
    X(SETTING_SECRETS, "sensitive_read:setting", WARNING, BROKER, EACH, AZFN__FIELD_BIT(VARIABLES), \
      "Settings that azfn.json gives to functions look like secrets.", \
      "Move them to Key Vault and to \"secrets\" of azfn.json.") \
    X(SETTING_REFERENCES, "input_validation_fail:setting", WARNING, BROKER, EACH, AZFN__FIELD_BIT(VARIABLES), \
      "Settings that azfn.json names still hold a Key Vault reference, which the platform could not resolve.", \
      "Write the reference into \"secrets\" of azfn.json.") \
    /* The managed identity */ \
    X(TOKEN_FETCHED, "authn_token_created:managed_identity", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(RESOURCE) | AZFN__FIELD_BIT(EXPIRES_AT), \
      "The first token for a resource was got.", "Nothing.") \
    X(TOKEN_REFRESHED, "authn_token_created:managed_identity_refreshed", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(RESOURCE) | AZFN__FIELD_BIT(EXPIRES_AT), "A token was replaced by a newer one.", "Nothing.") \
    X(TOKEN_RECOVERED, "authn_token_created:managed_identity_recovered", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(RESOURCE), "Tokens can be got again after a failure.", "Nothing.") \
    X(TOKEN_STALE, "authn_login_fail:managed_identity_stale", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(RESOURCE) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(EXPIRES_AT) | AZFN__FIELD_BIT(COUNT), \
      "A token can't be refreshed; the old one is used until it expires. Then a count every hour.", \
      "See the reason before expires_at; then requests begin to fail.") \
    X(TOKEN_FAILED, "authn_login_fail:managed_identity", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(RESOURCE) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "No token could be got, after all tries; then a count every five minutes.", \
      "Is the identity assigned, and does azfn.json name the right one?") \
    /* Key Vault */ \
    X(VAULT_FETCHED, "sensitive_read:key_vault", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(SECRET_VERSION) | AZFN__FIELD_BIT(EXPIRES_AT), \
      "The broker got a secret's value for the first time.", "Nothing.") \
    X(VAULT_REFRESHED, "sensitive_read:key_vault_refreshed", INFORMATION, BROKER, EACH, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(SECRET_VERSION) | AZFN__FIELD_BIT(EXPIRES_AT), \
      "Key Vault has another version of the secret, which is used from now on.", "Was the rotation yours?") \
    X(VAULT_RECOVERED, "sensitive_read:key_vault_recovered", INFORMATION, BROKER, EACH, AZFN__FIELD_BIT(SECRET), \
      "The secret can be got again after a failure.", "Nothing.") \
    X(VAULT_STALE, "sensitive_read:key_vault_stale", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(SECRET_VERSION) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "A secret can't be refreshed; the old value is used meanwhile, for at most secretStaleMs. Then a count every " \
      "hour.", \
      "See the reason: the vault, the network, the identity.") \
    X(VAULT_REFUSED, "sensitive_read:key_vault_refused", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "Key Vault refuses the secret to the app's identity, the identity gets no token for it, or it is disabled. An older " \
      "value is not used any more.", \
      "Does the identity have Key Vault Secrets User on the vault? Does the vault's firewall let the app in?") \
    X(VAULT_MISSING, "sensitive_read:key_vault_missing", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "Key Vault has no such secret. An older value is not used any more.", "Who has deleted it? Is the name right?") \
    X(VAULT_EXPIRED, "sensitive_read:key_vault_expired", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(SECRET_VERSION) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "The secret has expired or is not yet valid, or could not be refreshed within secretStaleMs: not used.", \
      "Set a new version.") \
    X(VAULT_FAILED, "sensitive_read:key_vault_failed", WARNING, BROKER, COUNTED, \
      AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "A secret that there is no value of could not be got, after all tries; then a count every five minutes.", \
      "See the reason: the vault, the network, the identity.") \
    /* What functions use, and what they are refused */ \
    X(SECRET_READ, "sensitive_read:secret", INFORMATION, BROKER, COUNTED, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(SECRET_VERSION) | AZFN__FIELD_BIT(COUNT), \
      "A function was given a secret that azfn.json grants to it; then a count every five minutes.", \
      "Nothing; a count that is far from the number of the function's invocations is worth a look.") \
    X(DESTINATION_USED, "sensitive_read:destination", INFORMATION, BROKER, COUNTED, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(DESTINATION) | AZFN__FIELD_BIT(COUNT), \
      "A function sent a request to a destination that azfn.json grants to it; then a count every five minutes.", \
      "As for sensitive_read:secret.") \
    X(SECRET_REFUSED, "authz_fail:secret", ERROR, BROKER, COUNTED, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SECRET) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "A function asked for a secret that azfn.json does not grant to it.", \
      "A fault in code or azfn.json right after a deployment; at any other time treat it as an exploited function.") \
    X(DESTINATION_REFUSED, "authz_fail:destination", ERROR, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A function asked for a destination that azfn.json does not grant to it.", "As for authz_fail:secret.") \
    X(SETTING_REFUSED, "authz_fail:setting", ERROR, WORKER, COUNTED, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SETTING) | AZFN__FIELD_BIT(COUNT), \
      "A function asked for a setting that azfn.json does not grant to it.", \
      "As for authz_fail:secret.") \
    X(OTHERS_REFUSED, "authz_fail:others", ERROR, ANY, COUNTED, AZFN__FIELD_BIT(COUNT), \
      "The worker was refused more different things, or functions more different settings, than are told one by one.", \
      "Treat it as an exploited function.") \
    X(DESTINATION_RULE, "input_validation_fail:destination", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A function asked a destination for a path, method, header or size that its rules in azfn.json refuse.", \
      "As for authz_fail:secret.") \
    X(DESTINATION_FAILED, "sensitive_read:destination_failed", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A request to a service failed.", "See the reason: the service, the network, a name.") \
    X(DESTINATION_UNAUTHORIZED, "authn_login_fail:destination", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A service refuses the credential (401), or what was asked with it (403).", \
      "The role of the identity, the partner's key.") \
    X(CREDENTIAL_UNUSABLE, "authn_login_fail:credential", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "A request was not sent, since its credential could not be had.", "See the event of the secret or the token.") \
    /* Callers */ \
    X(CALLER_AUTHENTICATED, "authn_login_success:easy_auth", INFORMATION, WORKER, COUNTED, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(PRINCIPAL_ID) | AZFN__FIELD_BIT(IDENTITY_PROVIDER) | \
          AZFN__FIELD_BIT(COUNT), \
      "App Service Authentication vouches for a caller; one for each function and address, then a count every five " \
      "minutes.", \
      "Nothing; one principal_id from several addresses at a time may be a stolen token.") \
    X(CALLER_UNPROVEN, "authn_login_fail:easy_auth", WARNING, WORKER, EACH, AZFN__FIELDS_OF_REQUEST, \
      "A request says who its caller is (X-MS-CLIENT-PRINCIPAL), but App Service Authentication is off: anybody can " \
      "write that. The request is served.", \
      "Somebody tries to pass for another; or turn App Service Authentication on.") \
    X(SIGNATURE_INVALID, "authn_login_fail:signature", WARNING, FUNCTION, EACH, AZFN__FIELDS_OF_REQUEST, \
      "The function refused a request whose signature is wrong.", \
      "Many at once: a forger, or a key that was rotated on one side.") \
    X(CALLER_FORBIDDEN, "authz_fail:function", ERROR, FUNCTION, EACH, AZFN__FIELDS_OF_REQUEST, \
      "The function refused a caller what he asked for.", "See the description: it is the app's own.") \
    X(REQUEST_SUSPICIOUS, "malicious_request:function", ERROR, FUNCTION, EACH, AZFN__FIELDS_OF_REQUEST, \
      "The function takes a request for an attack.", "See the description: it is the app's own.") \
    X(REQUEST_INVALID, "input_validation_fail:function", WARNING, FUNCTION, EACH, AZFN__FIELDS_OF_REQUEST, \
      "The function refused input as not valid.", "See the description: it is the app's own.") \
    /* Input */ \
    X(INVALID_HTTP, "input_validation_fail:http", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS), \
      "What came is no HTTP request that azfn takes; the connection was closed.", \
      "With 501 it may be a client's method, which the host passes on. The host sends nothing else of this kind: " \
      "something on this machine speaks to the port directly, or a client makes the host do it.") \
    X(INVALID_ROUTE, "input_validation_fail:route", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_UNROUTED | AZFN__FIELD_BIT(STATUS), \
      "No function has this path, or it does not take this method.", "Many different ones: a scan.") \
    X(INVALID_ENVELOPE, "input_validation_fail:envelope", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS), \
      "What came to the path of a function's events is no envelope of the host.", \
      "The host sends none of this kind: something on this machine speaks to the port directly, or a client reaches " \
      "that path by way of an open route.") \
    X(INVALID_JSON, "input_validation_fail:json", WARNING, WORKER, EACH, AZFN__FIELDS_OF_REQUEST, \
      "A function took input for JSON that is none.", "Many at once: somebody tries what happens.") \
    X(SLOW_CLIENT, "input_validation_fail:slow_client", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS) | AZFN__FIELD_BIT(LIMIT), \
      "A request came, or an answer was taken, too slowly; the connection was closed.", \
      "Many at once: somebody tries to hold all connections.") \
    /* Limits */ \
    X(FUNCTION_LIMIT, "excess_rate_limit_exceeded:function", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS) | AZFN__FIELD_BIT(LIMIT), \
      "More invocations at once than maxConcurrent or requestsInFlight allow; 429.", "Scale out, or raise the limit.") \
    X(SIZE_LIMIT, "excess_rate_limit_exceeded:size", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS) | AZFN__FIELD_BIT(LIMIT), \
      "A request is larger than a limit of azfn.json allows, such as maxBodyBytes or urlBytes; 413, 414, 431 or 400.", \
      "Raise the limit where the client is honest; many from one source_ip: somebody tries what happens.") \
    X(BLOCKING_LIMIT, "excess_rate_limit_exceeded:blocking", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS) | AZFN__FIELD_BIT(LIMIT), \
      "Too many invocations of blocking functions wait for a thread; 429.", "Raise blockingThreads, or block less.") \
    X(CONNECTION_LIMIT, "excess_rate_limit_exceeded:connections", WARNING, WORKER, COUNTED, \
      AZFN__FIELD_BIT(LIMIT) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT), \
      "A connection came beyond the limit, or one that the system lacks descriptors or memory for. The reason says what " \
      "became of it: another one that was idle was closed for it, it was closed, or it waits.", \
      "The host has one per request in flight: scale out, or raise connections or requestsInFlight. Where the host has " \
      "fewer, something on this machine connects to the port directly.") \
    X(MEMORY_LIMIT, "excess_rate_limit_exceeded:memory", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(STATUS) | AZFN__FIELD_BIT(LIMIT), \
      "The bodies in memory have reached bodyBytesInFlight, or memory is short; 503.", \
      "Scale out, or raise the limit.") \
    X(SECRETS_LIMIT, "excess_rate_limit_exceeded:secrets", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SECRET), \
      "A secret did not fit into the worker's locked memory: too many are in use at once.", \
      "Release secrets earlier, or lower maxConcurrent.") \
    X(DESTINATION_LIMIT, "excess_rate_limit_exceeded:destination", WARNING, BROKER, COUNTED, \
      AZFN__FIELDS_OF_DESTINATION, \
      "More requests are in flight to services than the limits allow.", "A slow service, or a loop in a function.") \
    X(TIMEOUT, "excess_rate_limit_exceeded:timeout", WARNING, WORKER, EACH, \
      AZFN__FIELDS_OF_REQUEST | AZFN__FIELD_BIT(LIMIT), \
      "A function did not answer within its timeoutMs; azfn answered for it.", \
      "Many at once: what it waits for is slow.") \
    X(LOOP_BLOCKED, "excess_rate_limit_exceeded:loop", WARNING, BROKER, EACH, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(DURATION_MS), \
      "A function blocks the worker's loop: nothing else is served meanwhile.", "Register the function as blocking.") \
    X(LOG_LIMIT, "excess_rate_limit_exceeded:log", WARNING, ANY, COUNTED, \
      AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SUPPRESSED) | AZFN__FIELD_BIT(COUNT), \
      "Lines of the log were dropped: too many at once, or nobody read them.", \
      "Where origin is broker, the gaps in sequence are these lines; what the worker dropped never had a number. Many of " \
      "one event: see what that event means. Of all: does anybody read stdout and stderr?")

enum azfn__security_event {
    AZFN__EVENT_NONE, /* a line that is no event */
#define AZFN__SECURITY_EVENT_ID(id, name, level, source, repeats, fields, when, action) AZFN__EVENT_##id,
    AZFN__SECURITY_EVENTS(AZFN__SECURITY_EVENT_ID)
#undef AZFN__SECURITY_EVENT_ID
    AZFN__EVENT_COUNT
};

enum azfn__event_source {
    AZFN__SOURCE_BROKER,
    AZFN__SOURCE_WORKER,
    AZFN__SOURCE_FUNCTION,
    AZFN__SOURCE_ANY,
};

struct azfn__security_event_info {
    const char *name; /* NULL: AZFN__EVENT_NONE */
    enum azfn_log_level level;
    enum azfn__event_source source;
    bool is_counted;
    uint64_t fields; /* of AZFN__FIELD_BIT */
};

const struct azfn__security_event_info *azfn__security_event_info(enum azfn__security_event event);

#endif
