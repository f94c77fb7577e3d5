// An OpenID provider on loopback, as a shop's login would be: oidc-provider, with its own pages for developers to sign in
// and consent. Two keys; the resource that a token is for chooses its algorithm. Prints its issuer when it listens.

import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import Provider from "oidc-provider";

const [redirect, human] = process.argv.slice(2);
const jwk = (alg, kid, type, options) =>
  ({ ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), alg, kid, use: "sig" });

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "shop",
      token_endpoint_auth_method: "none", // a page: it keeps no secret
      redirect_uris: [redirect],
      application_type: "native", // whose redirect may be on loopback
    }],
    jwks: { keys: [jwk("RS256", "rsa-1", "rsa", { modulusLength: 2048 }), jwk("ES256", "ec-1", "ec", { namedCurve: "P-256" })] },
    cookies: { keys: ["a key of this test"] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: () => (human ? { human } : {}),
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: "buy",
          audience: "checkout",
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: resource.split(":").at(-1).toUpperCase() } }, // urn:checkout:es256
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
