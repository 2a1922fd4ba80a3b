//! Executed programs.

use grove::event::{Body, Exec};

use super::{Parts, PathFacts, Result, Texts, mark, whole};
use crate::kernel::record::RecordBody;

/// Texts in this order: argv, interpreter, cwd, path.
pub(in crate::kernel) fn exec<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [path_text, interpreter_text] = texts;
    let Parts { rest, facts, marks, .. } = parts;
    let _pad = rest.u32()?;
    let ns_pid = rest.u32()?;
    let interpreter_marks = rest.u32()?;
    let marked = |mark: u8| interpreter_marks & u32::from(mark) != 0;
    facts.interpreter = PathFacts { cut: marked(mark::CUT), detached: marked(mark::DETACHED) };
    let argv_bytes = rest.u32()? as usize;
    let interpreter_bytes = usize::from(rest.u16()?);
    let cwd_bytes = usize::from(rest.u16()?);
    let gid = rest.u32()?;
    let uid = rest.u32()?;
    let ppid = rest.u32()?;
    facts.entered = rest.u64()?;
    facts.inode = rest.u64()?;
    let fileless = *marks & mark::FILELESS != 0;
    let argv_truncated = *marks & mark::ARGV_CUT != 0;
    let upper_layer = *marks & mark::UPPER != 0;
    let path = parts.text()?;
    let path = if fileless { path } else { whole(path, parts.facts.path, path_text) };
    let cwd = parts.rest.take(cwd_bytes)?;
    let interpreter = whole(parts.rest.take(interpreter_bytes)?, parts.facts.interpreter, interpreter_text);
    let argv = parts.rest.take(argv_bytes)?;
    let mut exec = Exec::new(ppid, path);
    exec.argv = (!argv.is_empty()).then_some(argv);
    exec.argv_truncated = argv_truncated;
    exec.interpreter = (interpreter_bytes != 0).then_some(interpreter);
    exec.cwd = (!cwd.is_empty()).then_some(cwd);
    (exec.uid, exec.gid) = (Some(uid), Some(gid));
    (exec.fileless, exec.upper_layer) = (fileless, upper_layer);
    exec.ns_pid = parts.another_pid(ns_pid);
    Ok(parts.event(Body::Exec(exec)))
}
