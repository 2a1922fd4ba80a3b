//! A profile as a tree for people: who started whom, and what each did.
//!
//! Not here: a form that programs read (the profile's own JSON).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write};

use super::style::{Palette, count, number, paint, second, tag_mark};
use crate::behaviour::{Entry, EntryView, Stats};
use crate::ledger::{Dropped, Ledger, Rejected};
use crate::profile::{ProcessDoc, ProfileDoc, VisitLists, interpreter_name};
use crate::text::Visible;

/// How far a process can be indented, in levels. Deeper ones are told by their number, so that the output stays
/// linear in the profile.
const INDENT_MAX: usize = 32;
/// How many names a pattern shows.
const EXEMPLARS_MAX: usize = 3;
/// Columns that labels take.
const LABEL_COLUMNS: usize = 10;
/// The fewest columns for words that are wrapped.
const WRAP_COLUMNS_MIN: usize = 30;

/// Writes `profile` as a tree: its tags, numbers and losses, then its processes with what they did.
///
/// Tags are named only where they are not those of what is above. Lists of words are wrapped at `columns`; paths
/// and names are not.
///
/// # Errors
/// Those of `out`.
pub fn tree(profile: &ProfileDoc, palette: &Palette, columns: usize, out: &mut impl Write) -> io::Result<()> {
    header(profile, palette, out)?;
    let mut painter = Painter { palette, columns, watched: profile.stats(), out };
    let tags: Vec<&str> = profile.tags.keys().map(String::as_str).collect();
    let children = profile.children();
    let below = |at: usize| children.get(at).map(Vec::as_slice).unwrap_or_default().iter();
    // The lists that are being drawn, the innermost last.
    let mut open = vec![(below(0), tags, String::new())];
    while let Some((list, around, prefix)) = open.last_mut() {
        let Some(index) = list.next() else {
            open.pop();
            continue;
        };
        let Some(process) = profile.processes.get(*index) else { continue };
        let (branch, trunk) = if list.len() == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (around, prefix) = (around.clone(), prefix.clone());
        let (lead, inside) = match open.len() {
            1 => ("\n".to_owned(), String::new()),
            2..=INDENT_MAX => (format!("{prefix}{branch}"), format!("{prefix}{trunk}")),
            depth => (format!("{prefix}({depth} deep) "), prefix),
        };
        let below = below(index + 1);
        painter.process(process, below.len() > 0, &around, &lead, &inside)?;
        open.push((below, process.seen.tags().collect(), inside));
    }
    Ok(())
}

fn header(profile: &ProfileDoc, palette: &Palette, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", paint(palette.heading, Visible(&profile.image)))?;
    let mut field = |label: &str, text: &str| writeln!(out, "  {} {text}", paint(palette.label, format!("{label:<8}")));
    for (tag, doc) in &profile.tags {
        let mut states: Vec<_> = doc.state.iter().map(|(_, state)| state).collect();
        states.sort_unstable();
        states.dedup();
        // Where all kinds are as far as each other there is only one thing to say.
        let state: Vec<String> = match states.as_slice() {
            [one] => vec![one.name().to_owned()],
            _ => doc.state.iter().map(|(kind, state)| format!("{} {}", Visible(kind), state.name())).collect(),
        };
        let name = paint(palette.tag, Visible(tag));
        let times = format!("{} to {}", second(doc.first_seen), second(doc.last_seen));
        field("tag", format!("{name}  {times}  {}", state.join(", ")).trim_end())?;
    }
    field("holds", &profile.stats().to_string())?;
    field("learned", &learned(profile, palette))
}

/// From how many events the profile was learned, and what was lost on the way.
fn learned(profile: &ProfileDoc, palette: &Palette) -> String {
    let ledger = profile.ledger();
    let mut text = format!(
        "from {} of {}",
        count(ledger.received, "event", "events"),
        count(profile.ledgers.len() as u64, "recording", "recordings")
    );
    for loss in losses(&ledger) {
        text.push_str(&format!("; {}", paint(palette.warning, loss)));
    }
    if ledger.dropped_total() == 0 {
        text.push_str("; none lost");
    }
    if profile.partial {
        let text_of = "partial: not all that was done could be seen";
        text.push_str(&format!("; {}", paint(palette.warning, text_of.to_owned())));
    }
    text
}

