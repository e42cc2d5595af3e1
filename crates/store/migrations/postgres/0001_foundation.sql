-- The foundation: directory, applications, jobs, engine state, log, received resources.
-- Every table is keyed by tenant first; times are microseconds since 1970; ids are 16 bytes.

CREATE TABLE users (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    name_key TEXT COLLATE "C" NOT NULL,
    display_key TEXT COLLATE "C" NOT NULL,
    mail_key TEXT COLLATE "C",
    user_principal_name TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    manager BYTEA,
    doc TEXT NOT NULL,
    deleted BIGINT
);
CREATE UNIQUE INDEX users_id ON users (tenant, id);
-- find_by_name; two living users never share a sign-in name
CREATE UNIQUE INDEX users_name ON users (tenant, name_key) WHERE deleted IS NULL;
-- who reports to this user
CREATE INDEX users_manager ON users (tenant, manager) WHERE manager IS NOT NULL;
-- listed by name, found by the beginning of a name or of an address
CREATE INDEX users_display ON users (tenant, display_key, id) WHERE deleted IS NULL;
CREATE INDEX users_mail ON users (tenant, mail_key, id) WHERE deleted IS NULL AND mail_key IS NOT NULL;
-- the recycle bin
CREATE INDEX users_deleted ON users (tenant, deleted, id) WHERE deleted IS NOT NULL;

CREATE TABLE groups (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    display_name TEXT NOT NULL,
    name_key TEXT COLLATE "C" NOT NULL,
    security_enabled BOOLEAN NOT NULL,
    doc TEXT NOT NULL,
    deleted BIGINT
);
CREATE UNIQUE INDEX groups_id ON groups (tenant, id);
-- find_by_name; listed by name
CREATE INDEX groups_name ON groups (tenant, name_key, id);

CREATE TABLE memberships (
    tenant BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    member BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    PRIMARY KEY (tenant, group_id, member)
);
-- groups_of, assignments through groups
CREATE INDEX memberships_member ON memberships (tenant, member, group_id);

-- The change feed of the directory. A reader orders by (tx, number).
CREATE TABLE directory_changes (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant BIGINT NOT NULL,
    tx BIGINT NOT NULL,
    what BIGINT NOT NULL,
    object BYTEA NOT NULL,
    other BYTEA,
    at BIGINT NOT NULL,
    PRIMARY KEY (number)
);
CREATE INDEX directory_changes_order ON directory_changes (tenant, tx, number);

CREATE TABLE applications (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    display_name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    template TEXT,
    job BYTEA NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX applications_name ON applications (tenant, name_key);

CREATE TABLE app_roles (
    tenant BIGINT NOT NULL,
    application BYTEA NOT NULL,
    id BYTEA NOT NULL,
    value TEXT NOT NULL,
    display_name TEXT NOT NULL,
    PRIMARY KEY (tenant, application, id)
);

CREATE TABLE assignments (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    application BYTEA NOT NULL,
    principal BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    role BYTEA NOT NULL,
    transitive BOOLEAN NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX assignments_principal ON assignments (tenant, application, principal, role);

CREATE TABLE jobs (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    application BYTEA NOT NULL,
    status TEXT NOT NULL,
    quarantine TEXT,
    settings TEXT NOT NULL,
    -- is it shown to who asks for the jobs of its application?
    offered BOOLEAN NOT NULL DEFAULT TRUE,
    watermark TEXT,
    last_cycle BIGINT,
    -- when nothing was left to do, first and last
    steady_first BIGINT,
    steady_last BIGINT,
    progress TEXT,
    generation BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    fence BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Every version of a job's schema document; the highest is in force. Apart from `jobs`, whose rows are
-- written with every batch of a cycle.
CREATE TABLE job_schemas (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    version BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    saved_by TEXT NOT NULL,
    note TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (tenant, job, version)
);

CREATE TABLE secrets (
    tenant BIGINT NOT NULL,
    owner BYTEA NOT NULL,
    name TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (tenant, owner, name)
);

CREATE TABLE links (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    anchor BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    target TEXT NOT NULL,
    state BIGINT NOT NULL,
    since BIGINT NOT NULL,
    filled BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, job, anchor)
);
-- find_by_target: is this object at the target taken already?
CREATE INDEX links_target ON links (tenant, job, target);
-- managed groups whose members were not compared with the target's yet
CREATE INDEX links_unfilled ON links (tenant, job, anchor)
    WHERE kind = 2 AND state = 1 AND NOT filled;
-- disabled objects that are deleted when their grace is over
CREATE INDEX links_leaving ON links (tenant, job, since, anchor)
    WHERE state = 4;

-- References as the target has them, or should have them: a user's manager, a group's members.
-- `sent_as` is a digest of the id by which the target knows the referred object.
CREATE TABLE reference_links (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    owner BYTEA NOT NULL,
    attribute TEXT NOT NULL,
    referred BYTEA NOT NULL,
    state BIGINT NOT NULL,
    sent_as BIGINT,
    retry_at BIGINT,
    PRIMARY KEY (tenant, job, owner, attribute, referred)
);
-- the work list of the second pass
CREATE INDEX reference_links_due ON reference_links (tenant, job, owner, attribute, referred)
    WHERE state IN (1, 3);
-- what the target refused, by the time of the next attempt
CREATE INDEX reference_links_refused ON reference_links (tenant, job, retry_at)
    WHERE retry_at IS NOT NULL;

-- What is about to be created or enabled at the target, or was, and is not written down as a link yet.
CREATE TABLE intents (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    anchor BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    match_by TEXT NOT NULL,
    target TEXT,
    PRIMARY KEY (tenant, job, anchor)
);

CREATE TABLE escrows (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    anchor BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    code TEXT NOT NULL,
    first_failed BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt BIGINT NOT NULL,
    PRIMARY KEY (tenant, job, anchor)
);
CREATE INDEX escrows_due ON escrows (tenant, job, next_attempt);

-- What a cycle would take away and the job's guard holds back.
CREATE TABLE held_back (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    anchor BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    action TEXT NOT NULL,
    members BYTEA NOT NULL,
    size BIGINT NOT NULL,
    reason TEXT NOT NULL,
    allowed BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, job, anchor)
);

-- What was taken away lately without having been allowed.
CREATE TABLE withdrawn (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    anchor BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, job, anchor)
);

