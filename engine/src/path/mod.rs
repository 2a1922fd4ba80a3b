//! Names: how paths, DNS names and addresses are written, normalised and generalised.
//!
//! Inside Grove a name is *escaped text*: valid UTF-8 in which an unescaped `*` always stands for something
//! that was normalised or generalised away, and which a raw byte string maps to without loss otherwise.
//!
//! | raw bytes | escaped text | |
//! |---|---|---|
//! | `a*b` | `a\*b` | a literal star |
//! | `a\b` | `a\\b` | a literal backslash |
//! | `a`, byte 255, `b` | `a\xffb` | a byte that is not part of valid UTF-8 |
//! | `é` | `é` | everything else stands for itself |
//!
//! *Normalising* ([`normalise`]) is fixed rules, applied to every path before anything compares it:
//!
//! | raw path, as process 42 | normalised | rule |
//! |---|---|---|
//! | `/usr//lib/./x/../y/` | `/usr/lib/y` | lexical resolution |
//! | `y`, in `/usr/lib` | `/usr/lib/y` | the working directory |
//! | `/proc/42/maps` | `/proc/self/maps` | the process itself, by its number in its own pid namespace |
//! | `/proc/7/task/8/stat` | `/proc/*/task/*/stat` | any other process, any thread |
//! | `/x/pod01234567-89ab-cdef-0123-456789abcdef.slice` | `/x/pod*.slice` | a UUID, joined by `-` or `_` |
//! | `/x/docker-` and 64 hex digits and `.scope` | `/x/docker-*.scope` | 32 hex digits or more |
//! | `/tmp/#10010679` | `/tmp/#*` | a file that never had a name (`O_TMPFILE`), by its inode |
//! | `/var/run/x` | `/run/x` | one directory by two names |
//! | `/vol/..2024_01_31_08_00_00.12/token` | `/vol/*/token` | a Kubernetes volume time stamp |
//!
//! *Generalising* is learned, so only its ingredients are here; the tree decides when a directory has too
//! many names. `shape` says which names are alike, [`Sketch`] remembers a bounded sample of those that were
//! merged, and [`Protect`] says which never may be:
//!
//! | component | shape | variable parts |
//! |---|---|---|
//! | `sess-4f2a.tmp` | `sess-*.tmp` | `4f2a`: letters with digits |
//! | `README.md` | `README.md` | none: one case each |
//! | `fooBar_7` | `*_*` | `fooBar`: mixed case; `7`: digits |
//!
//! Not here: trees, thresholds, and what a name means.

mod dns;
mod network;
mod normal;
mod protect;
mod shape;
mod sketch;
mod text;

pub use dns::{DNS_NAME_BYTES_MAX, dns_name, dns_name_into, labels, push_label};
pub use network::{BadNetwork, Network, keeps_address, network};
pub(crate) use normal::below_run;
pub use normal::{Relative, normalise, normalise_argument, normalise_relative};
pub use protect::{BadPattern, Protect};
pub use shape::shape;
pub(crate) use shape::{shape_bytes, shape_into};
pub use sketch::{SKETCH_SIZE, Sketch};
pub use text::{Components, components, escape, is_pattern, push_component, unescape};
