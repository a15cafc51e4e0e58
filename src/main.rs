//! The `usermirror` command.

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use usermirror::cli::Cli;
use usermirror::stop::Stop;

#[tokio::main]
async fn main() -> ExitCode {
    leave_quietly_when_nobody_reads();
    let cli = Cli::parse();
    let stop = Stop::default();
    let (is_run, is_shell) = (cli.is_run(), cli.is_shell());
    let finished = tokio::select! {
        finished = cli.execute(stop.clone()) => finished,
        () = leave(stop, is_run), if !is_shell => {
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

/// Makes `usermirror … | head` end without a word, as other commands do. SIGPIPE itself stays
/// ignored: it would also kill a run whose store cuts a connection.
fn leave_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload_as_str().unwrap_or_default();
        if told.starts_with("failed printing to stdout") && told.contains("Broken pipe") {
            std::process::exit(141);
        }
        usual(panic);
    }));
}

/// Ends when the process is to leave at once: at the first SIGINT or SIGTERM, or for a run
/// at the second, the first one asking it to end what it has in hand.
async fn leave(stop: Stop, is_run: bool) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    if is_run {
        either(&mut interrupt, &mut terminate).await;
        stop.ask();
        eprintln!(
            "stopping: what is in hand is finished and committed; once more to leave at once"
        );
    }
    either(&mut interrupt, &mut terminate).await;
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
