//! The SQL shell: DataFusion's, with the history in the user's data folder.

use std::path::PathBuf;

use datafusion_cli::command::{Command, OutputFormat};
use datafusion_cli::helper::CliHelper;
use datafusion_cli::print_options::PrintOptions;
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;

use super::statements;
use crate::error::{Error, Result};
use crate::session::Session;

/// Reads statements until the user leaves.
///
/// # Errors
/// Fails when the terminal cannot be read; a failing statement is printed instead.
pub async fn run(session: &Session, print: &mut PrintOptions) -> Result<()> {
    let mut editor = Editor::<CliHelper, DefaultHistory>::new().map_err(terminal)?;
    let dialect = session.ctx.copied_config().options().sql_parser.dialect;
    editor.set_helper(Some(CliHelper::new(&dialect, print.color)));
    let history = history_file();
    if let Some(file) = &history {
        // The first session has none yet.
        editor.load_history(file).ok();
    }
    println!(
        "usermirror over {}. \\? for help, \\q to leave.",
        session.lake.location()
    );
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                editor
                    .add_history_entry(line.trim_end())
                    .map_err(terminal)?;
                if !answer(session, print, &line).await {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => println!("^C"),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error)),
        }
    }
    if let Some(file) = &history {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        editor.save_history(file).map_err(terminal)?;
    }
    Ok(())
}

/// Does what `line` says; false when it says to leave.
async fn answer(session: &Session, print: &mut PrintOptions, line: &str) -> bool {
    let outcome = match line.trim().strip_prefix('\\') {
        None => tokio::select! {
            outcome = statements::execute(session, line.to_owned(), print) => outcome,
            // The dropped query takes its model calls with it.
            _ = tokio::signal::ctrl_c() => { println!("^C"); Ok(()) }
        },
        Some(command) => match command.parse::<Command>() {
            Ok(Command::Quit) => return false,
            Ok(Command::OutputFormat(Some(format))) => match format.parse::<OutputFormat>() {
                Ok(format) => format.execute(print),
                Err(()) => {
                    eprintln!("\\{command}: no such format; \\? lists the commands");
                    Ok(())
                }
            },
            Ok(command) => command.execute(&session.ctx, print).await,
            Err(()) => {
                eprintln!("\\{command}: no such command; \\? lists them");
                Ok(())
            }
        },
    };
    if let Err(error) = outcome {
        eprintln!("{}", Error::Query(error));
    }
    true
}

fn history_file() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("usermirror").join("history"))
}

fn terminal(error: ReadlineError) -> Error {
    Error::Failed(format!("terminal: {error}"))
}