-- Who was removed from a group lately without anybody having allowed it.
CREATE TABLE withdrawn_members (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    owner BYTEA NOT NULL,
    member BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, job, owner, member)
);

-- What somebody should know of a job, and when they are told.
CREATE TABLE notices (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    topic TEXT NOT NULL,
    channel TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    size BIGINT NOT NULL,
    since BIGINT NOT NULL,
    ended BIGINT,
    acknowledged BOOLEAN NOT NULL,
    told BIGINT NOT NULL,
    -- somebody was told, or is being told
    announced BOOLEAN NOT NULL,
    due BIGINT,
    problem TEXT,
    PRIMARY KEY (tenant, job, topic, channel)
);

-- What a cycle would do. `body` is what the id is a digest of; `seed` is sealed.
CREATE TABLE plans (
    tenant BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    job BYTEA NOT NULL,
    made BIGINT NOT NULL,
    body TEXT NOT NULL,
    seed BYTEA NOT NULL,
    complete BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- the plans of a job
CREATE INDEX plans_job ON plans (tenant, job, made);

CREATE TABLE plan_operations (
    tenant BIGINT NOT NULL,
    plan TEXT NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, plan, place, number)
);

CREATE TABLE cycles (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    job BYTEA NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    began BIGINT NOT NULL,
    ended BIGINT,
    counts TEXT NOT NULL,
    -- whether it changed anything at the target
    exported BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, job, id)
);

CREATE TABLE events (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    id BYTEA NOT NULL,
    cycle BYTEA NOT NULL,
    at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL,
    code TEXT NOT NULL,
    kind BIGINT NOT NULL,
    source BYTEA NOT NULL,
    source_name TEXT NOT NULL,
    target TEXT,
    body TEXT NOT NULL
);
-- lists are read from the newest back
CREATE UNIQUE INDEX events_id ON events (tenant, job, id);

