/* fuzz/fuzz_key_vault.c
 * What Key Vault and the managed identity endpoint may answer: the first byte says as what the rest is read. What is
 * accepted is inside of the answer and may be used; what is told of it is ours. */
#include "base/span.h"
#include "broker/identity_answer.h"
#include "broker/key_vault_answer.h"
#include "fuzz/check.h"

#include <string.h>

#define NOW_MS UINT64_C(1700000000000)
#define AUDIENCE AZFN__SPAN("https://vault.azure.net")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct azfn_span part, const char *body, size_t length)
{
    return part.data >= body && part.length <= length && (size_t)(part.data - body) <= length - part.length;
}

static void read_secret(char *body, size_t length, struct azfn_span version)
{
    struct azfn__key_vault_secret secret;
    const char *reason = NULL;
    enum azfn_error error = azfn__key_vault_secret_read(body, length, version, NOW_MS, &secret, &reason);
    if (error != AZFN_OK) {
        CHECK(reason && reason[0] != '\0');
        return;
    }
    size_t version_length = strnlen(secret.version, sizeof(secret.version));
    CHECK(is_inside(secret.value, body, length) && secret.value.length <= AZFN__VAULT_VALUE_MAX_BYTES);
    CHECK(secret.value.length == 0 || !memchr(secret.value.data, '\0', secret.value.length));
    CHECK(version_length > 0 && version_length < sizeof(secret.version));
    CHECK(strspn(secret.version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == version_length);
    CHECK(version.length == 0 || version.length == version_length);
    CHECK(secret.expires_at_ms > NOW_MS);
}

static void read_token(char *body, size_t length)
{
    struct azfn__identity_answer answer;
    const char *reason = azfn__identity_answer_read(body, length, NOW_MS, &answer);
    if (reason) {
        CHECK(reason[0] != '\0' && !azfn_span_is_present(answer.token));
        return;
    }
    CHECK(is_inside(answer.token, body, length));
    CHECK(answer.token.length > 0 && answer.token.length <= AZFN__TOKEN_MAX_BYTES);
    CHECK(answer.expires_at_ms >= NOW_MS + AZFN__TOKEN_MIN_LIFE_MS);
    for (size_t i = 0; i < answer.token.length; i++) {
        CHECK(answer.token.data[i] > ' ' && answer.token.data[i] <= '~');
    }
}

static void check_challenge(struct azfn_span challenge)
{
    enum azfn__vault_challenge kind = azfn__key_vault_challenge_check(challenge, AUDIENCE);
    /* what matches for one audience does not for another */
    enum azfn__vault_challenge other = azfn__key_vault_challenge_check(challenge, AZFN__SPAN("https://vault.azure.cn"));
    CHECK(kind != AZFN__VAULT_CHALLENGE_MATCHES || other == AZFN__VAULT_CHALLENGE_OTHER);
    CHECK((kind == AZFN__VAULT_CHALLENGE_UNREADABLE) == (other == AZFN__VAULT_CHALLENGE_UNREADABLE));
    if (kind == AZFN__VAULT_CHALLENGE_MATCHES) {
        CHECK(memmem(challenge.data, challenge.length, AUDIENCE.data, AUDIENCE.length));
        CHECK(!memchr(challenge.data, '\\', challenge.length) && !memchr(challenge.data, '\0', challenge.length));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t length = size - 1;
    /* of its own, so that a read beyond it is seen */
    char *body = malloc(length > 0 ? length : 1);
    CHECK(body);
    memcpy(body, data + 1, length);
    switch (data[0] % 5) {
    case 0:
        read_secret(body, length, azfn__absent());
        break;
    case 1:
        read_secret(body, length, AZFN__SPAN("0123456789abcdef0123456789abcdef"));
        break;
    case 2:
        CHECK(strlen(azfn__key_vault_error_code(azfn__span(body, length))) > 0);
        break;
    case 3:
        check_challenge(azfn__span(body, length));
        break;
    default:
        read_token(body, length);
        break;
    }
    free(body);
    return 0;
}
