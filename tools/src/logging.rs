//! The log: to standard error, at the level and in the format that the configuration says.

use std::io;

use anstream::{AutoStream, ColorChoice};
use grove::config::table::Origin;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, LogFormat};

/// Starts logging for the rest of the process.
pub(crate) fn start(config: &Config) {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::from(config.command.log))
        .with_ansi(AutoStream::choice(&io::stderr()) != ColorChoice::Never)
        // They would go to standard error, where nothing can be written once logging to it fails.
        .log_internal_errors(false);
    match config.command.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    for row in config.describe().iter().filter(|row| row.origin != Origin::Default) {
        tracing::debug!(variable = row.name, value = row.value, origin = row.origin.name(), "setting");
    }
}