fn losses(ledger: &Ledger) -> Vec<String> {
    let reasons = |counts: Vec<(&str, u64)>| {
        let named: Vec<String> =
            counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {}", number(*n))).collect();
        named.join(", ")
    };
    let mut losses = Vec::new();
    if ledger.dropped_total() > 0 {
        let causes = reasons(Dropped::ALL.iter().map(|cause| (cause.name(), ledger.dropped(*cause))).collect());
        losses.push(format!("{} lost ({causes})", number(ledger.dropped_total())));
    }
    if ledger.rejected_total() > 0 {
        let causes = reasons(Rejected::ALL.iter().map(|reason| (reason.name(), ledger.rejected(*reason))).collect());
        losses.push(format!("{} rejected ({causes})", number(ledger.rejected_total())));
    }
    if ledger.held > 0 {
        losses.push(format!("{} held", number(ledger.held)));
    }
    losses
}

struct Painter<'a, W> {
    palette: &'a Palette,
    columns: usize,
    /// What there is of each kind: a program without any of a kind that every program does was not seen at work.
    watched: Stats,
    out: &'a mut W,
}

impl<W: Write> Painter<'_, W> {
    /// Draws a process and what it did, but not its children.
    fn process(
        &mut self,
        process: &ProcessDoc,
        has_children: bool,
        around: &[&str],
        lead: &str,
        inside: &str,
    ) -> io::Result<()> {
        let name = Visible(&process.name()).to_string();
        let mut line = format!("{lead}{}", paint(self.palette.process, name));
        if !process.interpreters.is_empty() {
            let by: Vec<&str> = process.interpreters.iter().map(|by| interpreter_name(by)).collect();
            let interpreters = Visible(&by.join(", ")).to_string();
            line.push_str(&format!("  run by {interpreters}"));
        }
        if !process.uids.is_empty() {
            let uids: Vec<String> = process.uids.iter().map(u32::to_string).collect();
            line.push_str(&format!("  uid {}", uids.join(", ")));
        }
        if process.exec_chain {
            line.push_str("  exec chain");
        }
        for (flag, name) in [(process.fileless, "fileless"), (process.upper_layer, "upper layer")] {
            if flag {
                line.push_str(&format!("  {}", paint(self.palette.warning, name)));
            }
        }
        line.push_str(&self.names(process.pattern, process.distinct, &process.exemplars));
        line.push_str(&self.mark(tag_mark(&process.seen, around)));
        writeln!(self.out, "{line}")?;

        let wrap_columns =
            self.columns.saturating_sub(inside.chars().count() + 3 + LABEL_COLUMNS).max(WRAP_COLUMNS_MIN);
        let groups = self.groups(process, wrap_columns);
        for (i, (label, lines)) in groups.iter().enumerate() {
            let last = i + 1 == groups.len() && !has_children;
            let (branch, trunk) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            for (i, line) in lines.iter().enumerate() {
                let (branch, label) = if i == 0 { (branch, *label) } else { (trunk, "") };
                let label = paint(self.palette.label, format!("{label:<LABEL_COLUMNS$}"));
                writeln!(self.out, "{inside}{branch}{label}{line}")?;
            }
        }
        Ok(())
    }

    /// What a process did, by kind: a label and its lines.
    fn groups(&self, process: &ProcessDoc, wrap_columns: usize) -> Vec<(&'static str, Vec<String>)> {
        let around: Vec<&str> = process.seen.tags().collect();
        let idle = process.is_idle();
        let mut groups = Groups { painter: self, around, wrap_columns, idle, groups: Vec::new() };
        let Ok(()) = process.visit(&mut groups);
        groups.groups
    }

    /// Words in lines of at most `columns`, those with the same tags together.
    fn words<'a>(&self, words: impl Iterator<Item = (&'a str, Option<String>)>, columns: usize) -> Vec<String> {
        let mut by_mark: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for (word, mark) in words {
            by_mark.entry(mark).or_default().push(Visible(word).to_string());
        }
        let mut lines = Vec::new();
        for (mark, words) in by_mark {
            let mut line = String::new();
            let mut used = 0;
            for word in words {
                let width = word.chars().count();
                if used > 0 && used + 1 + width > columns {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                if used > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(&word);
                used += width;
            }
            lines.push(line + &self.mark(mark));
        }
        lines
    }

    /// A name with what is told beside it.
    fn line(&self, shown: &EntryView<'_>, mark: Option<String>) -> String {
        let pattern = shown.pattern;
        let name = self.generalised(pattern.is_some_and(|pattern| pattern.pattern), &shown.name);
        let note = if shown.note.is_empty() { String::new() } else { format!("  {}", Visible(&shown.note)) };
        let names = pattern.map(|p| self.names(p.pattern, p.distinct, p.exemplars)).unwrap_or_default();
        name + &note + &names + &self.mark(mark)
    }

    fn generalised(&self, pattern: bool, text: &str) -> String {
        let style = if pattern { self.palette.pattern } else { anstyle::Style::new() };
        paint(style, Visible(text)).to_string()
    }

    /// How many names a pattern stands for, and some of them.
    fn names(&self, pattern: bool, distinct: u64, exemplars: &[String]) -> String {
        if !pattern || (distinct == 0 && exemplars.is_empty()) {
            return String::new();
        }
        let number = if distinct > 0 { format!("~{}", number(distinct)) } else { "many".to_owned() };
        let shown: Vec<String> = exemplars.iter().take(EXEMPLARS_MAX).map(|name| Visible(name).to_string()).collect();
        let more = if exemplars.len() > EXEMPLARS_MAX { ", …" } else { "" };
        let colon = if shown.is_empty() { "" } else { ": " };
        format!("  {}", paint(self.palette.label, format!("{number}{colon}{}{more}", shown.join(", "))))
    }

    fn mark(&self, mark: Option<String>) -> String {
        mark.map(|mark| format!("  {}", paint(self.palette.tag, mark))).unwrap_or_default()
    }
}

