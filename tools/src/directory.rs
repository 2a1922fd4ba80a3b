//! A directory of profiles: one file for each image.
//!
//! Not here: what a profile file looks like, which is the library's business, and reading single ones (`profiles`).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grove::config::Config;
use grove::intern::Interner;
use grove::profile::Profile;

use crate::exit::{Error, Exit};
use crate::feed::say;
use crate::profiles;
use crate::terminal::escape;

/// The longest name that common file systems take, less what the suffixes and a temporary file need.
const STEM_BYTES_MAX: usize = 200;

/// Where profiles are written to.
pub(crate) struct Directory {
    path: PathBuf,
    /// What each image's file is called.
    names: HashMap<Arc<str>, String>,
    taken: HashSet<String>,
    /// What the files held before this run, to be gone on with; `None` where files are replaced.
    before: Option<HashMap<Arc<str>, Profile>>,
}

impl Directory {
    /// A directory whose profiles are replaced; it is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or takes no files. Better said now than after an hour of learning.
    pub(crate) fn replacing(path: &Path) -> Result<Self, Error> {
        let unwritable = |e| {
            Error::failed(
                format_args!("cannot write into {}: {e}", path.display()),
                "give another directory with --output",
            )
        };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        tempfile::Builder::new().prefix(".grove-").tempfile_in(path).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), names: HashMap::new(), taken: HashSet::new(), before: None })
    }

    /// A directory whose profiles are gone on with: what a file knows already stays known.
    ///
    /// # Errors
    /// As [`replacing`](Self::replacing).
    pub(crate) fn continuing(path: &Path) -> Result<Self, Error> {
        Ok(Self { before: Some(HashMap::new()), ..Self::replacing(path)? })
    }

    /// Writes the profile of an image; the file that it is in now.
    ///
    /// # Errors
    /// The file cannot be written, or what it holds cannot be gone on with. It is then as it was.
    pub(crate) fn write(&mut self, profile: &Profile, config: &Config) -> Result<PathBuf, Error> {
        let image: Arc<str> = profile.image().into();
        if !self.names.contains_key(&image) {
            let before = self.begin(&image, config)?;
            if let (Some(all), Some(before)) = (&mut self.before, before) {
                all.insert(image.clone(), before);
            }
        }
        let path = self.file(&image);
        let written = match self.before.as_ref().and_then(|all| all.get(&image)) {
            None => grove::profile::write(&path, profile),
            Some(before) => {
                let mut whole = before.clone();
                whole.merge(profile).map_err(|e| profiles::unmergeable(&path, e))?;
                grove::profile::write(&path, &whole)
            }
        };
        written.map_err(|e| Error::failed(e, "what was there before is as it was"))?;
        Ok(path)
    }

    /// Chooses the file of an image that is written for the first time, and reads what is to be gone on with.
    fn begin(&mut self, image: &Arc<str>, config: &Config) -> Result<Option<Profile>, Error> {
        let plain = file_name(image, &mut self.taken);
        self.names.insert(image.clone(), plain);
        if self.before.is_none() || !self.file(image).exists() {
            return Ok(None);
        }
        // Whatever is no file, such as a pipe that nobody writes into, is not read.
        let is_file = self.file(image).is_file();
        let read = is_file.then(|| profiles::read(&self.file(image), config, &Interner::global_of(config.tags_max)));
        match read.unwrap_or(Err(Error::ReaderGone)) {
            Ok(before) if *before.image() == **image => return Ok(Some(before)),
            // Another image whose name comes out the same.
            Ok(_) => {
                let other = hashed_name(image);
                self.names.insert(image.clone(), other);
                if !self.file(image).exists() {
                    return Ok(None);
                }
                if !self.file(image).is_file() {
                    return Err(self.refuse(image));
                }
                let before = profiles::read(&self.file(image), config, &Interner::global_of(config.tags_max));
                if let Ok(before) = before {
                    return Ok(Some(before));
                }
            }
            Err(_) => {}
        }
        Err(self.refuse(image))
    }

    /// Nothing that is there is overwritten unread.
    fn refuse(&mut self, image: &Arc<str>) -> Error {
        let path = self.file(image);
        self.names.remove(image);
        Error::Message {
            exit: Exit::Failed,
            text: format!(
                "cannot go on with {}: it is no profile of {}; move it away, or give another directory with --output",
                path.display(),
                escape(image),
            ),
        }
    }

    fn file(&self, image: &str) -> PathBuf {
        self.path.join(self.names.get(image).map_or("", String::as_str))
    }
}

