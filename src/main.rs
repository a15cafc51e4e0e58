//! The `usermirror` command.

use std::process::ExitCode;

use clap::Parser;
use usermirror::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let leaves_on_interrupt = !cli.is_shell();
    let finished = tokio::select! {
        finished = cli.execute() => finished,
        _ = tokio::signal::ctrl_c(), if leaves_on_interrupt => {
            eprintln!("interrupted; finished tables stay, the same command goes on from there");
            return ExitCode::from(130);
        }
    };
    match finished {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
