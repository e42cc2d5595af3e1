//! Each command, and where it is carried out: here, or in the server that holds the data.

mod administrator;
mod app;
mod audit;
mod authorize;
mod check;
mod demo;
mod directory;
mod explain;
mod expression;
mod import;
mod integration;
mod job;
mod job_words;
mod link;
mod log;
mod log_exchanges;
mod notice;
mod plan;
mod provision;
mod schema;
mod token;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::CommandFactory;
use muster_app::AppError;
use muster_store::StoreUrl;

use crate::args::{
    AccessArg, App, Apply, Args, Command, Integration, Place, Plan, SchemaTask, Serve, Task,
    TokenArg,
};
use crate::config::Config;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::node::Node;
use crate::output::{Out, Printer, complain};
use crate::remote;
use crate::server::{Server, asked_to_end};

/// The bytes of a file that a command reads.
pub(crate) type Input = Box<dyn Read + Send>;

/// Runs what was said; every error becomes one line on standard error.
pub(crate) async fn run(args: Args) -> Exit {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| {
        // What it warns of comes back as an error that is told once.
        tracing_subscriber::EnvFilter::new("warn,rustls_platform_verifier=off")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match dispatch(args).await {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format!("{error:#}"));
            if error.is::<BadUsage>() {
                Exit::BadUsage
            } else {
                Exit::Failed
            }
        }
    }
}

async fn dispatch(args: Args) -> Result<Exit> {
    let Args { place, command } = args;
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "muster", &mut script);
            // A reader that went away is no error.
            let _ = std::io::stdout().write_all(&script);
            Ok(Exit::Done)
        }
        Command::Demo(demo) => demo::run(&place, demo).await,
        Command::Serve(serve) => self::serve(&place, serve).await,
        Command::Expression(task) => expression::perform(task, place.json),
        Command::Mapping(task) => expression::mappings(task, place.json),
        Command::Task(Task::Schema(SchemaTask::Check { file })) => {
            expression::check_schema(&file, place.json)
        }
        Command::Task(task) => task_anywhere(&place, task).await,
    }
}

async fn serve(place: &Place, serve: Serve) -> Result<Exit> {
    let mut config = Config::load(place)?;
    if let Some(listen) = serve.listen {
        config.listen = listen;
    }
    let home = take_home(&config, "serve")?;
    let (listener, address) = Server::bind(config.listen).await?;
    config.listen = address;
    let socket = Home::socket(&config.data);
    let metrics = match config.metrics {
        Some(address) => Some(Server::bind(address).await?),
        None => None,
    };
    let metrics_at = metrics.as_ref().map(|(_, address)| *address);
    let mut server = Server::start(
        Node::open(&config, Some(home)).await?,
        listener,
        Some(socket),
    )?;
    if let Some((listener, _)) = metrics {
        server.show_metrics(listener);
    }
    let address = server.address;
    let url = &server.node.public_url;
    let welcome = welcome(&server).await?;
    if place.json {
        println!(
            "{}",
            serde_json::json!({
                "listening": address.to_string(), "url": url, "welcome": welcome,
                "metrics": metrics_at.map(|at| format!("http://{at}/metrics"))
            })
        );
    } else {
        println!("Muster listens on {address} and is reached at {url}");
        if let Some(link) = welcome {
            println!("There is no administrator yet; make the first one, within a day, at {link}");
        }
        if let Some(at) = metrics_at {
            println!("Metrics are at http://{at}/metrics");
        }
    }
    asked_to_end().await;
    server.stop().await;
    Ok(Exit::Done)
}

/// The link with which the first administrator is made, as long as there is none.
async fn welcome(server: &Server) -> Result<Option<String>> {
    let node = &server.node;
    let code = muster_app::administrators::welcome(&node.ctx).await?;
    Ok(code.map(|code| format!("{}/welcome/{}", node.public_url, code.expose())))
}

/// The data folder for this process alone.
fn take_home(config: &Config, who: &str) -> Result<Home> {
    match Home::take(&config.data, who)? {
        Ok(home) => Ok(home),
        Err(held) => bail!(
            "the data folder {} is in use by {}; stop that process, or choose another folder \
             with --data",
            config.data.display(),
            if held.who.is_empty() {
                "another process"
            } else {
                &held.who
            }
        ),
    }
}

