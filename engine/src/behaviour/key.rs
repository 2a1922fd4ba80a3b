//! What makes two behaviours of one program the same (their key), and what is collected on it (their details).
//!
//! A tree knows nothing of kinds: it knows the few forms that a key can have, and that what gathers on one is united.

use super::Kind;
use super::address::{Address, SocketKey};

/// What makes two behaviours of a program the same. `T` is how texts are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BehaviourKey<T> {
    /// A name or path, normalised; its components generalise.
    Name(Scope<T>, T),
    /// An address; addresses generalise to networks.
    Address(SocketKey, Address),
    /// A number of a small set.
    Number(NumberKind, u32),
}

/// What a name is a name of. Names of different scopes are never the same, and do not generalise together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope<T> {
    /// Of a file.
    Files,
    /// Of a host, in the domain name system.
    Dns,
    /// Of a unix socket; all of the socket but its path.
    Sockets(SocketKey),
    /// Of something else, by its kind and whatever else tells such names apart.
    Group(Kind, T),
}

/// What a number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberKind {
    /// Of a system call, on x86-64.
    Syscall,
    /// Of a capability: twice its number, plus 1 if the process had it.
    Capability,
}

impl<T> BehaviourKey<T> {
    /// The same key with every text passed through `f`.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> BehaviourKey<U> {
        match self {
            Self::Name(scope, name) => {
                let scope = match scope {
                    Scope::Files => Scope::Files,
                    Scope::Dns => Scope::Dns,
                    Scope::Sockets(key) => Scope::Sockets(key),
                    Scope::Group(kind, text) => Scope::Group(kind, f(text)),
                };
                BehaviourKey::Name(scope, f(name))
            }
            Self::Address(key, address) => BehaviourKey::Address(key, address),
            Self::Number(of, number) => BehaviourKey::Number(of, number),
        }
    }

    /// The same key, its texts borrowed.
    pub fn as_deref(&self) -> BehaviourKey<&T::Target>
    where
        T: std::ops::Deref,
    {
        match self {
            Self::Name(scope, name) => {
                let scope = match scope {
                    Scope::Files => Scope::Files,
                    Scope::Dns => Scope::Dns,
                    Scope::Sockets(key) => Scope::Sockets(*key),
                    Scope::Group(kind, text) => Scope::Group(*kind, &**text),
                };
                BehaviourKey::Name(scope, name)
            }
            Self::Address(key, address) => BehaviourKey::Address(*key, *address),
            Self::Number(of, number) => BehaviourKey::Number(*of, *number),
        }
    }
}

/// Up to three bits that gather on a key; what they mean is for its kind. Merged by OR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks(pub(crate) u8);

impl Marks {
    /// One of the three bits, 0 to 2.
    pub(crate) const fn bit(n: u8) -> Self {
        Self(1 << n)
    }

    /// Whether all of `marks` are set.
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// The marks that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The marks that either has.
    #[must_use]
    pub const fn or(self, marks: Self) -> Self {
        Self(self.0 | marks.0)
    }

    /// `self` if `on`, else none.
    #[must_use]
    pub const fn only_if(self, on: bool) -> Self {
        if on { self } else { Self(0) }
    }
}

/// A number that gathers on a key: one of a set, or the largest of those that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Detail(pub(crate) u32);

/// What a [`Detail`] is about; what that means is for its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// Numbers that are a set: class 0 to 63.
    pub(crate) const fn set(class: u8) -> Self {
        Self(class & 0x3f)
    }

    /// Numbers that are a set and are kept for people: one that is new there is no drift. Class 0 to 63.
    pub(crate) const fn noted(class: u8) -> Self {
        Self(class & 0x3f | 0x40)
    }

    /// Numbers of which only the largest is kept: class 0 to 63. Larger ones are drift where there is one.
    pub(crate) const fn largest(class: u8) -> Self {
        Self(class & 0x3f | 0x80)
    }

    /// Whether a new one is drift.
    pub const fn is_compared(self) -> bool {
        self.0 & 0x40 == 0
    }

    /// Whether only the largest is kept.
    pub const fn keeps_largest(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The detail with this number, below 2^24.
    pub const fn detail(self, number: u32) -> Detail {
        Detail((self.0 as u32) << 24 | number & 0xff_ffff)
    }
}

impl Detail {
    /// The class of the detail.
    pub const fn class(self) -> Class {
        Class((self.0 >> 24) as u8)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0 & 0xff_ffff
    }
}

/// What gathers on a key and is no part of its identity. All of it is united when trees are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details<T> {
    /// Bits.
    pub marks: Marks,
    /// Numbers.
    pub numbers: Numbers,
    /// Texts, of which a key tells a bounded number apart.
    pub texts: Vec<T>,
}

impl<T> Details<T> {
    /// Nothing but bits.
    pub fn marks(marks: Marks) -> Self {
        Self { marks, numbers: Numbers::default(), texts: Vec::new() }
    }

    /// Nothing but one number.
    pub fn number(detail: Detail) -> Self {
        Self { numbers: std::iter::once(detail).collect(), ..Self::marks(Marks::default()) }
    }

    /// Whether there are no details.
    pub fn is_empty(&self) -> bool {
        self.marks == Marks::default() && self.numbers.is_empty() && self.texts.is_empty()
    }

    /// Adds what another one has: marks and numbers that are not there, the larger of those of which the largest counts.
    pub fn unite(&mut self, other: Self) {
        self.marks = self.marks.or(other.marks);
        self.numbers.extend(other.numbers.iter());
        self.texts.extend(other.texts);
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::marks(Marks::default())
    }

    /// The same details with every text passed through `f`.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Details<U> {
        Details { marks: self.marks, numbers: self.numbers, texts: self.texts.into_iter().map(f).collect() }
    }
}

/// A set of numbers. Of most there are two at most, which need no memory of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Numbers {
    first: Option<Detail>,
    second: Option<Detail>,
    /// All others, sorted.
    more: Vec<Detail>,
}

impl Numbers {
    /// All of them: the first two that came, and then the others by their size.
    pub fn iter(&self) -> impl Iterator<Item = Detail> {
        self.first.into_iter().chain(self.second).chain(self.more.iter().copied())
    }

    /// Whether no number is in it.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds one, if it is not there.
    pub fn insert(&mut self, detail: Detail) {
        if self.first == Some(detail) || self.second == Some(detail) {
            return;
        }
        match (self.first, self.second) {
            (None, _) => self.first = Some(detail),
            (_, None) => self.second = Some(detail),
            _ => {
                if let Err(key) = self.more.binary_search(&detail) {
                    self.more.insert(key, detail);
                }
            }
        }
    }

    /// The numbers of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = u32> {
        self.iter().filter(move |detail| detail.class() == class).map(Detail::number)
    }
}

impl FromIterator<Detail> for Numbers {
    fn from_iter<I: IntoIterator<Item = Detail>>(details: I) -> Self {
        let mut numbers = Self::default();
        numbers.extend(details);
        numbers
    }
}

impl Extend<Detail> for Numbers {
    fn extend<I: IntoIterator<Item = Detail>>(&mut self, details: I) {
        details.into_iter().for_each(|detail| self.insert(detail));
    }
}
