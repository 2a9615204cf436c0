// What an app does with its vault, by Microsoft's clients: prints one JSON object of what came back.
"use strict";
const { ManagedIdentityCredential } = require("@azure/identity");
const { SecretClient } = require("@azure/keyvault-secrets");

async function names(pages) {
  const found = [];
  for await (const item of pages) {
    found.push(item.name + (item.properties?.version || item.version ? "/" : ""));
  }
  return found;
}

async function code(promise) {
  try {
    await promise;
    return "none";
  } catch (error) {
    return `${error.statusCode} ${error.code}`;
  }
}

async function main() {
  const result = {};
  const clientId = process.env.TEST_CLIENT_ID;
  const credential = clientId ? new ManagedIdentityCredential({ clientId }) : new ManagedIdentityCredential();
  const token = await credential.getToken("https://storage.azure.com/.default");
  result.token = token.token;
  result.tokenLifetime = Math.round((token.expiresOnTimestamp - Date.now()) / 1000);

  const client = new SecretClient(process.env.TEST_VAULT_URL, credential, { retryOptions: { retryDelayInMs: 10 } });
  result.given = (await client.getSecret("given")).value;
  const first = await client.setSecret("made", "one", { contentType: "text/plain", tags: { a: "b" } });
  const second = await client.setSecret("made", "two", { expiresOn: new Date("2037-01-01T00:00:00Z") });
  result.newest = (await client.getSecret("made")).value;
  result.firstVersion = (await client.getSecret("made", { version: first.properties.version })).value;
  result.contentType = first.properties.contentType;
  result.expires = second.properties.expiresOn.toISOString();
  result.names = await names(client.listPropertiesOfSecrets());
  result.versions = (await names(client.listPropertiesOfSecretVersions("made"))).length;
  await client.updateSecretProperties("made", first.properties.version, { enabled: false });
  result.disabled = await code(client.getSecret("made", { version: first.properties.version }));
  result.none = await code(client.getSecret("none"));
  const poller = await client.beginDeleteSecret("made", { intervalInMs: 10 });
  await poller.pollUntilDone();
  result.gone = await code(client.getSecret("made"));
  result.again = await code(client.setSecret("made", "three"));
  result.deleted = await names(client.listDeletedSecrets());
  const recovery = await client.beginRecoverDeletedSecret("made", { intervalInMs: 10 });
  await recovery.pollUntilDone();
  result.recovered = (await client.getSecret("made")).value;
  await (await client.beginDeleteSecret("made", { intervalInMs: 10 })).pollUntilDone();
  await client.purgeDeletedSecret("made");
  result.purged = await code(client.getDeletedSecret("made"));
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