/// Carries a command out in the server that holds the data folder, or here when none does.
async fn task_anywhere(place: &Place, task: Task) -> Result<Exit> {
    let config = Config::load(place)?;
    let task = with_local_plan(with_local_secrets(task)?)?;
    let file = match &task {
        Task::Plan(Plan {
            out: Some(path), ..
        }) => Some(path.clone()),
        _ => None,
    };
    let socket = Home::socket(&config.data);
    let home = match &config.database {
        // Two processes never write one file: the lock decides who may.
        StoreUrl::File(_) => Home::take(&config.data, "a command")?
            .map(Some)
            .map_err(|held| held.who),
        StoreUrl::Postgres(_) if answers(&socket).await => Err(String::new()),
        StoreUrl::Postgres(_) => Ok(None),
    };
    match home {
        Ok(Some(_))
            if matches!(
                task,
                Task::Integration(Integration::Events { follow: true, .. })
            ) =>
        {
            bail!(
                "no server runs on {}, so nothing can arrive; start one with: muster serve --data {}",
                config.data.display(),
                config.data.display()
            )
        }
        Ok(home) => {
            let node = Node::open(&config, home).await?;
            each_file(task, |task, input| {
                here(&node, task, place.json, input, file.as_deref())
            })
            .await
        }
        Err(_) if answers(&socket).await => {
            each_file(task, |task, input| {
                let asked = remote::Request {
                    task,
                    json: place.json,
                    actor: config.actor.clone(),
                };
                remote::send(&socket, asked, input, file.as_deref())
            })
            .await
        }
        Err(who) => bail!(
            "the data folder {} is in use by {who}, which takes no commands; try again when it \
             has ended, or choose another folder with --data",
            config.data.display()
        ),
    }
}

async fn answers(socket: &Path) -> bool {
    tokio::net::UnixStream::connect(socket).await.is_ok()
}

async fn here(
    node: &Node,
    task: Task,
    json: bool,
    input: Option<Input>,
    file: Option<&Path>,
) -> Result<Exit> {
    let mut printer = Printer::writing(file)?;
    let (out, mut frames) = Out::new(json);
    let work = async {
        let exit = perform(node, task, input, &out).await;
        out.end(exit).await;
    };
    let print = async {
        while let Some(frame) = frames.recv().await {
            if let Some(exit) = printer.print(frame) {
                return exit;
            }
        }
        Exit::Failed
    };
    let ((), exit) = tokio::join!(work, print);
    Ok(exit)
}

/// Files are opened where the command was given; each is carried out on its own, in order.
async fn each_file<F>(task: Task, mut one: impl FnMut(Task, Option<Input>) -> F) -> Result<Exit>
where
    F: Future<Output = Result<Exit>>,
{
    let import = match task {
        Task::Import(import) => import,
        Task::Integration(Integration::Schema {
            set: Some(ref file),
            ..
        })
        | Task::Schema(
            SchemaTask::Import { ref file, .. }
            | SchemaTask::Diff {
                file: Some(ref file),
                ..
            },
        ) => {
            let input = open(file)?;
            return one(task, Some(input)).await;
        }
        _ => return one(task, None).await,
    };
    let mut opened: Vec<(PathBuf, Input)> = Vec::with_capacity(import.files.len());
    // All of them, so that a slip in the last name leaves nothing half loaded.
    for path in import.files {
        let file = open(&path)?;
        opened.push((path, file));
    }
    let mut worst = Exit::Done;
    for (path, file) in opened {
        let single = crate::args::Import {
            files: vec![path],
            kind: import.kind,
        };
        match one(Task::Import(single), Some(file)).await? {
            Exit::Done => {}
            Exit::PartlyFailed => worst = Exit::PartlyFailed,
            failed => return Ok(failed),
        }
    }
    Ok(worst)
}

/// A file where the command was given; `-` is standard input.
fn open(path: &Path) -> Result<Input> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    if file.metadata().with_context(cannot)?.is_dir() {
        bail!(
            "cannot read {}: it is a folder; name the files in it",
            path.display()
        );
    }
    Ok(Box::new(file))
}

