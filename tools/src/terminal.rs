//! What a terminal gets to see, and when in colour. Making hostile text harmless is the library's (`grove::text`).
//!
//! Colour is written always and taken out by `anstream` where it is not wanted, so that nobody else has to ask.

use std::io::{self, Write as _};

use anstream::ColorChoice;

use crate::exit::Error;

/// When output is in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On terminals, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes it the choice for all output from now on.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

/// Standard output, with the styles taken out where it takes none.
pub(crate) type Out = io::BufWriter<anstream::AutoStream<io::StdoutLock<'static>>>;

/// Lets `draw` write styled output to standard output, without the styles where it takes none.
pub(crate) fn write(draw: impl FnOnce(&mut Out) -> io::Result<()>) -> Result<(), Error> {
    let mut out = io::BufWriter::new(anstream::AutoStream::auto(io::stdout().lock()));
    draw(&mut out).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// Lets `draw` write to standard output what programs read. Nothing is taken out of it: it has no styles, and what
/// looks like one belongs to it.
pub(crate) fn write_plain(
    draw: impl FnOnce(&mut io::BufWriter<io::StdoutLock<'static>>) -> io::Result<()>,
) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    draw(&mut out).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// How wide lines for people may be.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// Writes styled text to standard output, whole.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::stdout)
}
