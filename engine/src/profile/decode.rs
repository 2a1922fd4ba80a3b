//! Reading a profile from JSON, trusting nothing.
//!
//! What it may take is known before anything is made of it (`weigh`), and it nests no deeper than a profile does. Unknown
//! fields are ignored, as the format is open; known ones are checked. `stats` is not read: it is counted. What is wrong is
//! looked for a second time, and slowly, to say where.
//!
//! Not here: files and compression (`store`); sorting and uniting what a foreign file has twice (the tree); version 1 of
//! the format (`version_1`).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::decode_error::{DecodeError, explain, invalid, invalid_at, push_key};
use super::doc::{FORMAT, Ledgers, Look, PARTIAL, ProcessDoc, ProfileDoc, TagDoc, VERSION};
use super::version_1;
use super::weigh::{Weight, weigh};
use crate::behaviour::{Entry, Flaw, Seen, read_unique};
use crate::text::Visible;
use crate::time::Time;

/// Reads the profile that `bytes` is the JSON text of.
///
/// # Errors
/// Anything that is not a profile of version 1 or 2, with the field at fault.
pub fn decode(bytes: &[u8]) -> Result<ProfileDoc, DecodeError> {
    decode_within(bytes, usize::MAX)
}

/// As [`decode`], if the text and the document, and then the document and the tree that is made of it, take no more than
/// `memory_max` bytes together. That is judged by the text, before anything is made of it, so that many an honest profile
/// would do with half of what is reckoned.
///
/// # Errors
/// As [`decode`], or it may take more.
pub fn decode_within(bytes: &[u8], memory_max: usize) -> Result<ProfileDoc, DecodeError> {
    decode_weighed(bytes, memory_max).map(|(doc, _)| doc)
}

/// As [`decode_within`], and what the document takes at most.
pub(super) fn decode_weighed(bytes: &[u8], memory_max: usize) -> Result<(ProfileDoc, u64), DecodeError> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let detail = "expected an object".to_owned();
        return Err(DecodeError::Invalid { path: String::new(), offset: Some(0), detail });
    }
    let mut weight = weigh(bytes);
    let fits = |weight: Weight| {
        let (needed, limit) = (weight.with_text(bytes.len()), memory_max as u64);
        if needed > limit { Err(DecodeError::TooLarge { needed, limit }) } else { Ok(()) }
    };
    fits(weight)?;
    if weight.depth > version_1::DEPTH_MAX {
        return Err(invalid("", "nested too deep"));
    }
    // Nearly all are of this version. What is wrong with one that cannot be read so, or that it is of another version, is
    // found out then.
    let current = if weight.depth > DEPTH_MAX { None } else { sonic_rs::from_slice::<Profile>(bytes).ok() };
    let doc = match current {
        Some(profile) => profile.into(),
        None if version(bytes, weight.depth)? == 1 => {
            // Read as it was, and then made what it is now.
            weight.doc *= 2;
            weight.growing *= 2;
            fits(weight)?;
            version_1::read(bytes, weight.depth)?
        }
        None if weight.depth > DEPTH_MAX => return Err(invalid("", "nested too deep")),
        None => parse::<Profile>(bytes)?.into(),
    };
    check(&doc)?;
    Ok((doc, weight.doc))
}

/// How deep a profile may nest. One that is written has 6.
const DEPTH_MAX: usize = 64;

/// How many exemplars one pattern may have. What is written has [16](crate::path::SKETCH_SIZE).
const EXEMPLARS_MAX: usize = 64;

/// What of a profile is read, if it is one of this version.
#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "format", deserialize_with = "this_format")]
    _format: (),
    #[serde(rename = "version", deserialize_with = "this_version")]
    _version: (),
    image: String,
    #[serde(default)]
    completeness: Option<String>,
    #[serde(deserialize_with = "read_unique")]
    tags: BTreeMap<String, TagDoc>,
    #[serde(deserialize_with = "read_unique")]
    ledgers: Ledgers,
    processes: Vec<ProcessDoc>,
}

impl From<Profile> for ProfileDoc {
    fn from(profile: Profile) -> Self {
        let Profile { image, completeness, tags, ledgers, processes, .. } = profile;
        Self { image, partial: completeness.as_deref() == Some(PARTIAL), tags, ledgers, processes }
    }
}

/// Ends the reading of what is something else at once.
fn this_format<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
    match Given::deserialize(d)? {
        Given::Text(format) if format == FORMAT => Ok(()),
        other => Err(D::Error::custom(other)),
    }
}

fn this_version<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
    match Given::deserialize(d)? {
        Given::Number(version) if version == u64::from(VERSION) => Ok(()),
        other => Err(D::Error::custom(other)),
    }
}

