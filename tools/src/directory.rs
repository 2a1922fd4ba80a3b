//! A directory of profiles: one file for each image.
//!
//! Not here: what a profile file looks like and what it is called, which is the library's business, and reading single
//! ones (`profiles`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use grove::config::Config;
use grove::files::{Folder, Identity};
use grove::intern::Interner;
use grove::profile::{Profile, file_name};

use crate::exit::{Error, Exit};
use crate::feed::print_status;
use crate::interrupt;
use crate::profiles;
use grove::text::escape;

/// Where profiles are written to. Other users may look into it, and even write to it: nothing there is waited for,
/// followed, or trusted because of where it is.
pub(crate) struct Directory {
    folder: Arc<Folder>,
    /// What each image's file is called.
    names: HashMap<Arc<str>, String>,
    /// Whose each file is, by its name in lower case: there are file systems that do not tell case apart.
    owners: HashMap<String, Arc<str>>,
    /// What the files held before this run, to be gone on with; `None` where files are replaced.
    before: Option<HashMap<Arc<str>, Profile>>,
    /// What was last written, to tell if somebody else has written since: then what they know is gone on with too.
    written: HashMap<Arc<str>, Identity>,
}

impl Directory {
    /// A directory whose profiles are replaced; it is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or takes no files. Better said now than after an hour of learning.
    pub(crate) fn replacing(path: &Path) -> Result<Self, Error> {
        let opened = std::fs::create_dir_all(path).and_then(|()| Folder::open(path));
        let folder =
            opened.and_then(|folder| folder.create(OsStr::new(".grove-probe")).map(|_| folder)).map_err(|e| {
                Error::failed(
                    format_args!("cannot write into {}: {e}", path.display()),
                    "give another directory with --output",
                )
            })?;
        Ok(Self { folder, names: HashMap::new(), owners: HashMap::new(), before: None, written: HashMap::new() })
    }

    /// A directory whose profiles are gone on with: what a file knows already stays known.
    ///
    /// # Errors
    /// As [`replacing`](Self::replacing).
    pub(crate) fn continuing(path: &Path) -> Result<Self, Error> {
        Ok(Self { before: Some(HashMap::new()), ..Self::replacing(path)? })
    }

