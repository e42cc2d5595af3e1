//! The command line: what can be said, with help and examples.

mod access;
mod administrator;
mod ahead;
mod directory;
mod integration;
mod job;
mod link;
mod log;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

pub(crate) use access::{AccessArg, Asking, Given, MaybeGiven, TokenArg};
pub(crate) use administrator::Administrator;
pub(crate) use ahead::{Apply, Explain, Notice, Plan, Provision};
pub(crate) use directory::{Group, MemberArg, User};
pub(crate) use integration::{From, Integration, OauthClient, Settings, Webhook};
pub(crate) use job::{Job, ResetArg, WriteArg, on_or_off, seconds};
pub(crate) use link::{KindArg, Link, LinkStateArg};
pub(crate) use log::{Log, LogFilter, Stretch};
pub(crate) use token::Token;

/// Automatic user provisioning: keeps the accounts in your applications in step with your directory.
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Examples:\n  muster demo\n  muster serve --data ./muster-data --listen 127.0.0.1:8080\n  muster integration create \"Web Security\" --json"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the data is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// Folder of the data: database file, sealing key, lock.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Database, when it is not the file in the data folder: postgres://user@host/name.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play the whole tutorial on this machine, both ends of it.
    #[command(
        after_help = "Examples:\n  muster demo\n  muster demo --exit --json\n  muster demo --users 100000 --exit"
    )]
    Demo(Demo),
    /// Run everything in one process: SCIM provider and worker.
    #[command(after_help = "Example:\n  muster serve --data ./muster-data --listen 127.0.0.1:8080")]
    Serve(Serve),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  muster completions bash > /etc/bash_completion.d/muster")]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Mapping expressions: try out, check, test; the functions.
    #[command(subcommand)]
    Expression(Expression),
    /// Tests of mappings, kept beside an exported schema.
    #[command(subcommand)]
    Mapping(Mapping),
    #[command(flatten)]
    Task(Task),
}