-- The requests of an event and their answers, sealed.
CREATE TABLE exchanges (
    tenant BIGINT NOT NULL,
    job BYTEA NOT NULL,
    event BYTEA NOT NULL,
    size BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
-- tells also how much there is, without a look at the rows
CREATE INDEX exchanges_event ON exchanges (tenant, job, event, size);

-- Who changed the configuration of provisioning.
CREATE TABLE audit (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    activity TEXT NOT NULL,
    job BYTEA,
    -- what kind of object was changed, which one, and its name
    target_kind TEXT,
    target TEXT,
    target_name TEXT,
    detail TEXT NOT NULL,
    -- [[property, before, after]]
    changes TEXT
);
CREATE UNIQUE INDEX audit_id ON audit (tenant, id);

-- Who may use the pages; passwords as argon2id.
CREATE TABLE administrators (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_signed_in BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX administrators_name ON administrators (tenant, name_key);

-- Who is signed in; tokens as hashes.
CREATE TABLE sessions (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    administrator BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    csrf TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    agent TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX sessions_hash ON sessions (tenant, hash);
CREATE INDEX sessions_administrator ON sessions (tenant, administrator);

-- The link with which the first administrator is made, as a hash.
CREATE TABLE welcome_links (
    tenant BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
);

-- Tokens of the control API, as hashes.
CREATE TABLE api_tokens (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    name TEXT NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    last_used BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (tenant, hash);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (tenant, name) WHERE revoked IS NULL;

CREATE TABLE integrations (
    tenant BIGINT NOT NULL,
    number BIGINT NOT NULL,
    id BYTEA NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created BIGINT NOT NULL,
    strict BOOLEAN NOT NULL,
    requests_per_second BIGINT,
    max_resources BIGINT,
    max_body BIGINT,
    allowed_networks TEXT NOT NULL,
    -- schemas and resource types of its own, as JSON
    definitions TEXT,
    PRIMARY KEY (tenant, number)
);
CREATE UNIQUE INDEX integrations_id ON integrations (tenant, id);
CREATE UNIQUE INDEX integrations_name ON integrations (tenant, name_key);

CREATE TABLE integration_tokens (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    integration BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    -- 1 provision, 2 read
    purpose BIGINT NOT NULL,
    client BYTEA,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    last_used BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX integration_tokens_integration ON integration_tokens (tenant, integration, created);

-- OAuth clients that get tokens of an integration by their credentials.
CREATE TABLE integration_clients (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    integration BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX integration_clients_integration ON integration_clients (tenant, integration, created);

-- Links for whoever sets up the sender, by the hash of their code.
CREATE TABLE setup_links (
    tenant BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    integration BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
);

-- What an integration received. `integration` is the number of the integration in its tenant.
CREATE TABLE resources (
    tenant BIGINT NOT NULL,
    integration BIGINT NOT NULL,
    id BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    name_key TEXT NOT NULL,
    external_id TEXT,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    doc TEXT NOT NULL,
    -- what was sent with it that no schema declares, as JSON
    extras TEXT
);
-- lists in the order of ids, which is the order of creation
CREATE UNIQUE INDEX resources_id ON resources (tenant, integration, kind, id);
-- userName eq, displayName eq
CREATE UNIQUE INDEX resources_name ON resources (tenant, integration, kind, name_key);
-- externalId eq
CREATE INDEX resources_external ON resources (tenant, integration, external_id)
    WHERE external_id IS NOT NULL;

CREATE TABLE resource_members (
    tenant BIGINT NOT NULL,
    integration BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    member TEXT NOT NULL,
    kind BIGINT NOT NULL,
    display TEXT,
    PRIMARY KEY (tenant, integration, group_id, member)
);
-- a user's groups
CREATE INDEX resource_members_member ON resource_members (tenant, integration, member, group_id);

-- In which ways senders depart from the RFCs.
CREATE TABLE dialects (
    tenant BIGINT NOT NULL,
    integration BIGINT NOT NULL,
    client TEXT NOT NULL,
    deviation TEXT NOT NULL,
    name TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (tenant, integration, client, deviation, name)
);

-- Totals, so that a list need not count. Each is a sum over slots: those who write at the same time do not wait for
-- each other.
CREATE TABLE resource_totals (
    tenant BIGINT NOT NULL,
    integration BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (tenant, integration, kind, slot)
);

-- The change feed of what integrations received.
CREATE TABLE received_changes (
    tenant BIGINT NOT NULL,
    integration BIGINT NOT NULL,
    tx BIGINT NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    what BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    resource BYTEA NOT NULL,
    version BIGINT NOT NULL,
    details TEXT,
    at BIGINT NOT NULL
);
CREATE UNIQUE INDEX received_changes_number ON received_changes (tenant, integration, tx, number);

-- Where the events of integrations are sent.
CREATE TABLE webhooks (
    tenant BIGINT NOT NULL,
    id BYTEA NOT NULL,
    integration BIGINT NOT NULL,
    url TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created BIGINT NOT NULL,
    position_tx BIGINT NOT NULL,
    position BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    next_attempt BIGINT NOT NULL,
    stopped BOOLEAN NOT NULL,
    last_error TEXT,
    last_success BIGINT,
    -- the process that delivers, and until when
    holder TEXT,
    held_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX webhooks_integration ON webhooks (tenant, integration, created);
