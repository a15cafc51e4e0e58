//! Views named like files, written as those files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Component, Path};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::TableReference;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use flate2::{Compression, GzBuilder};
use futures::StreamExt;

use crate::error::{Error, Result};

/// What stands for the dataset's variant in the name of a view.
const VARIANT: &str = "{variant}";

/// A view that is a file.
#[derive(Debug, PartialEq)]
pub(super) struct FileView {
    view: String,
    /// Where it is written, inside the target folder.
    pub(super) path: String,
}

/// Those of `views` that are files: the ones with a dot in their names.
///
/// # Errors
/// Fails on a name that leads out of the target folder, and when names and `variant` do
/// not go together.
pub(super) fn file_views(views: Vec<String>, variant: Option<&str>) -> Result<Vec<FileView>> {
    let mut files = vec![];
    for view in views.into_iter().filter(|name| name.contains('.')) {
        let path = match variant {
            Some(variant) => view.replace(VARIANT, variant),
            None if view.contains(VARIANT) => {
                return Err(Error::Usage(format!(
                    "the raw files are named after a variant ({view}): name it, as in \
                     DATASET/VARIANT"
                )));
            }
            None => view.clone(),
        };
        require_inside(&path)?;
        files.push(FileView { view, path });
    }
    if let Some(variant) = variant
        && !files.iter().any(|file| file.view.contains(VARIANT))
    {
        return Err(Error::Usage(format!(
            "'{variant}': the dataset has no variants, leave it out"
        )));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Checks that `path` stays inside the folder it is relative to.
fn require_inside(path: &str) -> Result<()> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if inside && !path.contains('\\') && !path.ends_with('/') {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "a view is named '{path}', which is no file inside the target folder: use a relative \
         path without '..'"
    )))
}

/// Writes the lines of a view below the folder `to`, gzipped when the name ends in `.gz`, and
/// returns how many there are. A file is there whole or not at all.
///
/// # Errors
/// Fails when the view has no lines of bytes and when the file cannot be written.
pub(super) async fn write(ctx: &SessionContext, file: &FileView, to: &Path) -> Result<u64> {
    let target = to.join(&file.path);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let partial = target.with_file_name(format!(".{name}.partial"));
    let folder = target.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;

    let rows = lines(ctx, &file.view).await?;
    let failed = |e| Error::file(&partial, e);
    let plain = BufWriter::new(File::create(&partial).map_err(failed)?);
    let (count, mut plain) = if name.ends_with(".gz") {
        // Without a time, so that the same lines give the same bytes.
        let mut packed = GzBuilder::new().mtime(0).write(plain, Compression::fast());
        let count = copy(rows, &file.view, &mut packed, &partial).await?;
        (count, packed.finish().map_err(failed)?)
    } else {
        let mut plain = plain;
        let count = copy(rows, &file.view, &mut plain, &partial).await?;
        (count, plain)
    };
    plain.flush().map_err(failed)?;
    std::fs::rename(&partial, &target).map_err(|e| Error::file(&target, e))?;
    Ok(count)
}

/// The rows of a view, checked to be lines of bytes.
async fn lines(ctx: &SessionContext, view: &str) -> Result<SendableRecordBatchStream> {
    let rows = ctx.table(TableReference::bare(view)).await?;
    let columns = rows.schema().fields();
    let is_bytes = columns.len() == 1
        && matches!(
            columns[0].data_type(),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        );
    if !is_bytes {
        return Err(Error::Failed(format!(
            "view '{view}' must have one column, its lines as bytes: CAST(… AS BYTEA) for UTF-8, \
             latin1(…) for Latin-1"
        )));
    }
    Ok(rows.execute_stream().await?)
}

