//! Reading the small files in which runtimes keep their records, some of them in the hands of users.
//!
//! Not here: what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, SeqAccess, Visitor};

use super::lookup_error::LookupError;

/// The largest list of containers or images that is read.
pub(super) const LIST_BYTES_MAX: u64 = 16 << 20;

/// The largest record of one container that is read.
const RECORD_BYTES_MAX: u64 = 4 << 20;

/// The JSON in the record of one container; [`LookupError::NotKnown`] if there is none.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T, LookupError> {
    let bytes = read(path, RECORD_BYTES_MAX, None).map_err(|e| lookup_error(path, &e))?;
    // A runtime writes its records anew and renames, so a broken one is no passing sight.
    serde_json::from_slice(&bytes).map_err(|e| lookup_error(path, &e.into()))
}

/// The first element for which `is_it` of the JSON list in a file, which has to belong to the user `owner` if one is
/// given; [`LookupError::NotKnown`] if there is no file. Holds one element at a time.
pub(super) fn find_in_list<T: DeserializeOwned>(
    path: &Path,
    owner: Option<u32>,
    is_it: impl Fn(&T) -> bool,
) -> Result<Option<T>, LookupError> {
    let bytes = read(path, LIST_BYTES_MAX, owner).map_err(|e| lookup_error(path, &e))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let found = Find { is_it, of: std::marker::PhantomData }.deserialize(&mut json);
    found.and_then(|found| json.end().map(|()| found)).map_err(|e| lookup_error(path, &e.into()))
}

struct Find<T, F> {
    is_it: F,
    of: std::marker::PhantomData<T>,
}

impl<'de, T: DeserializeOwned, F: Fn(&T) -> bool> DeserializeSeed<'de> for Find<T, F> {
    type Value = Option<T>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned, F: Fn(&T) -> bool> Visitor<'de> for Find<T, F> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
        while let Some(element) = list.next_element()? {
            if (self.is_it)(&element) {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Some(element));
            }
        }
        Ok(None)
    }
}

fn lookup_error(path: &Path, error: &Error) -> LookupError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => LookupError::NotKnown,
        _ => LookupError::Unreachable(format!("{}: {error}", path.display())),
    }
}

/// A regular file, whole.
fn read(path: &Path, bytes_max: u64, owner: Option<u32>) -> std::io::Result<Vec<u8>> {
    let refused = |why: &str| Err(Error::new(ErrorKind::InvalidInput, why));
    // Looked at before it is opened: opening a device may already do something, and a pipe would keep the reader waiting.
    let place: File = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let found = place.metadata()?;
    if !found.is_file() {
        return refused("not a regular file");
    }
    // What a link leads to may be anybody's: the kernel's log, say, which is gone once it is read.
    if owner.is_some_and(|owner| owner != found.uid()) {
        return refused("it belongs to another user");
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// How many names of a directory are read.
const NAMES_MAX: usize = 4096;

/// The names in a directory that are UTF-8, in alphabetical order; none if it cannot be read.
pub(super) fn read_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.take(NAMES_MAX).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}
