//! A profile as a graph in Graphviz's language: processes, who started whom, and whom they talk to.
//!
//! Files, system calls and capabilities are told as numbers: thousands of boxes are no picture.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write};

use crate::behaviour::{Edge, Entry};
use crate::profile::{ProcessDoc, ProfileDoc, VisitLists};
use crate::text::Visible;

/// Writes `profile` as a directed graph. Peers and DNS names that several processes have in common are one node.
///
/// # Errors
/// Those of `out`.
pub fn dot(profile: &ProfileDoc, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "digraph profile {{")?;
    writeln!(out, "  label={}; labelloc=t; rankdir=LR;", Quoted(&profile.image))?;
    writeln!(out, "  node [shape=box, fontname=\"monospace\"];")?;
    let mut peers = HashMap::new();
    for (id, process) in profile.processes.iter().enumerate() {
        let style = if process.fileless || process.upper_layer { ", color=red" } else { "" };
        writeln!(out, "  p{id} [label={}{style}];", Quoted(&label(process)))?;
        if let Some(parent) = process.parent {
            let style = if process.exec_chain { " [style=dashed]" } else { "" };
            writeln!(out, "  p{parent} -> p{id}{style};")?;
        }
        process.visit(&mut Edges { out, peers: &mut peers, id })?;
    }
    writeln!(out, "}}")
}

/// Draws whom a process is tied to.
struct Edges<'a, W> {
    out: &'a mut W,
    peers: &'a mut HashMap<(&'static str, String), usize>,
    id: usize,
}

impl<W: Write> VisitLists for Edges<'_, W> {
    type Error = io::Error;

    fn list<E: Entry>(&mut self, _: &'static str, list: &[E]) -> io::Result<()> {
        list.iter()
            .filter_map(E::edge)
            .try_for_each(|Edge { shape, name, label }| edge(self.out, self.peers, self.id, (shape, &name), &label))
    }
}