/// Writes each row and a line feed; `partial` is the file for errors to name.
async fn copy(
    mut rows: SendableRecordBatchStream,
    view: &str,
    file: &mut (dyn Write + Send),
    partial: &Path,
) -> Result<u64> {
    let failed = |e| Error::file(partial, e);
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let lines = cast(batch?.column(0), &DataType::Binary);
        for line in lines
            .map_err(datafusion::error::DataFusionError::from)?
            .as_binary::<i32>()
        {
            let Some(line) = line else {
                return Err(Error::Failed(format!(
                    "view '{view}': line {} is NULL; a raw file can only hold text, so coalesce \
                     what may be missing",
                    count + 1
                )));
            };
            file.write_all(line).map_err(failed)?;
            file.write_all(b"\n").map_err(failed)?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn views(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Makes one view of `query` and writes it as `name`.
    async fn written(name: &str, query: &str) -> Result<(u64, Vec<u8>, tempfile::TempDir)> {
        let folder = tempfile::tempdir().unwrap();
        let ctx = SessionContext::new();
        ctx.sql(&format!("CREATE VIEW \"{name}\" AS {query}"))
            .await?;
        let files = file_views(views(&[name]), None)?;
        let count = write(&ctx, &files[0], folder.path()).await?;
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        Ok((count, bytes, folder))
    }

    const LINES: &str = "SELECT CAST(line AS BYTEA) AS line
        FROM (VALUES (1, 'one'), (2, ''), (3, 'three\nlines')) AS t (n, line) ORDER BY n";

    #[tokio::test]
    async fn a_view_becomes_a_file_in_its_folder_and_nothing_else_is_left() {
        let (count, bytes, folder) = written("small/lines.tsv", LINES).await.unwrap();
        assert_eq!(
            (count, bytes.as_slice()),
            (3, b"one\n\nthree\nlines\n".as_slice())
        );
        let entries = std::fs::read_dir(folder.path().join("small")).unwrap();
        assert_eq!(entries.count(), 1);
    }

    #[tokio::test]
    async fn a_gz_view_is_gzipped_the_same_way_each_time() {
        let (count, bytes, _folder) = written("lines.json.gz", LINES).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!((count, text.as_str()), (3, "one\n\nthree\nlines\n"));
        assert_eq!(bytes[4..8], [0; 4], "no time of writing");
        assert_eq!(written("lines.json.gz", LINES).await.unwrap().1, bytes);
    }

    #[tokio::test]
    async fn a_line_must_be_bytes_and_not_null() {
        let message = |query| async move {
            let error = written("lines.tsv", query).await.unwrap_err();
            error.to_string()
        };
        let error = message("SELECT 'text' AS line").await;
        assert!(error.contains("CAST(… AS BYTEA)"), "{error}");
        let error = message("SELECT CAST(NULL AS BYTEA) AS line").await;
        assert!(error.contains("line 1 is NULL"), "{error}");
    }

    #[test]
    fn only_names_with_a_dot_are_files() {
        let files = file_views(views(&["world_users", "b.dat", "a/c.dat"]), None).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/c.dat", "b.dat"]);
    }

    #[test]
    fn files_stay_inside_the_folder() {
        for name in [
            "../x.dat",
            "/x.dat",
            "a/../../x.dat",
            "./x.dat",
            "a.b/",
            "..",
            "a\\..\\x.dat",
        ] {
            let error = file_views(views(&[name]), None).unwrap_err().to_string();
            assert!(error.contains("without '..'"), "{name}: {error}");
        }
        let error = file_views(views(&["{variant}.dat"]), Some("../x")).unwrap_err();
        assert!(error.to_string().contains("'../x.dat'"), "{error}");
    }

    #[test]
    fn the_variant_is_part_of_the_name() {
        let name = "{variant}.jsonl.gz";
        let files = file_views(views(&[name]), Some("Demo_Category")).unwrap();
        assert_eq!(files[0].path, "Demo_Category.jsonl.gz");
        let error = file_views(views(&[name]), None).unwrap_err().to_string();
        assert!(error.contains("DATASET/VARIANT"), "{error}");
        let error = file_views(views(&["x.dat"]), Some("Demo"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no variants"), "{error}");
    }
}
