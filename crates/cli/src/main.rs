//! The binary `muster`: configuration, wiring, commands.

mod args;
mod commands;
mod config;
mod exit;
mod home;
mod node;
mod output;
mod remote;
mod sample;
mod server;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap prints help to standard output and mistakes to standard error.
            let _ = error.print();
            return exit::Exit::from_clap(&error).into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            return exit::Exit::Failed.into();
        }
    };
    let ended = runtime.block_on(commands::run(args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    ended.into()
}
