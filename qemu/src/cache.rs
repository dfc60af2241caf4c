//! The folder for what is kept between runs: kernels and images, each under a name made of its content.
//!
//! Contract: an entry is there whole or not at all, whoever else works on it at the same time; nothing in it
//! is ever changed. Anybody may delete the folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// See the module's contract.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/rxlab`, or `$HOME/.cache/rxlab`, or a folder for temporary files.
    #[must_use]
    pub fn of_user() -> Self {
        let var = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let home = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
        Self { folder: home.unwrap_or_else(std::env::temp_dir).join("rxlab") }
    }

    /// In this folder, which need not be there.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where an entry is, or would be.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps everybody else out of one kind of work until the value is dropped.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn lock(&self, kind: &str) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        let lock = File::create(self.folder.join(format!("{kind}.lock")))?;
        lock.lock()?;
        Ok(lock)
    }

    /// The entry `name`; if it is not there, `make` makes it, at a path that becomes the entry's.
    ///
    /// # Errors
    /// Those of `make`, and of the folder.
    pub fn entry<E: From<io::Error>>(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.path(name);
        if path.exists() {
            return Ok(path);
        }
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)?;
        let _lock = self.lock("entries")?;
        if path.exists() {
            return Ok(path);
        }
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Under the lock, so nobody else is at it; what a dead process has left is taken away.
        let unfinished = parent.join(format!(".{file_name}.unfinished"));
        remove(&unfinished)?;
        let made = make(&unfinished);
        if let Err(error) = made {
            // The first error is the one that counts.
            let _ = remove(&unfinished);
            return Err(error);
        }
        std::fs::rename(&unfinished, &path)?;
        Ok(path)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let done = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once_and_whole() {
        let folder = std::env::temp_dir().join(format!("rxlab-cache-{}", std::process::id()));
        let cache = Cache::at(folder.clone());
        let failed = cache.entry("a/b", |path| {
            std::fs::write(path, "half")?;
            Err::<(), _>(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert!(!cache.path("a/b").exists());
        assert_eq!(std::fs::read_dir(folder.join("a")).unwrap().count(), 0);
        for text in ["first", "second"] {
            let made = cache.entry("a/b", |path| std::fs::write(path, text)).unwrap();
            assert_eq!(std::fs::read_to_string(made).unwrap(), "first");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
