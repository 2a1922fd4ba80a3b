//! The settings of the command: the engine's, a live observation's, and its own, read from one environment.

use std::time::Duration;

use grove::config::ConfigError;
use grove::config::table::{Choice, Row, Settings, Vars, span};
use tracing::level_filters::LevelFilter;

/// Everything that the variables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// What the engine is started with.
    pub(crate) engine: grove::config::Config,
    /// What a live observation is started with.
    pub(crate) live: grove_probes::config::Config,
    /// What concerns the command alone.
    pub(crate) command: CommandConfig,
}

impl Config {
    /// What this process's environment says. A variable that is in none of the tables is an error.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(Vars::from_env()?)
    }

    pub(crate) fn from_vars(mut vars: Vars) -> Result<Self, ConfigError> {
        let engine: grove::Config = vars.read()?;
        let config = Self { engine: engine.with(|c| c.own_process = true), live: vars.read()?, command: vars.read()? };
        vars.finish()?;
        Ok(config)
    }

    /// A row for every variable there is.
    pub(crate) fn describe(&self) -> Vec<Row> {
        [self.engine.describe(), self.live.describe(), self.command.describe()].concat()
    }
}

grove::settings! {
    /// The settings of the command itself.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct CommandConfig;

    /// How often profiles are written while learning goes on
    profile_interval: Duration = "GROVE_PROFILE_INTERVAL", span(Duration::from_secs(1), Duration::from_secs(86_400)),
        |_| Duration::from_secs(60);

    /// What is logged to standard error: this level and graver
    log: LogLevel = "GROVE_LOG", (), |_| LogLevel::Warn;

    /// How log lines are written
    log_format: LogFormat = "GROVE_LOG_FORMAT", (), |_| LogFormat::Text;
}

/// How much is logged: what is named and everything graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What stopped an operation.
    Error,
    /// What was given up: events lost, limits reached.
    Warn,
    /// What was done, such as profiles that were written.
    Info,
    /// What was decided, for whoever configures Grove.
    Debug,
    /// Every step, for whoever works on Grove.
    Trace,
}

impl Choice for LogLevel {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Off, "off"),
        (Self::Error, "error"),
        (Self::Warn, "warn"),
        (Self::Info, "info"),
        (Self::Debug, "debug"),
        (Self::Trace, "trace"),
    ];
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Choice for LogFormat {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Text, "text"), (Self::Json, "json")];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_vars(Vars::new(vars.iter().copied())?)
    }

    #[test]
    fn every_variable_of_the_command_reaches_its_field() {
        let config =
            read(&[("GROVE_PROFILE_INTERVAL", "2m"), ("GROVE_LOG", "trace"), ("GROVE_LOG_FORMAT", "json")]).unwrap();
        let CommandConfig { profile_interval, log, log_format, .. } = config.command;
        assert_eq!((profile_interval.as_secs(), log, log_format), (120, LogLevel::Trace, LogFormat::Json));
    }

    #[test]
    fn a_variable_is_in_one_table_under_its_fields_name_and_meanings_are_one_line() {
        let config = Config::default();
        let fields = format!("{:#?} {:#?} {:#?}", config.engine, config.live, config.command);
        let mut names = HashSet::new();
        for row in config.describe() {
            let field = row.name.strip_prefix("GROVE_").unwrap().to_lowercase();
            assert!(fields.contains(&format!("\n    {field}: ")), "{field}");
            assert!(names.insert(row.name), "{} is in two tables", row.name);
            assert!(!row.meaning.is_empty() && row.meaning.len() <= 100 && !row.meaning.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn what_no_table_knows_is_an_error_with_the_nearest_of_all_tables() {
        for (name, nearest) in
            [("GROVE_WORKER", "GROVE_WORKERS"), ("GROVE_RING_BYTE", "GROVE_RING_BYTES"), ("GROVE_LOGS", "GROVE_LOG")]
        {
            let error = read(&[(name, "x")]).unwrap_err().to_string();
            assert_eq!(error, format!("unknown variable {name}; did you mean {nearest}?"));
        }
    }

    #[test]
    fn an_error_says_the_choices() {
        for (name, value, expected) in [
            ("GROVE_LOG", "grove=debug\n", "off, error, warn, info, debug, trace"),
            ("GROVE_LOG_FORMAT", "xml", "text, json"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("{name}: {value:?} is none of the choices; allowed: {expected}"));
        }
    }

    #[test]
    fn every_default_can_be_given_as_a_value() {
        for row in Config::default().describe() {
            let config = read(&[(row.name, &row.default)]).unwrap();
            let again = config.describe().into_iter().find(|r| r.name == row.name).unwrap();
            assert_eq!((again.value, again.origin.name()), (row.default, "environment"), "{}", row.name);
        }
    }
}
