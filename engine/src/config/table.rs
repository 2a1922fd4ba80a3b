//! Settings that are variables of the environment: what every crate's table of them is made of.
//!
//! A crate declares its settings with [`settings!`](crate::settings), a row for each variable, beside the code that uses
//! them: the engine in [`config`](crate::config), whatever is built on it in a table of its own. [`Vars`] reads the
//! tables that a program is made of from one environment, and knows then which variables nobody has asked for.
//!
//! ```
//! use grove::config::{Config, table::{Settings, Vars, count}};
//!
//! grove::settings! {
//!     /// What a program built on the engine can be reported.
//!     #[derive(Clone, Debug)]
//!     pub struct MySettings;
//!
//!     /// Requests answered at a time
//!     requests_max: usize = "GROVE_REQUESTS_MAX", count(1, 64, "requests"), |_| 8;
//! }
//!
//! let mut vars = Vars::new([("GROVE_WORKERS", "2"), ("GROVE_REQUESTS_MAX", "16")])?;
//! let (engine, mine): (Config, MySettings) = (vars.read()?, vars.read()?);
//! vars.finish()?;
//! assert_eq!((engine.workers, mine.requests_max), (2, 16));
//! assert_eq!(mine.describe()[0].range, "1 to 64");
//! # Ok::<(), grove::config::ConfigError>(())
//! ```

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Serialize;

use super::error::{self, ConfigError};
use super::host::Host;
pub use super::value::{Choice, Fault, Number, Setting, Span, bytes, count, span};