/// A plan in a file is looked at here, and named by its id.
fn with_local_plan(task: Task) -> Result<Task> {
    match task {
        Task::Apply(Apply { plan }) if Path::new(&plan).is_file() => {
            let file = File::open(&plan).with_context(|| format!("cannot read {plan}"))?;
            let id = muster_app::plans::id_of_file(BufReader::new(file))
                .map_err(|error| BadUsage(anyhow!("{plan}: {error}")))?;
            Ok(Task::Apply(Apply { plan: id }))
        }
        other => Ok(other),
    }
}

/// Secrets in files are read here, so that the command can be carried out elsewhere.
fn with_local_secrets(mut task: Task) -> Result<Task> {
    let (token, access) = match &mut task {
        Task::App(App::Credentials { credentials, .. }) => {
            if credentials.token.secret_token.is_none()
                && credentials.token.secret_token_file.is_none()
            {
                let missing = "give the Secret Token with --secret-token-file FILE \
                               (or --secret-token)";
                return Err(BadUsage(anyhow!(missing)).into());
            }
            (&mut credentials.token, &mut credentials.access)
        }
        Task::App(App::Authorize { asking, .. }) => (&mut asking.token, &mut AccessArg::default()),
        Task::App(App::TestConnection { credentials, .. } | App::Probe { credentials, .. }) => {
            (&mut credentials.token, &mut credentials.access)
        }
        _ => return Ok(task),
    };
    if let TokenArg {
        secret_token: secret @ None,
        secret_token_file: Some(path),
    } = token
    {
        *secret = Some(secret_in(path)?);
    }
    if let Some(path) = &access.next_secret_token_file {
        access.next = Some(secret_in(path)?);
    }
    Ok(task)
}

/// The secret in a file; `-` is standard input.
fn secret_in(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(65_536).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(65_536).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read the token from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// `muster metrics`
async fn metrics(node: &Node, out: &Out) -> Result<Exit, AppError> {
    let text = muster_app::metrics::text(&node.ctx).await?;
    for line in text.lines() {
        out.line(line.to_owned()).await;
    }
    Ok(Exit::Done)
}

/// Carries a command out in this process.
pub(crate) async fn perform(node: &Node, task: Task, input: Option<Input>, out: &Out) -> Exit {
    let done = match task {
        Task::Integration(task) => integration::perform(node, task, input, out).await,
        Task::Import(task) => import::perform(node, task, input, out).await,
        Task::App(task) => Box::pin(app::perform(node, task, out)).await,
        Task::Job(task) => Box::pin(job::perform(node, task, out)).await,
        Task::Notice(task) => notice::perform(node, task, out).await,
        Task::Log(task) => log::perform(node, task, out).await,
        Task::Schema(task) => schema::perform(node, task, input, out).await,
        Task::User(task) => directory::users(node, task, out).await,
        Task::Group(task) => directory::groups(node, task, out).await,
        Task::Link(task) => Box::pin(link::perform(node, task, out)).await,
        Task::Token(task) => token::perform(node, task, out).await,
        Task::Administrator(task) => administrator::perform(node, task, out).await,
        Task::Audit(asked) => audit::perform(node, asked, out).await,
        Task::Metrics => metrics(node, out).await,
        Task::Check => check::perform(node, out).await,
        Task::Plan(task) => Box::pin(plan::plan(node, task, out)).await,
        Task::Apply(task) => plan::apply(node, task, out).await,
        Task::Explain(task) => explain::perform(node, task, out).await,
        Task::Provision(task) => Box::pin(provision::perform(node, task, out)).await,
    };
    out.progress_end().await;
    match done {
        Ok(exit) => exit,
        Err(error) => {
            let exit = match error {
                AppError::Invalid(_) => Exit::BadUsage,
                ref outdated if outdated.is_outdated() => Exit::Refused,
                _ => Exit::Failed,
            };
            out.note(format!(
                "muster: {}",
                error.to_string().replace(['\n', '\r'], " ")
            ))
            .await;
            exit
        }
    }
}