/// What was written, in a line.
pub(crate) fn describe(path: &Path, profile: &Profile) -> String {
    let stats = profile.tree().stats();
    let tags: Vec<_> = profile.tree().tags().into_iter().map(|tag| escape(tag).into_owned()).collect();
    format!(
        "{}: {} ({}): {} processes, {} files, {} names, {} sockets, {} system calls, {} capabilities",
        escape(&path.display().to_string()),
        escape(profile.image()),
        tags.join(", "),
        stats.process_nodes,
        stats.file_nodes,
        stats.dns_nodes,
        stats.socket_nodes,
        stats.syscalls,
        stats.capabilities,
    )
}

fn stem(image: &str) -> String {
    image.chars().map(|c| if matches!(c, '/' | ':' | '\0') { '_' } else { c }).collect()
}

/// The file of an image. Two images whose names come out the same, or one too long for a file, are told apart by a hash.
fn file_name(image: &str, taken: &mut HashSet<String>) -> String {
    let stem = stem(image);
    if stem.len() > STEM_BYTES_MAX || !taken.insert(stem.clone()) {
        return hashed_name(image);
    }
    format!("{stem}.profile.json")
}

fn hashed_name(image: &str) -> String {
    let mut stem = stem(image);
    while stem.len() > STEM_BYTES_MAX {
        stem.pop();
    }
    let mut hash = grove::trace::LineHash::default();
    hash.add(image.as_bytes());
    let name = format!("{stem}-{}.profile.json", hash.name());
    say(&format!(
        "note: the profile of {} is {}, as its plain name is taken or too long",
        escape(image),
        escape(&name)
    ));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_has_a_file_of_its_own() {
        let mut taken = HashSet::new();
        assert_eq!(file_name("docker.io/library/nginx", &mut taken), "docker.io_library_nginx.profile.json");
        assert_eq!(file_name("a:5000/b", &mut taken), "a_5000_b.profile.json");
        let other = file_name("a/5000:b", &mut taken);
        assert!(other.starts_with("a_5000_b-") && other.ends_with(".profile.json"), "{other}");
        assert_eq!(file_name("..", &mut taken), "...profile.json");
        assert!(file_name(&"é".repeat(4000), &mut taken).len() < 255);
    }

    fn profile(image: &str, config: &Config) -> Profile {
        let rules = grove::tree::Rules::new(config).unwrap();
        Profile::new(image, Arc::new(rules))
    }

    #[test]
    fn a_file_of_another_image_or_of_none_is_never_overwritten() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let mut first = Directory::continuing(dir.path()).unwrap();
        let plain = first.write(&profile("a/b", &config), &config).unwrap();
        // A later run, which knows only the image whose name comes out the same.
        let mut second = Directory::continuing(dir.path()).unwrap();
        let other = second.write(&profile("a_b", &config), &config).unwrap();
        assert_ne!(plain, other);
        assert!(std::fs::read_to_string(&plain).unwrap().contains("\"a/b\""));
        assert_eq!(second.write(&profile("a_b", &config), &config).unwrap(), other);

        std::fs::write(dir.path().join("c.profile.json"), "rubbish").unwrap();
        let refused = second.write(&profile("c", &config), &config);
        assert!(matches!(refused, Err(Error::Message { exit: Exit::Failed, .. })));
        assert_eq!(std::fs::read_to_string(dir.path().join("c.profile.json")).unwrap(), "rubbish");

        // A pipe that nobody writes into would keep whoever reads it for ever.
        let pipe = dir.path().join("d.profile.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let refused = second.write(&profile("d", &config), &config);
        assert!(matches!(refused, Err(Error::Message { exit: Exit::Failed, .. })));
    }
}
