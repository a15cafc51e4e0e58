//! Where a root is: a folder, or a prefix of an S3 bucket.

use std::sync::Arc;

use datafusion_cli::object_storage::{AwsOptions, get_s3_object_store_builder};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use url::Url;

use crate::error::{Error, Result};

/// A root: its address, the store behind it, and the place of the tables in the store.
#[derive(Debug, Clone)]
pub struct Root {
    /// The address, ending in `/`.
    pub url: Url,
    /// The whole disk or bucket.
    pub store: Arc<dyn ObjectStore>,
    /// The root's place in the store.
    pub prefix: Path,
}

impl Root {
    /// Opens `root`: a folder (made when missing) or an `s3://bucket/prefix`. For S3 the
    /// usual `AWS_*` variables, profiles and roles apply, and `AWS_ENDPOINT` names another
    /// server than Amazon's.
    ///
    /// # Errors
    /// Fails when the folder cannot be made, the address is not understood or no
    /// credentials can be had.
    pub async fn open(root: &str) -> Result<Self> {
        if root.contains("://") {
            Self::bucket(root).await
        } else {
            Self::folder(root)
        }
    }

    fn folder(root: &str) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|e| Error::file(root, e))?;
        let folder = std::fs::canonicalize(root).map_err(|e| Error::file(root, e))?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| Error::Usage(format!("--root {root}: not a folder")))?;
        let prefix = Path::from_absolute_path(&folder).map_err(object_store::Error::from)?;
        Ok(Self {
            url,
            store: Arc::new(LocalFileSystem::new()),
            prefix,
        })
    }

    async fn bucket(root: &str) -> Result<Self> {
        let slash = if root.ends_with('/') { "" } else { "/" };
        let url = Url::parse(&format!("{root}{slash}"))
            .map_err(|e| Error::Usage(format!("--root {root}: {e}")))?;
        if url.scheme() != "s3" {
            return Err(Error::Usage(format!(
                "--root {root}: the root is a folder or s3://bucket/prefix"
            )));
        }
        let store = get_s3_object_store_builder(&url, &AwsOptions::default(), false)
            .await?
            .build()?;
        let prefix = Path::from_url_path(url.path()).map_err(object_store::Error::from)?;
        Ok(Self {
            url,
            store: Arc::new(store),
            prefix,
        })
    }

    /// The address of `path` in the store.
    pub fn address(&self, path: &Path) -> Url {
        let mut address = self.url.clone();
        address.set_path(&format!("/{path}"));
        address
    }

    /// Whether the root is a folder of this machine.
    pub fn is_folder(&self) -> bool {
        self.url.scheme() == "file"
    }

    /// The root as a user would write it.
    pub fn location(&self) -> String {
        let location = match self.url.to_file_path() {
            Ok(path) if self.is_folder() => path.display().to_string(),
            _ => self.url.to_string(),
        };
        location.trim_end_matches('/').to_owned()
    }
}