/// Declares a crate's settings: a struct with a field for each variable, and the table that says what is allowed in it.
///
/// A row is what the variable means (also the field's documentation), the field and its type, the variable, the allowed
/// values, the default on a given [`Host`](crate::config::Host), and, where that depends on the host, the rule in
/// words. Fields behind `also` are no variables. [`table`](crate::config::table) has an example.
#[doc(hidden)]
#[macro_export]
macro_rules! settings {
    (
        $(#[$about:meta])*
        $visible:vis struct $settings:ident;
        $(
            #[doc = $meaning:literal]
            $field:ident: $type:ty = $name:literal, $limits:expr, $default:expr $(, $rule:literal)?;
        )*
        $(also { $($(#[$also_about:meta])* $also:ident: $also_type:ty = $also_default:expr;)* })?
    ) => {
        $(#[$about])*
        $visible struct $settings {
            $(#[doc = concat!($meaning, " (`", $name, "`).")] pub $field: $type,)*
            $($($(#[$also_about])* pub $also: $also_type,)*)?
            /// Where the values are from.
            pub(crate) origins: $crate::config::table::Origins,
        }

        impl $crate::config::table::Settings for $settings {
            const TABLE: &'static [$crate::config::table::Variable<Self>] = &[$($crate::config::table::Variable {
                name: $name,
                meaning: $meaning.trim_ascii(),
                rule: concat!("" $(, $rule)?),
                about: || $crate::config::table::About::of::<$type>(&$limits),
                set: |settings, text| {
                    settings.$field = $crate::config::table::Setting::parse(text, &$limits)?;
                    Ok(())
                },
                check: |settings| $crate::config::table::Setting::check(&settings.$field, &$limits),
                show: |settings| $crate::config::table::Setting::show(&settings.$field, &$limits),
            }),*];

            fn for_host(host: $crate::config::Host) -> Self {
                $(let $field: fn($crate::config::Host) -> $type = $default;)*
                Self {
                    $($field: $field(host),)*
                    $($($also: $also_default,)*)?
                    origins: $crate::config::table::Origins::new::<Self>(host),
                }
            }

            fn origins(&self) -> &$crate::config::table::Origins {
                &self.origins
            }

            fn origins_mut(&mut self) -> &mut $crate::config::table::Origins {
                &mut self.origins
            }
        }

        impl Default for $settings {
            /// The defaults for this host. The environment plays no part.
            fn default() -> Self {
                $crate::config::table::Settings::for_host($crate::config::Host::detect())
            }
        }
    };
}

/// The settings of one crate, as [`settings!`](crate::settings) declares them.
pub trait Settings: Sized + 'static {
    /// A row for each variable, in the order of the fields.
    const TABLE: &'static [Variable<Self>];

    /// The defaults for a given host.
    fn for_host(host: Host) -> Self;

    /// Where the values are from.
    fn origins(&self) -> &Origins;

    /// Where the values are from, to be changed.
    #[doc(hidden)]
    fn origins_mut(&mut self) -> &mut Origins;

    /// Sets the value of a variable from a command-line flag, which overrides the environment. `flag` is what errors
    /// call it, such as `--workers`.
    ///
    /// # Errors
    /// A value that is not allowed, or a variable that does not exist.
    fn set_flag(&mut self, flag: &'static str, variable: &str, value: &str) -> Result<(), ConfigError> {
        let row = Self::TABLE.iter().enumerate().find(|(_, v)| v.name == variable);
        let row = row.ok_or_else(|| error::unknown(variable.as_ref(), Self::TABLE.iter().map(|v| v.name)))?;
        set(self, row, flag, value.as_ref(), Origin::Flag)
    }

    /// Checks every field; for a program that sets fields itself.
    ///
    /// # Errors
    /// The first field, in the table's order, whose value its variable would not take.
    fn validate(&self) -> Result<(), ConfigError> {
        Self::TABLE
            .iter()
            .try_for_each(|v| (v.check)(self).map_err(|fault| v.invalid(v.name, OsStr::new(&(v.show)(self)), fault)))
    }

    /// A row for every variable, in the table's order.
    fn describe(&self) -> Vec<Row> {
        let origins = self.origins();
        let defaults = Self::for_host(origins.host);
        let rows = Self::TABLE.iter().zip(&origins.of);
        rows.map(|(v, &origin)| {
            let About { kind, unit, range, .. } = (v.about)();
            let (value, default) = ((v.show)(self), (v.show)(&defaults));
            let origin = if origin == Origin::Default && value != default { Origin::Program } else { origin };
            let (name, default_rule, meaning) = (v.name, v.rule, v.meaning);
            Row { name, kind, unit, value, origin, default, default_rule, range, meaning }
        })
        .collect()
    }
}

/// Sets the variable in row `at` of the table; `source` is what errors call it.
fn set<S: Settings>(
    settings: &mut S,
    (at, variable): (usize, &Variable<S>),
    source: &'static str,
    value: &OsStr,
    origin: Origin,
) -> Result<(), ConfigError> {
    let text = value.to_str().ok_or_else(|| variable.invalid(source, value, "is not valid UTF-8"))?;
    (variable.set)(settings, text).map_err(|fault| variable.invalid(source, value, fault))?;
    if let Some(slot) = settings.origins_mut().of.get_mut(at) {
        *slot = origin;
    }
    Ok(())
}

/// One variable of the settings `S`, whatever its type.
pub struct Variable<S> {
    /// The variable's name, `GROVE_…`.
    pub name: &'static str,
    /// What it means, in a line.
    pub meaning: &'static str,
    #[doc(hidden)]
    pub rule: &'static str,
    #[doc(hidden)]
    pub about: fn() -> About,
    #[doc(hidden)]
    pub set: fn(&mut S, &str) -> Result<(), Fault>,
    #[doc(hidden)]
    pub check: fn(&S) -> Result<(), Fault>,
    #[doc(hidden)]
    pub show: fn(&S) -> String,
}

impl<S> std::fmt::Debug for Variable<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("name", &self.name).field("meaning", &self.meaning).finish_non_exhaustive()
    }
}

impl<S> Variable<S> {
    fn invalid(&self, source: &'static str, given: &OsStr, fault: Fault) -> ConfigError {
        let allowed = (self.about)().allowed();
        ConfigError::Invalid { name: source, given: error::quote(given), fault, allowed }
    }
}

/// What a variable's type and limits say in words.
#[doc(hidden)]
#[derive(Debug)]
pub struct About {
    kind: &'static str,
    unit: &'static str,
    range: String,
    spelling: &'static str,
}

impl About {
    /// The description of a setting's limits.
    pub fn of<T: Setting>(limits: &T::Limits) -> Self {
        Self { kind: T::kind(limits), unit: T::unit(limits), range: T::range(limits), spelling: T::spelling(limits) }
    }

    /// What is allowed, for an error.
    fn allowed(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let spelling = if self.spelling.is_empty() { String::new() } else { format!(", {}", self.spelling) };
        format!("{}{unit}{spelling}", self.range)
    }
}

/// The origin of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A `GROVE_*` variable.
    Environment,
    /// A flag on the command line.
    Flag,
    /// The program assigned the field.
    Program,
}

impl Origin {
    /// The word for it in `grove env`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Program => "program",
        }
    }
}

/// Where each value of some [`Settings`] is from, and the host that the defaults are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    host: Host,
    /// A row for each of the table.
    of: Vec<Origin>,
}

