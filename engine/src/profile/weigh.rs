//! How much memory JSON text may come to take when it is understood, and how deep it nests, from one look at its bytes:
//! before anything is made of it.
//!
//! Not here: whether it is JSON. Text that is not weighs something or other.

use memchr::{memchr2, memchr2_iter};

/// What text comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Memory that its values take at most, in bytes.
    pub bytes: u64,
    /// How deep arrays and objects nest.
    pub depth: usize,
}

// What a part of the text takes at most, as a document and then as a tree, in bytes, with the room of lists that grow and
// of what is taken for a moment. `tests/profile_memory.rs` compares it with what lists of the smallest entries take.

/// The text itself, and the copy of it in a document.
const BYTE: u64 = 2;
/// A process, a file, a ledger; or when tags did something.
const OBJECT: u64 = 440;
const ARRAY: u64 = 48;
/// Times in a list: those of a tag, which the process remembers too.
const TAG: u64 = 160;
/// A text that is a value.
const TEXT: u64 = 64;
/// A component of a path or label of a name: a node of the tree.
const COMPONENT: u64 = 64;
/// A number in a list: a node of the tree.
const NUMBER: u64 = 96;
/// A byte of the longest text: it is cut into components while it is at hand.
const LONGEST: u64 = 56;

/// Weighs JSON text. O(its length).
pub(super) fn weigh(json: &[u8]) -> Weight {
    let mut weight = Weight { bytes: BYTE * json.len() as u64, depth: 0 };
    let (mut depth, mut longest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let end = string_end(json, at);
                if json.get(end) != Some(&b':') {
                    let text = json.get(at..end).unwrap_or_default();
                    weight.bytes += TEXT + COMPONENT * memchr2_iter(b'/', b'.', text).count() as u64;
                    longest = longest.max(text.len());
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                weight.depth = weight.depth.max(depth);
                let begins_with_text = json.get(at) == Some(&b'"');
                weight.bytes += match byte {
                    b'{' => OBJECT,
                    _ if begins_with_text => ARRAY + TAG,
                    _ => ARRAY,
                };
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if at > 1 && json.get(at - 2).is_some_and(u8::is_ascii_digit) => weight.bytes += NUMBER,
            _ => {}
        }
    }
    weight.bytes += LONGEST * longest as u64;
    weight
}

/// Behind the quote that ends the string whose text begins at `from`.
fn string_end(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json.get(at - 1) == Some(&b'"') {
            return at;
        }
        at += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_of_texts() {
        for (json, depth) in
            [("", 0), ("7", 0), ("[]", 1), (r#"{"a":[{"]]":"[[\"[["}]}"#, 3), ("[[[", 3), ("]]][", 1), (r#""["#, 0)]
        {
            assert_eq!(weigh(json.as_bytes()).depth, depth, "{json}");
        }
    }
}
