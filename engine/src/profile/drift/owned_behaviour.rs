//! A behaviour with texts of its own, so that it can be reported, and judged again by another profile.

use super::{Finding, Reason};
use crate::behaviour::{Behaviour, BehaviourKey, Denial, Details, FindingText, Kind, Value};
use crate::profile::interpreter_name;
use crate::tree::Program;

/// A behaviour with its texts, kept until the workload is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum OwnedBehaviour {
    /// It was run, which is worth telling for this reason. Its path as it was, before any pattern.
    Exec { reason: Reason, program: Program },
    /// It was run under this user id.
    Uid(u32),
    /// It is a script and was run by this; or none, and was run itself.
    Interpreter(Box<str>),
    /// It did something; what a finding of it is called; and, as long as that may have to be judged again, with which
    /// details.
    Behaviour(Kind, BehaviourKey<Box<str>>, &'static str, Details<Box<str>>),
    /// The same, tried and refused; how is among the details.
    Denied(Kind, BehaviourKey<Box<str>>, &'static str, Details<Box<str>>),
}

impl OwnedBehaviour {
    /// A behaviour to keep, which may have to be judged again.
    pub fn of(behaviour: &Behaviour<'_>) -> Self {
        let Behaviour { kind, key, details } = behaviour;
        Self::Behaviour(*kind, key.map(Into::into), behaviour.class(false), details.clone().map(Into::into))
    }

    /// A behaviour that is new, at a place that is `known` or not; its details are kept beside it.
    pub fn new(behaviour: &Behaviour<'_>, known: bool) -> Self {
        let Behaviour { kind, key, .. } = behaviour;
        Self::Behaviour(*kind, key.map(Into::into), behaviour.class(known), Details::none())
    }

    /// An attempt at a behaviour, which was refused; as [`of`](Self::of), or as [`new`](Self::new) where its details are kept
    /// beside it.
    pub fn denied(behaviour: &Behaviour<'_>, details: Details<Box<str>>) -> Self {
        let Behaviour { kind, key, .. } = behaviour;
        Self::Denied(*kind, key.map(Into::into), behaviour.class(false), details)
    }

    /// Gives the behaviour to `visit`, unless it is that of having been run.
    pub fn behaviour<R>(&self, visit: impl FnOnce(&Behaviour<'_>) -> R) -> Option<R> {
        match self {
            Self::Exec { .. } | Self::Uid(_) | Self::Interpreter(_) => None,
            Self::Behaviour(kind, key, _, details) | Self::Denied(kind, key, _, details) => {
                let texts = details.texts.iter().map(|text| &**text).collect();
                let details = Details { marks: details.marks, numbers: details.numbers.clone(), texts };
                Some(visit(&Behaviour { kind: *kind, key: key.as_deref(), details }))
            }
        }
    }

    /// What a finding of it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "exec",
            Self::Uid(_) => "uid",
            Self::Interpreter(_) => "interpreter",
            Self::Behaviour(_, _, class, _) | Self::Denied(_, _, class, _) => class,
        }
    }

    /// Subject and details as a finding has them; `new` is what is new where that is not kept here.
    pub fn describe(&self, new: &Details<Box<str>>) -> FindingText {
        match self {
            Self::Exec { program, .. } => {
                let key = program.key();
                let argv0 = key.argv0.map(|argv0| ("argv0", Value::Text(argv0)));
                let argv = key.argv.map(|argv| ("argv", Value::List(argv)));
                let details = argv0.into_iter().chain(argv).collect();
                FindingText { subject: program.path.clone(), details }
            }
            Self::Uid(uid) => FindingText { subject: uid.to_string(), details: Vec::new() },
            Self::Interpreter(path) => FindingText { subject: interpreter_name(path).to_owned(), details: Vec::new() },
            Self::Behaviour(kind, key, class, kept) | Self::Denied(kind, key, class, kept) => {
                let details = if kept.is_empty() { new } else { kept };
                let texts = details.texts.iter().map(|text| &**text).collect();
                let details = Details { marks: details.marks, numbers: details.numbers.clone(), texts };
                let what = Behaviour { kind: *kind, key: key.as_deref(), details };
                let mut text = what.describe(class);
                let error = Some(self).filter(|what| matches!(what, Self::Denied(..)));
                let error = error.and_then(|_| Denial::among(&what.details.numbers));
                text.details.extend(error.map(|error| ("error", Value::Text(error.name().to_owned()))));
                text
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
            Self::Behaviour(_, key, _, details) | Self::Denied(_, key, _, details) => {
                let mut bytes = details.texts.iter().map(|text| text.len() + size_of::<Box<str>>()).sum();
                key.as_deref().map(|text| bytes += text.len());
                bytes
            }
            Self::Uid(_) => 0,
        }
    }
}
