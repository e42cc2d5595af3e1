// An OAuth authorization server made of oidc-provider, and before a SCIM service provider a door that takes its
// access tokens alone; for end-to-end tests.
//
//   PEER=http://127.0.0.1:8080/v2 TOKEN=secret JWK='{"kty":"EC",…}' PORT=0 node server.mjs
//
// Clients: `muster` with the secret `client-secret`, for authorization codes, `pages` with `pages-secret`, for
// people who sign in to the pages (as ana@contoso.example), and `signer`, whose public key is
// JWK. Whoever is asked says yes at once. SCIM is at /scim. It ends on SIGTERM, and by itself after MAX_SECONDS.

import { createServer } from "node:http";

import Provider from "oidc-provider";

const HOST = "127.0.0.1";
const LARGEST = 4 * 1024 * 1024;

const { PEER: peer, TOKEN: token, JWK: jwk } = process.env;
const port = Number(process.env.PORT ?? "0");
const maxSeconds = Number(process.env.MAX_SECONDS ?? "3600");
if (!peer || !token || !jwk || !Number.isInteger(port) || !(maxSeconds > 0 && maxSeconds <= 86_400)) {
    console.error("usage: PEER=url TOKEN=secret JWK=json [PORT=0] [MAX_SECONDS=3600] node server.mjs");
    process.exit(2);
}

const configuration = {
    clients: [
        {
            client_id: "muster",
            client_secret: "client-secret",
            application_type: "native",
            token_endpoint_auth_method: "client_secret_post",
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            redirect_uris: ["http://127.0.0.1/callback"],
        },
        {
            client_id: "pages",
            client_secret: "pages-secret",
            application_type: "native",
            token_endpoint_auth_method: "client_secret_basic",
            grant_types: ["authorization_code"],
            response_types: ["code"],
            redirect_uris: ["http://127.0.0.1/sign-in/oidc/callback"],
        },
        {
            client_id: "signer",
            token_endpoint_auth_method: "private_key_jwt",
            grant_types: ["client_credentials"],
            response_types: [],
            redirect_uris: [],
            jwks: { keys: [JSON.parse(jwk)] },
        },
    ],
    scopes: ["openid", "offline_access", "scim", "email", "profile"],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/yes/${interaction.uid}` },
    pkce: { required: () => true },
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, ClientCredentials: 600, RefreshToken: 3600, Grant: 3600 },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({
        sub: id, preferred_username: id, email: `${id}@contoso.example`, email_verified: true,
    }) }),
    cookies: { keys: ["only for tests"] },
};

/** Somebody who allows whatever is asked. */
async function sayYes(provider, request, response) {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (prompt.name === "login") {
        return provider.interactionFinished(request, response, { login: { accountId: "ana" } });
    }
    const grant = grantId
        ? await provider.Grant.find(grantId)
        : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const consent = { grantId: await grant.save() };
    return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

/** Hands a request on to the peer, when it shows an access token that is good. */
async function pass(provider, request, response) {
    const shown = (request.headers.authorization ?? "").replace(/^Bearer /u, "");
    const known =
        (await provider.AccessToken.find(shown)) ?? (await provider.ClientCredentials.find(shown));
    if (!known?.isValid) {
        response.writeHead(401, { "www-authenticate": "Bearer" }).end();
        return;
    }
    const parts = [];
    let size = 0;
    for await (const part of request) {
        size += part.length;
        if (size > LARGEST) {
            response.writeHead(413).end();
            return;
        }
        parts.push(part);
    }
    const answer = await fetch(peer + request.url.slice("/scim".length), {
        method: request.method,
        headers: {
            authorization: `Bearer ${token}`,
            accept: "application/scim+json",
            "content-type": "application/scim+json",
        },
        body: size > 0 ? Buffer.concat(parts) : undefined,
    });
    const body = Buffer.from(await answer.arrayBuffer());
    const type = answer.headers.get("content-type");
    response.writeHead(answer.status, type ? { "content-type": type } : {}).end(body);
}

const server = createServer();
server.listen(port, HOST, () => {
    const address = `http://${HOST}:${server.address().port}`;
    const provider = new Provider(address, configuration);
    const handle = provider.callback();
    server.on("request", (request, response) => {
        const failed = (error) => {
            console.error(error);
            response.writeHead(500).end();
        };
        if (request.url.startsWith("/scim/")) {
            pass(provider, request, response).catch(failed);
        } else if (request.url.startsWith("/yes/")) {
            sayYes(provider, request, response).catch(failed);
        } else {
            handle(request, response);
        }
    });
    console.log(`listening on ${address}`);
});

const end = () => {
    server.close();
    server.closeAllConnections();
    process.exit(0);
};
process.on("SIGTERM", end);
setTimeout(end, maxSeconds * 1000).unref();