/// Commands about expressions; they need no data folder.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Expression {
    /// Evaluate an expression for a source object.
    #[command(
        after_help = "Examples:\n  muster expression eval 'ToUpper([surname])' --source ana.json\n  muster expression eval 'Join(\" \", [givenName], [surname])' --source - --trace < ana.json"
    )]
    Eval {
        /// The expression.
        #[arg(allow_hyphen_values = true)]
        expression: String,
        /// File with the source object as JSON, attribute by attribute; - reads standard input.
        #[arg(long, value_name = "FILE")]
        source: Option<PathBuf>,
        /// Show each part with its value.
        #[arg(long)]
        trace: bool,
        /// What Now() is, as 2026-01-31T12:00:00Z; the present without it.
        #[arg(long, value_name = "INSTANT")]
        now: Option<String>,
        /// A value that exists at the target already, for SelectUniqueValue; may be repeated.
        #[arg(long, value_name = "VALUE")]
        taken: Vec<String>,
    },
    /// Check an expression, and the names of the attributes in it.
    #[command(
        after_help = "Examples:\n  muster expression check 'Apend([givenName], \".x\")'\n  muster expression check '[surnam]' --schema schema.json"
    )]
    Check {
        /// The expression.
        #[arg(allow_hyphen_values = true)]
        expression: String,
        /// Schema document whose source attributes are known; the directory's own without it.
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
    },
    /// List the functions: what they take and what they do.
    #[command(after_help = "Example:\n  muster expression functions join")]
    Functions {
        /// Part of a name; all without it.
        search: Option<String>,
    },
    /// Run test vectors: one JSON object a line.
    #[command(
        after_help = "Example:\n  muster expression test expressions.jsonl scoping.jsonl\n\nExit code 1 when a row does not hold."
    )]
    Test {
        /// Files with vectors (JSON Lines).
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Commands about mappings; they need no data folder.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Mapping {
    /// Run tests of mappings: source objects, and what they should become.
    #[command(
        after_help = "Example:\n  muster schema export \"Symantec Web Security Service\" > schema.json\n  muster mapping test tests.json\n\nwith tests.json:\n  {\"schema\":\"schema.json\",\"tests\":[{\"name\":\"Ana\",\"source\":{\"userPrincipalName\":\"ana@example.com\"},\n   \"inScope\":true,\"expected\":{\"userName\":\"ana@example.com\"}}]}\n\nExit code 1 when a test fails."
    )]
    Test {
        /// Files with tests (JSON).
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Commands that work on the data: in this process, or in the server that holds it.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Integrations: a SCIM URL and token for whoever sends users and groups.
    #[command(subcommand)]
    Integration(Integration),
    /// Load users, groups or memberships from CSV or JSON Lines.
    #[command(
        after_help = "Examples:\n  muster import users.csv groups.csv memberships.csv\n  muster import --kind users people.jsonl\n\nBad lines are reported and skipped; the others are kept, and the exit code is 3."
    )]
    Import(Import),
    /// Enterprise applications: gallery, assignments, credentials, scope.
    #[command(subcommand)]
    App(App),
    /// Provisioning jobs: start, pause, restart, status, run.
    #[command(subcommand)]
    Job(Job),
    /// Work out what the next cycle of an application would do, without doing it.
    #[command(
        after_help = "Examples:\n  muster plan \"Symantec Web Security Service\"\n  muster plan \"Symantec Web Security Service\" --out monday.plan\n\nThe plan is kept; muster apply does exactly what it says."
    )]
    Plan(Plan),
    /// Do exactly what a plan says.
    #[command(
        after_help = "Examples:\n  muster apply 3f2a9c1b77d0\n  muster apply monday.plan\n\nExit code 3 when some objects failed; 4 when nothing was done, because the directory, the\nconfiguration or the target is not as it was when the plan was made, or the guard holds the job."
    )]
    Apply(Apply),
    /// Tell why somebody is, or is not, provisioned: every step, and what would turn it around.
    #[command(
        after_help = "Examples:\n  muster explain \"Symantec Web Security Service\" ana@example.com\n  muster explain \"Symantec Web Security Service\" \"Sales\"\n\nNothing is written, neither here nor at the target."
    )]
    Explain(Explain),
    /// Provision one user, or a group with chosen members, now: every step is told.
    #[command(
        after_help = "Examples:\n  muster provision \"Symantec Web Security Service\" ana@example.com --dry-run\n  muster provision \"Symantec Web Security Service\" \"Sales\" --member ana@example.com\n\nThe job need not run. Its guard is not asked: whoever names somebody means it. Exit code 3 when it failed."
    )]
    Provision(Provision),
    /// What somebody should know of a job: list, acknowledge, test mail.
    #[command(subcommand)]
    Notice(Notice),
    /// Users of the directory: show, set, delete, restore, purge.
    #[command(subcommand)]
    User(User),
    /// Groups of the directory: show, set, members, delete.
    #[command(subcommand)]
    Group(Group),
    /// Links: which account at the target is whose; list, look at, drop, set.
    #[command(subcommand)]
    Link(Link),
    /// Tokens of the control API, which is at /v1.0 of a running server.
    #[command(subcommand)]
    Token(Token),
    /// Who may sign in to the pages: list, give a new password.
    #[command(subcommand)]
    Administrator(Administrator),
    /// The provisioning log.
    #[command(subcommand)]
    Log(Log),
    /// Mappings and scoping filters of an application, as a schema document.
    #[command(subcommand)]
    Schema(SchemaTask),
    /// List who changed what of the configuration of provisioning, newest first.
    #[command(
        after_help = "Examples:\n  muster audit\n  muster audit --app \"Symantec Web Security Service\" --since 7d"
    )]
    Audit(Audit),
    /// Print what there is to watch, in the text format of Prometheus.
    #[command(
        after_help = "Example:\n  muster metrics\n\nA running server answers the same at /metrics of the address in [metrics] listen."
    )]
    Metrics,
    /// Verify the whole store: nothing refers to what is not there, and what is kept twice agrees.
    #[command(
        after_help = "Example:\n  muster check --data ./muster-data\n\nExit code 1 when something is wrong."
    )]
    Check,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Demo {
    /// Users of the directory; without it the sample of 1,000 is used.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    pub(crate) users: Option<u32>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// End when the tutorial is played, instead of leaving everything running.
    #[arg(long)]
    pub(crate) exit: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Serve {
    /// Address to listen on (default 127.0.0.1:8080).
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum ImportKind {
    /// People.
    Users,
    /// Groups.
    Groups,
    /// Who is in which group.
    Memberships,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Import {
    /// Files (.csv or .jsonl), loaded in this order; give users before memberships.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What the files hold; without it their names and first lines tell.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<ImportKind>,
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum App {
    /// Search the application gallery.
    #[command(after_help = "Example:\n  muster app gallery symantec")]
    Gallery {
        /// Part of a name; everything without it.
        search: Option<String>,
    },
    /// Set who is told by mail, and by a webhook, when provisioning is held, goes on, or fails.
    #[command(
        after_help = "Examples:\n  muster app notify \"Symantec Web Security Service\" identity@example.com\n  muster app notify \"Symantec Web Security Service\" --webhook https://alerts.example.com/muster\n  muster app notify \"Symantec Web Security Service\" --nobody\n\nA mail server is configured with [mail] server and from; try it with: muster notice test"
    )]
    Notify {
        /// Name or id of the application.
        app: String,
        /// A person or a distribution list.
        #[arg(required_unless_present_any = ["nobody", "webhook", "no_webhook"])]
        email: Option<String>,
        /// Where a message is posted as well, signed as Standard Webhooks has it; the secret is shown this once.
        #[arg(long, value_name = "URL")]
        webhook: Option<String>,
        /// Post no messages any more.
        #[arg(long, conflicts_with = "webhook")]
        no_webhook: bool,
        /// Tell nobody.
        #[arg(long, conflicts_with_all = ["email", "webhook", "no_webhook"])]
        nobody: bool,
    },
    /// Tell where the target did other than it was taken to do, with what shows it.
    #[command(
        after_help = "Example:\n  muster app surprises \"Symantec Web Security Service\" --since 7d\n\nLooks through the requests that are kept of failures (muster job exchanges). Nothing is changed by itself:\nwhat is proposed is an option of muster job dialect."
    )]
    Surprises {
        /// Name or id of the application.
        app: String,
        /// How far back: 90s, 40m, 2h or 1d.
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = seconds)]
        since: u32,
    },
    /// Add an application from the gallery, or any SCIM application with --custom.
    #[command(
        after_help = "Examples:\n  muster app add \"Symantec Web Security Service\"\n  muster app add --custom --name \"My app\""
    )]
    Add {
        /// Name of the gallery application.
        #[arg(required_unless_present = "custom")]
        template: Option<String>,
        /// Any SCIM application, with the default mappings.
        #[arg(long, conflicts_with = "template")]
        custom: bool,
        /// Another name for it.
        #[arg(long)]
        name: Option<String>,
    },
    /// List the applications.
    #[command(after_help = "Example:\n  muster app list --json")]
    List,
    /// Show an application: roles, assignments, mappings, status.
    #[command(after_help = "Example:\n  muster app show \"Symantec Web Security Service\"")]
    Show {
        /// Name or id of the application.
        app: String,
    },
    /// Assign a user or group with a role.
    #[command(
        after_help = "Examples:\n  muster app assign \"Symantec Web Security Service\" --user ana@example.com\n  muster app assign \"Symantec Web Security Service\" --group \"Dept - Sales\" --role User\n  muster app assign \"Symantec Web Security Service\" --group \"All Staff\" --nested"
    )]
    Assign {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        who: Who,
        /// With the group, the members of groups that are nested in it, too.
        #[arg(long, conflicts_with = "user")]
        nested: bool,
        /// Role by name; the application's role for ordinary users without it.
        #[arg(long)]
        role: Option<String>,
    },
    /// List whom an assignment of a group includes, or would include.
    #[command(
        after_help = "Example:\n  muster app included \"All Staff\" --nested\n\nIt shows the directory as it is; the application's filters are not asked (muster plan does)."
    )]
    Included {
        /// Group, by name or id.
        group: String,
        /// The members of nested groups, too.
        #[arg(long)]
        nested: bool,
        /// Users that are listed at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Unassign a user or group.
    #[command(
        after_help = "Example:\n  muster app unassign \"Symantec Web Security Service\" --user ana@example.com"
    )]
    Unassign {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        who: Who,
    },
    /// Save Tenant URL and Secret Token, after testing them.
    #[command(
        after_help = "Example:\n  muster app credentials \"Symantec Web Security Service\" --tenant-url https://… --secret-token-file token.txt --expires 2025-06-30\n  muster app credentials Wiki --tenant-url https://… --token-url https://… --client-id muster --secret-token-file secret.txt"
    )]
    Credentials {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        credentials: Box<Given>,
    },
    /// Save credentials with which Muster acts for somebody who allows it in a browser (OAuth authorization code).
    #[command(
        after_help = "Example:\n  muster app authorize Wiki --tenant-url https://… --authorization-url https://…/authorize --token-url https://…/token --client-id muster --oauth-scope \"scim offline_access\" --secret-token-file secret.txt\n\nRegister http://127.0.0.1/callback as a redirect of the client; where the port must be part of it, choose one with\n--redirect-port. The answer comes to the machine on which this runs: from elsewhere, forward that port to it."
    )]
    Authorize {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        asking: Box<Asking>,
    },
    /// Test Connection with the saved credentials, or with those given.
    #[command(
        after_help = "Example:\n  muster app test-connection \"Symantec Web Security Service\""
    )]
    TestConnection {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        credentials: Box<MaybeGiven>,
    },
    /// Find out what the target can do, and how it wants to be spoken to.
    #[command(
        after_help = "Examples:\n  muster app probe \"Symantec Web Security Service\"\n  muster app probe \"Symantec Web Security Service\" --canary probe@example.com\n\nWithout --canary it only reads. With it, a user of that name and a group are made at the target, changed in each\nway, and removed again. Exit code 3 when something could not be removed."
    )]
    Probe {
        /// Name or id of the application.
        app: String,
        #[command(flatten)]
        credentials: Box<MaybeGiven>,
        /// User name that nobody has, to try out writing.
        #[arg(long, value_name = "NAME")]
        canary: Option<String>,
    },
    /// Choose the scope: assigned users and groups only, or all.
    #[command(
        after_help = "Example:\n  muster app scope \"Symantec Web Security Service\" assigned"
    )]
    Scope {
        /// Name or id of the application.
        app: String,
        /// Which users and groups.
        #[arg(value_enum, required_unless_present = "default_access")]
        scope: Option<ScopeArg>,
        /// Whether those count who hold no role but Default Access, where the application has roles.
        #[arg(long, value_name = "ON", action = clap::ArgAction::Set, value_parser = on_or_off)]
        default_access: Option<bool>,
    },
    /// Remove an application whose job is off, with everything that is kept of it; accounts at the target stay.
    #[command(
        after_help = "Example:\n  muster job pause \"Symantec Web Security Service\"\n  muster app remove \"Symantec Web Security Service\" --yes"
    )]
    Remove {
        /// Name or id of the application.
        app: String,
        /// It is meant: assignments, credentials, mappings, links and the log cannot be brought back.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum ScopeArg {
    /// Sync only assigned users and groups.
    Assigned,
    /// Sync all users and groups.
    All,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// User, by sign-in name or id.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Group, by name or id.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Audit {
    /// Only about this application.
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only by this actor.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only of the last 90s, 40m, 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) since: Option<u32>,
    /// Only older ones than this entry (id), for the next page.
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,
    /// So many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum SchemaTask {
    /// Print the schema document, in the shape of Microsoft Graph's synchronizationSchema.
    #[command(
        after_help = "Examples:\n  muster schema export \"Symantec Web Security Service\" > schema.json\n  muster schema export \"Symantec Web Security Service\" --version 1"
    )]
    Export {
        /// Name or id of the application.
        app: String,
        /// An earlier version.
        #[arg(long, value_name = "N", conflicts_with = "defaults")]
        version: Option<u32>,
        /// The document with which the application began.
        #[arg(long)]
        defaults: bool,
    },
    /// Put a schema document in force; everything is evaluated again.
    #[command(
        after_help = "Example:\n  muster schema import \"Symantec Web Security Service\" schema.json --note \"department from cost center\""
    )]
    Import {
        /// Name or id of the application.
        app: String,
        /// The document; - reads standard input.
        file: PathBuf,
        /// What it was changed for.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Say what is wrong with a schema document, and what in it may not be meant.
    #[command(
        after_help = "Example:\n  muster schema check schema.json\n\nExit code 1 when it cannot be put in force."
    )]
    Check {
        /// The document; - reads standard input.
        file: PathBuf,
    },
    /// Say what a document, or an earlier change, changes.
    #[command(
        after_help = "Examples:\n  muster schema diff \"Symantec Web Security Service\" schema.json\n  muster schema diff \"Symantec Web Security Service\" --from 1 --to 3"
    )]
    Diff {
        /// Name or id of the application.
        app: String,
        /// A document to compare with the one in force; - reads standard input.
        #[arg(conflicts_with_all = ["from", "to"])]
        file: Option<PathBuf>,
        /// From which version; the one before without it.
        #[arg(long, value_name = "N")]
        from: Option<u32>,
        /// To which version; the one in force without it.
        #[arg(long, value_name = "N")]
        to: Option<u32>,
    },
    /// List the versions: when, who, and what for.
    #[command(after_help = "Example:\n  muster schema history \"Symantec Web Security Service\"")]
    History {
        /// Name or id of the application.
        app: String,
    },
    /// Ask the target which attributes it has, and add those that are not defined yet; no mapping is touched.
    #[command(after_help = "Example:\n  muster schema discover \"Symantec Web Security Service\"")]
    Discover {
        /// Name or id of the application.
        app: String,
    },
    /// Restore the default mappings.
    #[command(after_help = "Example:\n  muster schema restore \"Symantec Web Security Service\"")]
    Restore {
        /// Name or id of the application.
        app: String,
    },
    /// Put an earlier version in force again.
    #[command(
        after_help = "Example:\n  muster schema rollback \"Symantec Web Security Service\" 2"
    )]
    Rollback {
        /// Name or id of the application.
        app: String,
        /// Which version.
        version: u32,
    },
}
