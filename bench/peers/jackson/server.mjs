// The directory sync of SAML Jackson on PostgreSQL, as a SCIM service provider for measurements.
//
//   MUSTER_TEST_POSTGRES=postgresql://… PORT=0 node server.mjs
//
// Prints the path of its SCIM base URL and its token, which Jackson makes, before it listens. What
// it answers is Jackson's doing. It ends on SIGTERM, and by itself after MAX_SECONDS.

import { createServer } from "node:http";

import { controllers } from "@boxyhq/saml-jackson";

const HOST = "127.0.0.1";
const SCIM_PATH = "/api/scim/v2.0";

const postgres = process.env.MUSTER_TEST_POSTGRES;
const port = Number(process.env.PORT ?? "0");
const maxSeconds = Number(process.env.MAX_SECONDS ?? "3600");
if (!postgres || !Number.isInteger(port) || !(maxSeconds > 0 && maxSeconds <= 86_400)) {
    console.error("usage: MUSTER_TEST_POSTGRES=URL [PORT=0] [MAX_SECONDS=3600] node server.mjs");
    process.exit(2);
}

// Jackson takes the host of a URL as it stands, so a socket's folder goes around it.
const { hostname, username, pathname } = new URL(postgres);
process.env.PGHOST = decodeURIComponent(hostname);
process.env.PGUSER = username;

const jackson = await controllers({
    externalUrl: `http://${HOST}`,
    samlPath: "/api/oauth/saml",
    scimPath: SCIM_PATH,
    noAnalytics: true,
    // Its pages end at 50 otherwise.
    db: { engine: "sql", type: "postgres", url: `postgresql://${pathname}`, pageLimit: 100 },
    logger: { info: () => {} },
});
const { directories, requests } = jackson.directorySyncController;
const { data: directory, error } = await directories.create({ tenant: "bench", product: "bench" });
if (error) throw error;

/** What Jackson is asked: `/api/scim/v2.0/DIRECTORY/Users/ID?filter=…`. */
async function asked(request) {
    const { pathname, searchParams } = new URL(request.url, `http://${HOST}`);
    const [directoryId, resourceType, resourceId] = pathname.slice(SCIM_PATH.length + 1).split("/");
    const number = (name) => (searchParams.has(name) ? Number(searchParams.get(name)) : undefined);
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    return {
        method: request.method,
        body: body ? JSON.parse(body) : undefined,
        directoryId,
        resourceType: resourceType ?? "",
        resourceId,
        apiSecret: request.headers.authorization?.replace("Bearer ", ""),
        query: {
            startIndex: number("startIndex"),
            count: number("count"),
            filter: searchParams.get("filter") ?? undefined,
        },
    };
}

const server = createServer(async (request, response) => {
    try {
        // Its events go nowhere: an application that embeds it would take them here.
        const { status, data } = await requests.handle(await asked(request), async () => {});
        response.writeHead(status, { "Content-Type": "application/scim+json" });
        response.end(JSON.stringify(data));
    } catch (problem) {
        response.writeHead(500).end(String(problem));
    }
});
server.maxConnections = 256;
server.requestTimeout = 30_000;
server.listen(port, HOST, () => {
    console.log(`BASE=${SCIM_PATH}/${directory.id}`);
    console.log(`TOKEN=${directory.scim.secret}`);
    console.log(`listening on http://${HOST}:${server.address().port}`);
});

function stop() {
    server.close(() => process.exit(0));
    server.closeAllConnections();
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
setTimeout(stop, maxSeconds * 1000).unref();
