/* Which variables are taken for secrets. None of the values is one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/environment_report.h"

#include <stdio.h>

#define NO AZFN__ENVIRONMENT_NO_SECRET
#define OWN AZFN__ENVIRONMENT_OWN_SECRET
#define PLATFORM AZFN__ENVIRONMENT_PLATFORM_SECRET

#define TEN "abcdefGH+/"
#define EIGHTY TEN TEN TEN TEN TEN TEN TEN TEN
#define STORAGE_KEY EIGHTY "abcdef=="
#define STORAGE "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=x;EndpointSuffix=core.windows.net"

struct kind_case {
    const char *name;
    const char *value;
    enum azfn__environment_kind kind;
};

static void expect_kinds(const struct kind_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum azfn__environment_kind kind =
            azfn__environment_kind_of(azfn_span_of(cases[i].name), azfn_span_of(cases[i].value));
        if (kind != cases[i].kind) {
            fail_msg("%s=%s: expected %d, found %d", cases[i].name, cases[i].value, (int)cases[i].kind, (int)kind);
        }
    }
}
#define EXPECT_KINDS(cases) expect_kinds(cases, sizeof(cases) / sizeof((cases)[0]))

static void values_give_secrets_away(void **state)
{
    (void)state;
    static const struct kind_case cases[] = {
        {"Orders", STORAGE, OWN},
        {"Orders", "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=x", OWN},
        {"Orders", "Endpoint=https://x.webpubsub.azure.com;AccessKey=x;Version=1.0;", OWN},
        {"Orders", "BlobEndpoint=https://x/;SharedAccessSignature=x", OWN},
        {"Orders", "Server=tcp:x.database.windows.net;User ID=a;Password=x", OWN},
        {"Orders", "Server=x;Uid=a;PWD = x;", OWN},
        {"Orders", "server=x;password='a b'", OWN},
        {"Orders", "x.redis.cache.windows.net:6380,password=x,ssl=True", OWN},
        {"Orders", "host=x user=a password=x", OWN},
        {"Orders", "https://x.blob.core.windows.net/c?sv=2023-11-03&se=2030-01-01&sig=x", OWN},
        {"Orders", "SharedAccessSignature sr=x&sig=x&se=1893456000", OWN},
        {"Orders", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", OWN},
        {"Orders", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", OWN},
        {"Orders", "-----BEGIN PRIVATE KEY-----\nx", OWN},
        {"Orders", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nx",
         OWN},
        {"Orders", STORAGE_KEY, OWN},
        {"Orders", " " STORAGE_KEY " ", OWN},
        {"Orders", "postgres://a:x@host/db", OWN},
        {"Orders", "failover:(amqp://a:x@host:5671)", OWN},
        {"HTTPS_PROXY", "http://a:x@proxy:3128", OWN},
        {"Db__Connection", "Server=x;Password=x", OWN},
    };
    EXPECT_KINDS(cases);
}

static void names_give_secrets_away(void **state)
{
    (void)state;
    static const struct kind_case cases[] = {
        {"PARTNER_API_KEY", "12345678", OWN},      {"partnerApiKey", "12345678", OWN},
        {"Partner__Key", "12345678", OWN},         {"AZURE_CLIENT_SECRET", "x", OWN},
        {"DB_PASSWORD", "x", OWN},                 {"DbPassword", "x", OWN},
        {"DB_PWD", "x", OWN},                      {"GITHUB_TOKEN", "12345678", OWN},
        {"UPLOAD_SAS", "12345678", OWN},           {"COSMOS_PRIMARY_KEY", "12345678", OWN},
        {"SQLCONNSTR_orders", "Server=x", OWN},    {"SQLAZURECONNSTR_orders", "Server=x", OWN},
        {"MYSQLCONNSTR_orders", "x", OWN},         {"POSTGRESQLCONNSTR_orders", "x", OWN},
        {"CUSTOMCONNSTR_orders", "x", OWN},        {"OrdersConnectionString", "x", OWN},
        {"AzureWebJobsStorage__accountKey", "12345678", OWN},
    };
    EXPECT_KINDS(cases);
}

static void what_the_platform_puts_there_is_told_apart(void **state)
{
    (void)state;
    static const struct kind_case cases[] = {
        {"AzureWebJobsStorage", STORAGE, PLATFORM},
        {"AzureWebJobsDashboard", STORAGE, PLATFORM},
        {"AzureWebJobsOrders", STORAGE, OWN},
        {"WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", STORAGE, PLATFORM},
        {"WEBSITE_RUN_FROM_PACKAGE", "https://x/y.zip?sv=1&sig=x", PLATFORM},
        {"SCM_RUN_FROM_PACKAGE", "https://x/y.zip?se=1&sig=x", PLATFORM},
        {"CONTAINER_ENCRYPTION_KEY", "x", PLATFORM},
        {"POD_ENCRYPTION_KEY", "x", PLATFORM},
        {"AzureWebEncryptionKey", "x", PLATFORM},
        {"WEBSITE_AUTH_ENCRYPTION_KEY", "x", PLATFORM},
        {"WEBSITE_AUTH_SIGNING_KEY", "x", PLATFORM},
        {"WEBSITE_AUTH_CLIENT_SECRET", "x", PLATFORM},
        {"MICROSOFT_PROVIDER_AUTHENTICATION_SECRET", "x", PLATFORM},
        {"MACHINEKEY_DecryptionKey", "x", PLATFORM},
        {"MACHINEKEY_ValidationKey", "x", PLATFORM},
        {"IDENTITY_HEADER", "x", PLATFORM},
        {"MSI_SECRET", "x", PLATFORM},
        {"CONTAINER_START_CONTEXT_SAS_URI", "https://x", PLATFORM},
        {"DOCKER_REGISTRY_SERVER_PASSWORD", "x", PLATFORM},
        {"APPINSIGHTS_INSTRUMENTATIONKEY", "01234567-89ab-cdef-0123-456789abcdef", PLATFORM},
        {"APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=x", PLATFORM},
        {"DIAGNOSTICS_AZUREBLOBCONTAINERSASURL", "x", PLATFORM},
        {"WEBSITE_RELAYS", "x", PLATFORM},
        {"APPSETTING_AzureWebJobsStorage", STORAGE, PLATFORM},
        {"APPSETTING_PARTNER_API_KEY", "12345678", OWN},
    };
    EXPECT_KINDS(cases);
}

static void what_is_no_secret_is_left_alone(void **state)
{
    (void)state;
    static const struct kind_case cases[] = {
        {"PARTNER_API_KEY", "", NO},
        {"PARTNER_API_KEY", "  ", NO},
        {"PARTNER_API_KEY", "@Microsoft.KeyVault(VaultName=v;SecretName=s)", NO},
        {"IDENTITY_HEADER", "", NO},
        {"SQLCONNSTR_orders", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)", NO},
        {"USE_API_KEY", "true", NO},
        {"TLS_KEY", "/etc/ssl/private/key.pem", NO},
        {"ENCRYPTION_KEY", "https://v.vault.azure.net/keys/k", NO},
        {"CACHE_KEY", "orders-by-region", NO},
        {"PARTITION_KEY", "customer-number", NO},
        {"TLS_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nx", NO},
        {"TLS_CHAIN", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", NO},
        {"GPG_KEY", "0123456789ABCDEF0123456789ABCDEF01234567", NO},
        {"AzureWebJobsStorage", "UseDevelopmentStorage=true", NO},
        {"AzureWebJobsStorage__accountName", "orders", NO},
        {"AzureWebJobsStorage__credential", "managedidentity", NO},
        {"AzureWebJobsSecretStorageType", "files", NO},
        {"WEBSITE_RUN_FROM_PACKAGE", "1", NO},
        {"WEBSITE_INSTANCE_ID", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NO},
        {"WEBSITE_SITE_NAME", "orders", NO},
        {"WEBSITE_AUTH_ENABLED", "True", NO},
        {"FUNCTIONS_EXTENSION_VERSION", "~4", NO},
        {"FUNCTIONS_WORKER_RUNTIME", "custom", NO},
        {"FUNCTIONS_CUSTOMHANDLER_WORKER_ID", "01234567-89ab-cdef-0123-456789abcdef", NO},
        {"IDENTITY_ENDPOINT", "http://169.254.130.2:8081/msi/token", NO},
        {"AZURE_CLIENT_ID", "01234567-89ab-cdef-0123-456789abcdef", NO},
        {"KEY_VAULT_NAME", "my-vault", NO},
        {"PATH", "/usr/local/bin:/usr/bin", NO},
        {"PWD", "/home/site/wwwroot", NO},
        {"OLDPWD", "/home", NO},
        {"MONKEY", "capuchin-monkey", NO},
        {"LS_COLORS", "rs=0:di=01;34:ln=01;36:pi=40;33", NO},
        {"DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus,guid=0123456789abcdef0123456789abcdef", NO},
        {"SSH_AUTH_SOCK", "/tmp/ssh-x/agent.1", NO},
        {"URL", "https://example.org/users/@me:1?x=a:b@c", NO},
        {"URL", "ssh://git@example.org/x", NO},
        {"URL", "https://[::1]:8443/a@b", NO},
        {"QUERY", "passwordless=true;sigma=1;se=2", NO},
        {"QUERY", "Password=;x=1", NO},
        {"QUERY", "sig=x", NO},
        {"VERSION", "eyJ.a.b", NO},
        {"HASH", "sha512-" STORAGE_KEY, NO},
        {"_", "", NO},
    };
    EXPECT_KINDS(cases);
}

static void references_are_known(void **state)
{
    (void)state;
    assert_true(azfn__environment_is_reference(AZFN__SPAN("@Microsoft.KeyVault(x)")));
    assert_true(azfn__environment_is_reference(AZFN__SPAN("@microsoft.keyvault(x)")));
    assert_true(azfn__environment_is_reference(AZFN__SPAN("@Microsoft.AppConfiguration(x)")));
    assert_false(azfn__environment_is_reference(AZFN__SPAN("@Microsoft.KeyVault")));
    assert_false(azfn__environment_is_reference(azfn__absent()));
}

static void a_report_has_names_and_no_values(void **state)
{
    (void)state;
    static const char *const entries[] = {"PATH=/bin",
                                          "DB_PASSWORD=canary",
                                          "APPSETTING_DB_PASSWORD=canary",
                                          "APPSETTING_LONE_PASSWORD=canary",
                                          "IDENTITY_HEADER=canary",
                                          "APPSETTING_AzureWebJobsStorage=AccountKey=canary",
                                          "AzureWebJobsStorage=AccountKey=canary",
                                          "no equals sign: Password",
                                          "=C:=canary",
                                          "A\nB_PASSWORD=canary",
                                          NULL};
    struct azfn__environment_report report;
    azfn__environment_report_make(&report, entries);
    assert_string_equal(azfn__environment_names_text(&report.own),
                        "DB_PASSWORD, APPSETTING_LONE_PASSWORD, A?B_PASSWORD");
    assert_string_equal(azfn__environment_names_text(&report.platform), "IDENTITY_HEADER, AzureWebJobsStorage");
    azfn__environment_report_make(&report, &entries[10]);
    assert_string_equal(azfn__environment_names_text(&report.own), "");
    azfn__environment_report_make(&report, NULL);
    assert_int_equal(report.own.count + report.platform.count, 0);
}

static void many_and_long_names_are_cut(void **state)
{
    (void)state;
    enum { COUNT = 30 };
    static char texts[COUNT][300];
    const char *entries[COUNT + 1] = {NULL};
    for (size_t i = 0; i < COUNT; i++) {
        memset(texts[i], 'N', 200);
        snprintf(texts[i] + 200, 100, "_%02zu_PASSWORD=canary", i);
        entries[i] = texts[i];
    }
    struct azfn__environment_report report;
    azfn__environment_report_make(&report, entries);
    const char *text = azfn__environment_names_text(&report.own);
    assert_int_equal(report.own.count, COUNT);
    assert_non_null(strstr(text, "NNN..., NNN"));
    assert_string_equal(text + strlen(text) - 12, " and 10 more");
    assert_null(strstr(text, "canary"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_give_secrets_away),
        cmocka_unit_test(names_give_secrets_away),
        cmocka_unit_test(what_the_platform_puts_there_is_told_apart),
        cmocka_unit_test(what_is_no_secret_is_left_alone),
        cmocka_unit_test(references_are_known),
        cmocka_unit_test(a_report_has_names_and_no_values),
        cmocka_unit_test(many_and_long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
