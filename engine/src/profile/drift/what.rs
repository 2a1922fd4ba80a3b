//! What can be found: a behaviour as owned data, so that it can be told, and judged again by another profile.

use super::{Finding, Reason};
use crate::behaviour::{Behaviour, Details, Kind, Place, Told, Value};
use crate::profile::interpreter_name;
use crate::tree::Program;

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// It was run, which is worth telling for this reason. Its path as it was, before any pattern.
    Exec { reason: Reason, program: Program },
    /// It was run under this user id.
    Uid(u32),
    /// It is a script and was run by this; or none, and was run itself.
    Interpreter(Box<str>),
    /// It did something; what a finding of it is called; and, as long as that may have to be judged again, with which
    /// details.
    Did(Kind, Place<Box<str>>, &'static str, Details<Box<str>>),
}

impl What {
    /// A behaviour to keep, which may have to be judged again.
    pub fn of(behaviour: &Behaviour<'_>) -> Self {
        let Behaviour { kind, place, details } = behaviour;
        Self::Did(*kind, place.map(Into::into), behaviour.class(false), details.clone().map(Into::into))
    }

    /// A behaviour that is new, at a place that is `known` or not; its details are kept beside it.
    pub fn new(behaviour: &Behaviour<'_>, known: bool) -> Self {
        let Behaviour { kind, place, .. } = behaviour;
        Self::Did(*kind, place.map(Into::into), behaviour.class(known), Details::none())
    }

    /// Gives the behaviour to `look`, unless it is that of having been run.
    pub fn behaviour<R>(&self, look: impl FnOnce(&Behaviour<'_>) -> R) -> Option<R> {
        match self {
            Self::Exec { .. } | Self::Uid(_) | Self::Interpreter(_) => None,
            Self::Did(kind, place, _, details) => {
                let texts = details.texts.iter().map(|text| &**text).collect();
                let details = Details { marks: details.marks, numbers: details.numbers.clone(), texts };
                Some(look(&Behaviour { kind: *kind, place: place.as_deref(), details }))
            }
        }
    }

    /// What a finding of it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "exec",
            Self::Uid(_) => "uid",
            Self::Interpreter(_) => "interpreter",
            Self::Did(_, _, class, _) => class,
        }
    }

    /// Subject and details as a finding has them; `new` is what is new where that is not kept here.
    pub fn told(&self, new: &Details<Box<str>>) -> Told {
        match self {
            Self::Exec { program, .. } => {
                let key = program.key();
                let argv0 = key.argv0.map(|argv0| ("argv0", Value::Text(argv0)));
                let argv = key.argv.map(|argv| ("argv", Value::List(argv)));
                let details = argv0.into_iter().chain(argv).collect();
                Told { subject: program.path.clone(), details }
            }
            Self::Uid(uid) => Told { subject: uid.to_string(), details: Vec::new() },
            Self::Interpreter(path) => Told { subject: interpreter_name(path).to_owned(), details: Vec::new() },
            Self::Did(kind, place, class, kept) => {
                let details = if kept.is_empty() { new } else { kept };
                let texts = details.texts.iter().map(|text| &**text).collect();
                let details = Details { marks: details.marks, numbers: details.numbers.clone(), texts };
                Behaviour { kind: *kind, place: place.as_deref(), details }.told(class)
            }
        }
    }

    /// Bytes that a finding of it takes at least.
    pub fn finding_bytes(&self) -> usize {
        size_of::<Finding>() + self.text_bytes()
    }

    /// Bytes of text owned.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Exec { program, .. } => program.path.len() + program.key.len(),
            Self::Interpreter(path) => path.len(),
            Self::Did(_, place, _, details) => {
                let mut bytes = details.texts.iter().map(|text| text.len() + size_of::<Box<str>>()).sum();
                place.as_deref().map(|text| bytes += text.len());
                bytes
            }
            Self::Uid(_) => 0,
        }
    }
}