/// A value of a field that may be anything.
enum Given {
    Text(String),
    Number(u64),
    Other,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Given, E> {
                Ok(Given::Text(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Given, E> {
                Ok(Given::Number(number))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_unit<E>(self) -> Result<Given, E> {
                Ok(Given::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Given::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Given, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Given::Other)
            }
        }
        d.deserialize_any(Any)
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => {
                let shown: String = text.chars().take(80).collect();
                write!(f, "\"{}\"", Visible(&shown))
            }
            Self::Number(number) => number.fmt(f),
            Self::Other => f.write_str("neither a text nor a number"),
        }
    }
}

/// Format and version, whatever they are, of a profile that may be of any version.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: Option<Given>,
    #[serde(default)]
    version: Option<Given>,
}

/// Checks the format and finds the version.
fn version(bytes: &[u8], depth: usize) -> Result<u64, DecodeError> {
    if depth > DEPTH_MAX {
        // Only of version 1 there are such.
        return Ok(1);
    }
    let Head { format, version } = parse(bytes)?;
    match format {
        Some(Given::Text(format)) if format == FORMAT => {}
        Some(other) => return Err(DecodeError::Format(other.to_string())),
        None => return Err(DecodeError::Format("missing".into())),
    }
    match version {
        None => Err(invalid("version", "missing")),
        Some(Given::Number(version @ 1..=2)) => Ok(version),
        Some(Given::Number(version)) if version > u64::from(VERSION) => Err(DecodeError::Newer(version)),
        Some(other) => Err(invalid("version", &format!("there is no version {other}, expected {VERSION} or 1"))),
    }
}

/// Reads text by its type; what is wrong with it is found by reading it again.
fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    sonic_rs::from_slice(bytes).map_err(|error| {
        let mut json = sonic_rs::Deserializer::from_slice(bytes);
        explain(&mut json, std::marker::PhantomData::<T>, Some(error.offset()), &error.to_string())
    })
}

/// Looks for values that are of the right type and that no profile has.
fn check(doc: &ProfileDoc) -> Result<(), DecodeError> {
    for (tag, about) in &doc.tags {
        check_span(tag, [about.first_seen, about.last_seen])
            .map_err(|(key, detail)| invalid_at("tags", key, &detail))?;
    }
    for (index, process) in doc.processes.iter().enumerate() {
        let at = |field: &str| format!("processes[{index}].{field}");
        if process.parent.is_some_and(|parent| parent as usize >= index) {
            return Err(invalid(&at("parent"), "expected the index of a process before this one"));
        }
        check_exemplars(&process.exemplars).map_err(|detail| invalid(&at("exemplars"), &detail))?;
        check_seen(&process.seen).map_err(|(key, detail)| invalid_at(&at("seen"), key, &detail))?;
        process.look(&mut Checks).map_err(|(path, detail)| invalid(&at(&path), &detail))?;
    }
    Ok(())
}

/// Looks for flaws of entries.
struct Checks;

impl Look for Checks {
    type Error = (String, String);

    fn list<E: Entry>(&mut self, name: &'static str, list: &[E]) -> Result<(), Self::Error> {
        let mut text = String::new();
        for (index, entry) in list.iter().enumerate() {
            let at = |field: &str| format!("{name}[{index}].{field}");
            if let Err(Flaw { field, detail }) = entry.behaviour(&mut text) {
                return Err((at(field), detail));
            }
            if let Some(pattern) = entry.pattern() {
                check_exemplars(pattern.exemplars).map_err(|detail| (at("exemplars"), detail))?;
            }
            check_seen(entry.seen()).map_err(|(key, detail)| {
                let mut path = at("seen");
                if let Some(key) = key {
                    push_key(&mut path, key);
                }
                (path, detail)
            })?;
        }
        Ok(())
    }
}

fn check_seen(seen: &Seen) -> Result<(), (Option<&str>, String)> {
    if seen.is_empty() {
        return Err((None, "no tag".into()));
    }
    seen.iter().try_for_each(|(tag, span)| check_span(tag, span))
}

fn check_span(tag: &str, [first, last]: [Time; 2]) -> Result<(), (Option<&str>, String)> {
    if tag.is_empty() {
        return Err((None, "a tag without a name".into()));
    }
    if first > last {
        return Err((Some(tag), format!("first seen {first}, after last seen {last}")));
    }
    Ok(())
}

/// Each is put together with the directory of its pattern, which may be long.
fn check_exemplars(exemplars: &[String]) -> Result<(), String> {
    if exemplars.len() > EXEMPLARS_MAX {
        return Err(format!("{} of them, and no profile has more than {EXEMPLARS_MAX}", exemplars.len()));
    }
    Ok(())
}