/// Draws what process `id` has to do with a peer, which is drawn first if it is new.
fn edge(
    out: &mut impl Write,
    peers: &mut HashMap<(&'static str, String), usize>,
    id: usize,
    (shape, name): (&'static str, &str),
    label: &str,
) -> io::Result<()> {
    let next = peers.len();
    let peer = *peers.entry((shape, name.to_owned())).or_insert(next);
    if peer == next {
        writeln!(out, "  n{peer} [shape={shape}, label={}];", Quoted(name))?;
    }
    writeln!(out, "  p{id} -> n{peer} [label={}];", Quoted(label))
}

fn label(process: &ProcessDoc) -> String {
    let mut label = Label(process.name());
    let Ok(()) = process.visit(&mut label);
    label.0
}

/// What a process is called, and how much it did of what is not drawn.
struct Label(String);

impl VisitLists for Label {
    type Error = Infallible;

    fn list<E: Entry>(&mut self, _: &'static str, list: &[E]) -> Result<(), Infallible> {
        let n = list.iter().filter(|entry| entry.edge().is_none()).count();
        let [one, many] = E::COUNTED;
        if n > 0 {
            // Writing to a String cannot fail.
            let _ = write!(self.0, "\n{n} {}", if n == 1 { one } else { many });
        }
        Ok(())
    }
}

/// A text as a quoted string whose label shows just that text. Line ends that it has stay line ends.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (i, line) in self.0.split('\n').enumerate() {
            if i > 0 {
                f.write_str("\\n")?;
            }
            for c in Visible(line).to_string().chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    // Labels have escapes of their own, and character references.
                    '\\' => f.write_str("\\\\")?,
                    '&' => f.write_str("&amp;")?,
                    _ => f.write_char(c)?,
                }
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixtures::{arbitrary, full};

    fn drawn(profile: &ProfileDoc) -> String {
        let mut out = Vec::new();
        dot(profile, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_profile_with_everything() {
        let expected = r#"digraph profile {
  label="docker.io/library/nginx"; labelloc=t; rankdir=LR;
  node [shape=box, fontname="monospace"];
  p0 [label="/usr/sbin/nginx\n4 files\n3 system calls\n2 capabilities\n1 mount"];
  n0 [shape=note, label="*.backend.internal"];
  p0 -> n0 [label="A"];
  n1 [shape=note, label="example.com"];
  p0 -> n1 [label="A AAAA"];
  n2 [shape=ellipse, label="tcp 10.0.3.4:80"];
  p0 -> n2 [label="accept"];
  n3 [shape=ellipse, label="tcp 0.0.0.0:80"];
  p0 -> n3 [label="bind"];
  n4 [shape=ellipse, label="tcp 10.0.3.0/24:8080"];
  p0 -> n4 [label="connect"];
  n5 [shape=ellipse, label="udp [2001:db8::35]:53"];
  p0 -> n5 [label="connect"];
  n6 [shape=ellipse, label="unix /run/php.sock"];
  p0 -> n6 [label="connect"];
  n7 [shape=note, label="metadata aws"];
  p0 -> n7 [label="v2"];
  p1 [label="/bin/busybox (sh -c \"date > '/tmp/x y'\")\n1 file"];
  p0 -> p1 [style=dashed];
  p2 [label="/tmp/build-*/run", color=red];
}
"#;
        assert_eq!(drawn(&full()), expected);
    }

    #[test]
    fn labels_show_the_text_and_nothing_else() {
        for (text, quoted) in [
            ("\"]; evil [label=\"", r#""\"]; evil [label=\"""#),
            ("\\", r#""\\""#),
            ("\\N\\\"", r#""\\N\\\"""#),
            ("&lt;&#10;", r#""&amp;lt;&amp;#10;""#),
            ("<b>", r#""<b>""#),
            ("\x1b\0", r#""\\u{1b}\\u{0}""#),
        ] {
            assert_eq!(Quoted(text).to_string(), quoted);
        }
    }

    /// The tokens of a graph, or a panic: names, quoted strings, punctuation. A mark in front tells which.
    fn tokens(mut text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        while let Some(c) = text.chars().next() {
            let len = if c.is_ascii_whitespace() {
                1
            } else if c == '"' {
                let mut escaped = false;
                let end = text.char_indices().skip(1).find(|(_, c)| {
                    let end = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    end
                });
                end.unwrap().0 + 1
            } else if text.starts_with("->") {
                2
            } else if "{}[]=;,".contains(c) {
                1
            } else {
                let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
                assert!(end > 0, "stray {c:?}");
                end
            };
            if !c.is_ascii_whitespace() {
                tokens.push(match c {
                    '"' => "S".to_owned(),
                    c if c.is_ascii_alphanumeric() => "N".to_owned(),
                    _ => text[..len].to_owned(),
                });
            }
            text = &text[len..];
        }
        tokens
    }

    /// Whether the tokens are `digraph N { statements }`, where a statement is attributes, a node or an edge.
    fn is_graph(tokens: &[String]) -> bool {
        let text = tokens.concat();
        let Some(body) = text.strip_prefix("NN{").and_then(|body| body.strip_suffix("}")) else { return false };
        let attribute = |text: &str| matches!(text, "N=N" | "N=S");
        body.split_terminator(';').all(|statement| {
            let (head, attributes) = match statement.split_once('[') {
                Some((head, rest)) => (head, rest.strip_suffix(']').unwrap_or("?")),
                None if attribute(statement) => return true,
                None => (statement, "N=N"),
            };
            matches!(head, "N" | "N->N") && attributes.split(',').all(attribute)
        })
    }

    proptest! {
        #[test]
        fn any_profile_is_a_valid_graph(profile in arbitrary()) {
            let text = drawn(&profile);
            prop_assert!(is_graph(&tokens(&text)), "{}", text);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
