//! The guide to a dataset of one's own does what it says: its files are written, its
//! commands run, and what it shows is what they print.

use std::path::Path;
use std::process::Command;

const GUIDE: &str = include_str!("../../docs/bring-your-own.md");

#[test]
fn the_guide_to_a_dataset_of_ones_own_works_as_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut shown) = (vec![], 0);
    let mut printed = String::new();
    for (kind, text) in blocks() {
        match kind {
            "sql" => files.push(save(folder.path(), text)),
            "sh" => printed = run(folder.path(), text),
            "text" => {
                assert!(
                    printed.contains(text),
                    "not shown:\n{text}\nbut:\n{printed}"
                );
                shown += 1;
            }
            other => panic!("a block of kind '{other}' in the guide"),
        }
    }
    let made = ["raw", "users", "items", "interactions", "prompt"];
    assert_eq!(files, made.map(|file| format!("mystore/shop/{file}.sql")));
    assert_eq!(shown, 3, "the counts, the quarantine and a prompt");
}

/// The fenced blocks of the guide: the word after the fence, and the lines inside.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let fenced = GUIDE.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap())
}

/// Writes a block to the file that its first line names.
fn save(folder: &Path, text: &str) -> String {
    let name = text.lines().next().unwrap().trim_start_matches("-- ");
    std::fs::write(folder.join(name), text).unwrap();
    name.to_owned()
}

/// What a block of commands prints, typed in `folder`.
fn run(folder: &Path, commands: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_usermirror"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-e", "-c", commands])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}