impl Origins {
    /// Nothing is set yet.
    #[doc(hidden)]
    pub fn new<S: Settings>(host: Host) -> Self {
        Self { host, of: vec![Origin::Default; S::TABLE.len()] }
    }
}

/// What there is to say of one variable: a row of `grove env`. Values are spelled as the variable takes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The variable.
    pub name: &'static str,
    /// Its type: `count`, `size`, `duration`, `boolean`, `paths` or `choice`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What one of it is; empty where that makes no sense.
    pub unit: &'static str,
    /// The value in force.
    pub value: String,
    /// The origin of the value.
    pub origin: Origin,
    /// The default on this host.
    pub default: String,
    /// How the default comes from the host; empty where it does not.
    pub default_rule: &'static str,
    /// The allowed values.
    pub range: String,
    /// What it means, in a line.
    pub meaning: &'static str,
}

/// An environment's `GROVE_*` variables, and which of them somebody has asked for.
#[derive(Clone, Debug)]
pub struct Vars {
    host: Host,
    given: BTreeMap<OsString, OsString>,
    known: Vec<&'static str>,
}

impl Vars {
    /// Those of this process's environment.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::new(std::env::vars_os())
    }

    /// Those among `vars`. Only names that begin with `GROVE_` matter.
    ///
    /// # Errors
    /// A variable is given twice.
    pub fn new<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut given = BTreeMap::new();
        let mut twice = None;
        for (name, value) in vars {
            let name = name.into();
            if is_ours(&name) && given.insert(name.clone(), value.into()).is_some() {
                twice = Some(name);
            }
        }
        match twice {
            Some(name) => Err(ConfigError::Twice { name: error::quote(&name) }),
            None => Ok(Self { host: Host::detect(), given, known: Vec::new() }),
        }
    }

    /// What these variables make of the settings `S` on this host.
    ///
    /// # Errors
    /// The first variable, in the table's order, whose value is not UTF-8 or not allowed.
    pub fn read<S: Settings>(&mut self) -> Result<S, ConfigError> {
        let mut settings = S::for_host(self.host);
        for (at, variable) in S::TABLE.iter().enumerate() {
            self.known.push(variable.name);
            if let Some(value) = self.given.remove(OsStr::new(variable.name)) {
                set(&mut settings, (at, variable), variable.name, &value, Origin::Environment)?;
            }
        }
        Ok(settings)
    }

    /// To be called when all tables have been read.
    ///
    /// # Errors
    /// The first variable, in the order of their names, that is in none of the tables.
    pub fn finish(self) -> Result<(), ConfigError> {
        match self.given.keys().next() {
            Some(name) => Err(error::unknown(name, self.known.iter().copied())),
            None => Ok(()),
        }
    }
}

/// Whether a variable is a setting: one that begins like one may also be the tests'.
fn is_ours(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"GROVE_") && !name.starts_with(b"GROVE_TEST_") && name != b"GROVE_CAPTURES"
}

/// A duration as variables spell it: a whole number with its unit, such as `500ms` or `2m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    Duration::parse(text, &span(Duration::ZERO, Duration::MAX)).ok()
}