    /// Writes profiles until `stop` is set, and tells `written` of each. Which could not be written and why, and what
    /// it comes to: the first failure, or that there was an end before all were written.
    pub(crate) fn write_all<'a>(
        &mut self,
        profiles: impl ExactSizeIterator<Item = &'a Arc<Profile>>,
        config: &Config,
        stop: &AtomicBool,
        mut written: impl FnMut(&Path, &Profile),
    ) -> (Vec<(String, String)>, Result<(), Error>) {
        let (all, mut done) = (profiles.len(), 0);
        let (mut failures, mut outcome) = (Vec::new(), Ok(()));
        for profile in profiles {
            if interrupt::is_set(stop) {
                let text = format!("interrupted: {done} of {all} profiles are written, each of them whole");
                outcome = outcome.and(Err(Error::failed(text, "what was there before of the others is as it was")));
                break;
            }
            match self.write(profile, config) {
                Ok(path) => {
                    done += 1;
                    written(&path, profile);
                }
                Err(error) => {
                    failures.push((profile.image().to_owned(), error.to_string()));
                    outcome = outcome.and(Err(error));
                }
            }
        }
        let durable = self.folder.sync().map_err(|e| {
            let path = self.folder.path().display();
            Error::failed(format_args!("{path} cannot be made durable: {e}"), "check the disk")
        });
        (failures, outcome.and(durable))
    }

    /// Writes the profile of an image; the file that it is in now.
    ///
    /// # Errors
    /// The file cannot be written, or what it holds cannot be gone on with. It is then as it was.
    fn write(&mut self, profile: &Profile, config: &Config) -> Result<PathBuf, Error> {
        let image: Arc<str> = profile.image().into();
        let name = match self.names.get(&image) {
            Some(name) => name.clone(),
            None => self.begin(&image, config)?,
        };
        let path = self.path(&name);
        if self.before.is_some()
            && self.folder.identity(OsStr::new(&name)).ok().flatten().as_ref() != self.written.get(&image)
        {
            self.resume(&image, &name, config)?;
        }
        let written = match self.before.as_ref().and_then(|all| all.get(&image)) {
            None => self.put(&name, profile),
            Some(before) => {
                let mut whole = before.clone();
                whole.merge(profile).map_err(|e| profiles::unmergeable(&path, e))?;
                self.put(&name, &whole)
            }
        };
        let identity = written.map_err(|e| {
            Error::failed(format_args!("cannot write {}: {e}", path.display()), "what was there before is as it was")
        })?;
        if self.before.is_some() {
            self.written.insert(image, identity);
        }
        Ok(path)
    }

    /// Replaces a file of the directory by a profile.
    fn put(&self, name: &str, profile: &Profile) -> std::io::Result<Identity> {
        let file = grove::profile::write_into(self.folder.create(OsStr::new(name))?, profile)?;
        let identity = file.identity()?;
        file.put().map(|()| identity)
    }

    /// Finds the file of an image that is written for the first time.
    fn begin(&mut self, image: &Arc<str>, config: &Config) -> Result<String, Error> {
        let name = file_name(image);
        self.check_owner(image, &name)?;
        self.rename_earlier(image, &name, config)?;
        self.owners.insert(name.to_lowercase(), image.clone());
        self.names.insert(image.clone(), name.clone());
        Ok(name)
    }

    /// Reads what a file holds, to be gone on with.
    fn resume(&mut self, image: &Arc<str>, name: &str, config: &Config) -> Result<(), Error> {
        let path = self.path(name);
        let refused = |why: &str| Error::Message {
            exit: Exit::Failed,
            text: format!(
                "cannot go on with {}: {why}; move it away, or give another directory with --output",
                path.display(),
            ),
        };
        let Some(file) = self.folder.read(OsStr::new(name)).map_err(|e| refused(&e.to_string()))? else {
            return Ok(());
        };
        // Nothing that is there is overwritten unread.
        let found =
            read(file, &path, config).map_err(|why| refused(&format!("it is no profile of {image} ({why})")))?;
        if *found.image() != **image {
            return Err(refused(&format!("it is the profile of {}, not of {image}", found.image())));
        }
        let Some(all) = &mut self.before else { return Ok(()) };
        match all.entry(image.clone()) {
            Entry::Vacant(slot) => drop(slot.insert(found)),
            Entry::Occupied(mut slot) => slot.get_mut().merge(&found).map_err(|e| profiles::unmergeable(&path, e))?,
        }
        Ok(())
    }

    /// Two images of which one would overwrite the other's file: their hashes agree as far as they are in its name, or
    /// the file system takes them for one.
    fn check_owner(&self, image: &str, name: &str) -> Result<(), Error> {
        let Some(owner) = self.owners.get(&name.to_lowercase()) else { return Ok(()) };
        let identity = |name: &str| self.folder.identity(OsStr::new(name)).ok().flatten();
        let theirs = self.names.get(owner).map_or("", String::as_str);
        let theirs_now = identity(theirs);
        if theirs != name && (theirs_now.is_none() || theirs_now != identity(name)) {
            return Ok(());
        }
        Err(Error::failed(
            format_args!("cannot write the profile of {image}: {name} is that of {owner}"),
            "learn the two into different directories",
        ))
    }

    /// Renames the file of an image that an earlier version wrote, to what it is called now.
    fn rename_earlier(&self, image: &str, name: &str, config: &Config) -> Result<(), Error> {
        let earlier = earlier_name(image);
        let (old, new) = (OsStr::new(&earlier), OsStr::new(name));
        if earlier == name || !matches!(self.folder.identity(new), Ok(None)) {
            return Ok(());
        }
        // What is there may as well be another image's, or nobody's.
        let Ok(Some(file)) = self.folder.read(old) else { return Ok(()) };
        if !read(file, &self.path(&earlier), config).is_ok_and(|profile| profile.image() == image) {
            return Ok(());
        }
        let (from, to) = (self.path(&earlier), self.path(name));
        self.folder.rename(old, new).map_err(|e| {
            let what = format!("{} cannot be renamed to {}: {e}", from.display(), to.display());
            Error::failed(what, "check the directory")
        })?;
        let (from, to) = (from.display().to_string(), to.display().to_string());
        print_status(&format!("note: {} is called {} now", escape(&from), escape(&to)));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn read(file: File, path: &Path, config: &Config) -> Result<Profile, Error> {
    profiles::read_file(file, path, config, &Interner::global_of(config.tags_max))
}

/// What the file of an image was called by the first versions, which could not always tell images apart. `~` and
/// percent signs are no part of it.
fn earlier_name(image: &str) -> String {
    let stem: String = image.chars().map(|c| if matches!(c, '/' | ':' | '\0') { '_' } else { c }).collect();
    format!("{stem}.profile.json")
}

/// So many of a profile's tags are named in a line.
const TAGS_SHOWN: usize = 16;

/// What was written, in a line.
pub(crate) fn describe(path: &Path, profile: &Profile) -> String {
    let stats = profile.tree().stats();
    let all = profile.tree().tags();
    let shown = all.iter().take(TAGS_SHOWN).map(|tag| escape(tag).into_owned());
    let more = all.len().checked_sub(TAGS_SHOWN).filter(|n| *n > 0).map(|n| format!("{n} more"));
    let tags: Vec<_> = shown.chain(more).collect();
    let idle = if stats.process_nodes > 0 && stats.is_idle() { "; what they do was not seen" } else { "" };
    format!("{}: {} ({}): {stats}{idle}", escape(&path.display().to_string()), escape(profile.image()), tags.join(", "),)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(image: &str, config: &Config) -> Profile {
        let rules = grove::tree::Rules::new(config).unwrap();
        Profile::new(image, Arc::new(rules))
    }

    fn refused(directory: &mut Directory, image: &str, config: &Config) -> String {
        match directory.write(&profile(image, config), config) {
            Err(Error::Message { exit: Exit::Failed, text }) => text,
            other => panic!("{image}: {other:?}"),
        }
    }

    #[test]
    fn a_file_of_another_image_or_of_none_is_never_overwritten() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let at = |name: &str| dir.path().join(name);
        let mut directory = Directory::continuing(dir.path()).unwrap();
        let path = directory.write(&profile("a", &config), &config).unwrap();
        std::fs::copy(&path, at("b.profile.json")).unwrap();
        assert!(refused(&mut directory, "b", &config).contains("it is the profile of a, not of b"));
        std::fs::write(at("c.profile.json"), "rubbish").unwrap();
        assert!(refused(&mut directory, "c", &config).contains("it is no profile of c"));
        assert_eq!(std::fs::read_to_string(at("c.profile.json")).unwrap(), "rubbish");
        // A pipe that nobody writes into would keep whoever reads it for ever, and what a link leads to may never end.
        assert!(std::process::Command::new("mkfifo").arg(at("d.profile.json")).status().unwrap().success());
        assert!(refused(&mut directory, "d", &config).contains("it is no regular file"));
        std::os::unix::fs::symlink("/dev/zero", at("e.profile.json")).unwrap();
        assert!(refused(&mut directory, "e", &config).contains("it is a symbolic link"));
        // A hole takes no room on the disk.
        File::create(at("f.profile.json")).unwrap().set_len(1 << 40).unwrap();
        assert!(refused(&mut directory, "f", &config).contains("bytes of JSON text"));
    }

    /// Two runs into one directory: what one has written the other goes on with.
    #[test]
    fn a_second_writer_takes_nothing_away() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let learned = |recording: &str| {
            let mut profile = profile("a", &config);
            let mut ledger = grove::ledger::Ledger::default();
            ledger.count(grove::ledger::Fate::Lifecycle);
            profile.add_ledger(recording, &ledger);
            profile
        };
        let mut one = Directory::continuing(dir.path()).unwrap();
        let mut other = Directory::continuing(dir.path()).unwrap();
        let mut known = Vec::new();
        for round in 0..4 {
            for (name, directory) in [("one", &mut one), ("other", &mut other)] {
                let path = directory.write(&learned(&format!("{name} {round}")), &config).unwrap();
                known = grove::profile::read(&path).unwrap().ledgers.into_keys().collect();
            }
        }
        // Of its own, a run tells all it knows each time; here it told another thing each time.
        let expected = ["one 0", "one 1", "one 2", "one 3", "other 0", "other 1", "other 2", "other 3"];
        assert_eq!(known, expected);
    }

    #[test]
    fn two_images_of_one_file_are_told() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let mut directory = Directory::replacing(dir.path()).unwrap();
        directory.write(&profile("Shop", &config), &config).unwrap();
        directory.write(&profile("shop", &config), &config).unwrap();
        // As on a file system that does not tell case apart.
        std::fs::hard_link(dir.path().join("shop.profile.json"), dir.path().join("SHOP.profile.json")).unwrap();
        assert!(refused(&mut directory, "SHOP", &config).contains("SHOP.profile.json is that of shop"));
        // As of two names whose hashes agree.
        directory.owners.insert(file_name("a_b"), "a:b".into());
        directory.names.insert("a:b".into(), file_name("a_b"));
        assert!(refused(&mut directory, "a_b", &config).contains("is that of a:b"));
    }

    #[test]
    fn what_an_earlier_version_wrote_is_gone_on_with_under_its_new_name() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let at = |image: &str| dir.path().join(file_name(image));
        for image in ["my_app", "host:5000/web"] {
            let path = Directory::replacing(dir.path()).unwrap().write(&profile(image, &config), &config).unwrap();
            std::fs::rename(path, dir.path().join(earlier_name(image))).unwrap();
        }
        // The name that my_app had is that of my/app now.
        let mut directory = Directory::continuing(dir.path()).unwrap();
        assert!(refused(&mut directory, "my/app", &config).contains("it is the profile of my_app"));
        directory.write(&profile("my_app", &config), &config).unwrap();
        directory.write(&profile("my/app", &config), &config).unwrap();
        directory.write(&profile("host:5000/web", &config), &config).unwrap();
        assert!(at("my_app").exists() && at("my/app").exists() && at("host:5000/web").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        assert!(directory.before.unwrap().contains_key("my_app"));
    }

    #[test]
    fn an_interrupt_ends_between_two_files_and_says_how_many_there_are() {
        let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
        let all: Vec<_> = (0..100).map(|n| Arc::new(profile(&format!("i{n}"), &config))).collect();
        let stop = AtomicBool::new(false);
        let mut reported = 0;
        let (failures, outcome) =
            Directory::replacing(dir.path()).unwrap().write_all(all.iter(), &config, &stop, |path, _| {
                grove::profile::read(path).unwrap();
                reported += 1;
                stop.store(reported == 7, std::sync::atomic::Ordering::Relaxed);
            });
        assert!(failures.is_empty());
        assert!(outcome.unwrap_err().to_string().starts_with("interrupted: 7 of 100 profiles are written"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 7);
    }
}
