// A SCIM 2.0 service provider made of SCIMMY and an in-memory store, for end-to-end tests.
//
//   TOKEN=secret PORT=0 node server.mjs      the provider is then at http://127.0.0.1:PORT/scim
//
// What it answers is SCIMMY's doing; only the store is ours. It ends on SIGTERM, and by itself
// after MAX_SECONDS, so that a broken test run leaves nothing behind.

import { randomUUID } from "node:crypto";

import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const HOST = "127.0.0.1";
const MAX_RESOURCES = 20_000;

const token = process.env.TOKEN;
const port = Number(process.env.PORT ?? "0");
const maxSeconds = Number(process.env.MAX_SECONDS ?? "3600");
if (!token || !Number.isInteger(port) || !(maxSeconds > 0 && maxSeconds <= 86_400)) {
    console.error("usage: TOKEN=secret [PORT=0] [MAX_SECONDS=3600] node server.mjs");
    process.exit(2);
}

const { Error: ScimError } = SCIMMY.Types;

/** What is kept of one resource type: plain objects by id. */
class Store {
    #byId = new Map();
    /** The attribute that resources are looked up by, and their ids by its lower-case value. */
    #key;
    #byKey = new Map();

    constructor(type, { key, check = () => {}, tidy = (data) => data, removed = () => {} } = {}) {
        this.#key = key;
        type.ingress((resource, data) => this.#write(resource.id, data, check, tidy));
        type.egress((resource) => (resource.id ? this.#get(resource.id) : this.#find(resource)));
        type.degress((resource) => {
            const kept = this.#get(resource.id);
            this.#byId.delete(kept.id);
            this.#byKey.delete(kept[key]?.toLowerCase());
            removed(kept.id);
        });
    }

    values() {
        return this.#byId.values();
    }

    #get(id) {
        const kept = this.#byId.get(id);
        if (!kept) throw new ScimError(404, null, `Resource ${id} not found`);
        return kept;
    }

    /** Whose attribute it is, if any has this value in whatever case. */
    owner(value) {
        return this.#byKey.get(value.toLowerCase());
    }

    #find({ filter }) {
        // One `key eq "text"` needs no walk over all resources.
        const [comparator, value] = (filter?.length === 1 && filter[0][this.#key]) || [];
        if (comparator === "eq" && typeof value === "string" && Object.keys(filter[0]).length === 1) {
            const id = this.owner(value);
            return id ? filter.match([this.#get(id)]) : [];
        }
        const all = [...this.#byId.values()];
        return filter ? filter.match(all) : all;
    }

    #write(existing, data, check, tidy) {
        const before = existing ? this.#get(existing) : undefined;
        if (!before && this.#byId.size >= MAX_RESOURCES) {
            throw new ScimError(413, "tooMany", "The store is full");
        }
        const id = existing ?? randomUUID();
        const plain = JSON.parse(JSON.stringify(data));
        check(plain, id);
        const now = new Date().toISOString();
        const meta = { created: before?.meta.created ?? now, lastModified: now };
        const kept = { ...tidy(plain), id, meta };
        this.#byId.set(id, kept);
        if (this.#key) {
            this.#byKey.delete(before?.[this.#key].toLowerCase());
            this.#byKey.set(kept[this.#key].toLowerCase(), id);
        }
        return kept;
    }
}

const { User, Group } = SCIMMY.Resources;
SCIMMY.Resources.declare(User).extend(SCIMMY.Schemas.EnterpriseUser, false);
SCIMMY.Resources.declare(Group);

const users = new Store(User, {
    key: "userName",
    check: ({ userName }, id) => {
        if ((users.owner(userName) ?? id) !== id) {
            throw new ScimError(409, "uniqueness", `userName '${userName}' is taken`);
        }
    },
    removed: (id) => {
        for (const group of groups.values()) {
            group.members = group.members?.filter((member) => member.value !== id);
        }
    },
});

const groups = new Store(Group, {
    tidy: (group) => {
        const members = new Map((group.members ?? []).map((member) => [member.value, member]));
        return { ...group, members: [...members.values()] };
    },
});

let url;
const app = express();
app.disable("x-powered-by");
app.use(
    "/scim",
    new SCIMMYRouters({
        type: "bearer",
        docUri: "https://scimmyjs.github.io",
        baseUri: () => url,
        handler: (request) => {
            if (request.header("Authorization") !== `Bearer ${token}`) {
                throw new Error("The bearer token is missing or wrong");
            }
        },
    }),
);

const server = app.listen(port, HOST, (error) => {
    if (error) throw error;
    url = `http://${HOST}:${server.address().port}`;
    console.log(`listening on ${url}`);
});
server.maxConnections = 256;
server.requestTimeout = 30_000;
// A list can take longer than the standard five seconds, and other connections wait meanwhile.
server.keepAliveTimeout = 120_000;

function stop() {
    server.close(() => process.exit(0));
    server.closeAllConnections();
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
setTimeout(stop, maxSeconds * 1000).unref();
