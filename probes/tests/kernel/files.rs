//! Opened files.

use crate::support::*;

#[test]
fn an_open_is_told_with_its_resolved_path() {
    let Some(mut w) = watch(&everything()) else { return };
    let seen = lines(&w.run(&mut child(&["open", "/etc/../etc/passwd"])));
    assert!(seen.contains(&"open /etc/passwd".into()), "{seen:?}");
}