/// What a process did, as it comes together.
struct Groups<'a, W> {
    painter: &'a Painter<'a, W>,
    around: Vec<&'a str>,
    wrap_columns: usize,
    /// Nothing at all is known to have been done.
    idle: bool,
    groups: Vec<(&'static str, Vec<String>)>,
}

impl<W: Write> VisitLists for Groups<'_, W> {
    type Error = Infallible;

    fn list<E: Entry>(&mut self, _: &'static str, list: &[E]) -> Result<(), Infallible> {
        let painter = self.painter;
        let shown: Vec<(EntryView<'_>, Option<String>)> =
            list.iter().map(|entry| (entry.shown(), tag_mark(entry.seen(), &self.around))).collect();
        for label in E::LABELS {
            let (words, names): (Vec<_>, Vec<_>) =
                shown.iter().filter(|(shown, _)| shown.label == *label).partition(|(shown, _)| shown.is_word);
            let mut lines: Vec<String> =
                names.into_iter().map(|(shown, mark)| painter.line(shown, mark.clone())).collect();
            let words = words.into_iter().map(|(shown, mark)| (shown.name.as_str(), mark.clone()));
            lines.extend(painter.words(words, self.wrap_columns));
            // What every program does was not seen where there is none of it. Where there is none of any program, it may
            // not have been watched; but a program of which nothing at all is known was not seen at work.
            if let (true, Some(none)) = (list.is_empty(), E::NONE_SEEN) {
                if painter.watched.of(E::KIND) > 0 {
                    lines.push(none.to_owned());
                } else if self.idle {
                    lines.push(format!("{none} or not watched"));
                }
            }
            if !lines.is_empty() {
                self.groups.push((label, lines));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixtures::{arbitrary, chain, full};

    fn drawn(profile: &ProfileDoc, palette: &Palette) -> String {
        let mut out = Vec::new();
        tree(profile, palette, 60, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// `text` without colour sequences.
    fn without_colours(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
    }

    #[test]
    fn a_profile_with_everything() {
        let expected = r#"
docker.io/library/nginx
  tag      1.27.0  2024-05-01T10:00:00Z to 2024-05-02T10:00:00Z  dns learning, exec stable
  tag      1.27.1  2024-06-01T10:00:00Z to 2024-06-01T11:30:00Z
  holds    3 processes, 5 files, 2 DNS names, 5 sockets, 3 system calls, 2 capabilities, 1 mount, 1 metadata request
  learned  from 1,000 events of 1 recording; 12 lost (queue_full 12); 2 rejected (malformed 1, missing_field 1)

/usr/sbin/nginx  uid 0, 101
├─ reads     /etc/nginx/nginx.conf  mapped
├─ writes    /var/cache/nginx/*/*.tmp  ~412: 0a/17.tmp, 1b/3.tmp, 3/9.tmp, …
├─ updates   /tmp/odd \x1b\\\u{1b}[31m\*  [1.27.1]
├─ changes   /srv/gone  delete, rename  [1.27.1]
├─ asks for  *.backend.internal  A  ~30: w1.backend.internal  [1.27.0]
│            example.com  A, AAAA
├─ binds     tcp 0.0.0.0:80
├─ accepts   tcp 10.0.3.4:80  sent < 1 MiB, received < 16 KiB  [1.27.1]
├─ connects  tcp 10.0.3.0/24:8080  ~31: 10.0.3.4, 10.0.3.9
│            udp [2001:db8::35]:53  [1.27.0]
│            unix /run/php.sock
├─ calls     epoll_wait read
│            io_uring_setup  [1.27.1]
├─ uses      CAP_NET_BIND_SERVICE
├─ denied    CAP_SYS_ADMIN  [1.27.1]
├─ mounts    /mnt/a  tmpfs, of tmpfs, MS_NODEV, MS_NOSUID  [1.27.1]
├─ metadata  /latest/meta-data/*  aws, v2  [1.27.1]
└─ /bin/busybox (sh -c "date > '/tmp/x y'")  run by /bin/env  uid 101  exec chain  [1.27.1]
   ├─ writes    /tmp/x y
   └─ calls     not seen: it ran before watching began, or they were lost

/tmp/build-*/run  run by /bin/bash, /bin/sh  fileless  upper layer  ~19: build-a1, build-b2  [1.27.0]
└─ calls     not seen: it ran before watching began, or they were lost
"#;
        assert_eq!(drawn(&full(), &Palette::plain()), expected.trim_start());
    }

    #[test]
    fn nothing_learned() {
        let expected = "\u{3c}empty>\n  holds    0 processes\n  \
                        learned  from 0 events of 0 recordings; none lost\n";
        let empty = ProfileDoc { image: "<empty>".into(), ..ProfileDoc::default() };
        assert_eq!(drawn(&empty, &Palette::plain()), expected);
    }

    #[test]
    fn a_program_of_which_nothing_is_known_is_not_one_that_does_nothing() {
        let mut profile = full();
        let idle = profile.processes[2].clone();
        profile.processes = vec![idle];
        let text = drawn(&profile, &Palette::plain());
        let reported = "└─ calls     not seen: it ran before watching began, or they were lost or not watched\n";
        assert!(text.ends_with(reported), "{text}");
        // Of one that is known to do something, this only means that calls were not watched.
        profile.processes[0].files = full().processes[0].files.clone();
        assert!(!drawn(&profile, &Palette::plain()).contains("calls  "));
    }

    #[test]
    fn words_are_wrapped() {
        let mut profile = full();
        let calls = &mut profile.processes[0].syscalls;
        let model = calls[0].clone();
        *calls =
            (0..12).map(|i| crate::profile::SyscallDoc { name: format!("call_{i}").into(), ..model.clone() }).collect();
        let text = drawn(&profile, &Palette::plain());
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("call_")).collect();
        assert_eq!(
            lines,
            [
                "├─ calls     call_0 call_1 call_2 call_3 call_4 call_5",
                "│            call_6 call_7 call_8 call_9 call_10 call_11",
            ]
        );
    }

    #[test]
    fn depth_does_not_make_lines_longer() {
        let text = drawn(&chain(1000), &Palette::plain());
        assert!(text.contains("(1000 deep) /p"));
        assert!(text.lines().all(|line| line.chars().count() < 200));
    }

    proptest! {
        #[test]
        fn hostile_text_cannot_act_on_the_terminal(profile in arbitrary()) {
            let plain = drawn(&profile, &Palette::plain());
            prop_assert!(plain.chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert_eq!(without_colours(&drawn(&profile, &Palette::colours())), plain);
        }
    }
}
