//! Which containers are wanted.

use super::containers::{Container, Wanted};

/// Which containers are wanted: by id, name or image. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select(Vec<String>);

/// The shortest beginning of an id that names a container: what runtimes show.
const ID_MIN: usize = 12;

impl Select {
    /// Those whose id begins with one of these (12 characters or more, or all of it), or whose name, image, or image
    /// and tag (`nginx:1.27`) is one of these.
    pub fn new(wanted: Vec<String>) -> Self {
        Self(wanted)
    }

    /// Whether all are wanted.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a container is wanted, as far as is known.
    pub fn wants(&self, container: &Container) -> Wanted {
        if self.is_all() {
            return Wanted::Yes;
        }
        let id = &*container.id;
        let by_id = |word: &String| word.as_bytes() == id || word.len() >= ID_MIN && id.starts_with(word.as_bytes());
        if self.0.iter().any(by_id) {
            return Wanted::Yes;
        }
        let Some(workload) = &container.workload else {
            // Nobody will ever say what it ran.
            return if container.who.is_none() { Wanted::No } else { Wanted::Open };
        };
        let by_workload = |word: &String| {
            workload.name.as_ref() == Some(word)
                || *word == workload.image
                || word.strip_prefix(&*workload.image).and_then(|rest| rest.strip_prefix(':')) == Some(&workload.tag)
        };
        if self.0.iter().any(by_workload) { Wanted::Yes } else { Wanted::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Containers;
    use crate::workload::{ContainerRef, Runtime, Workload};

    #[test]
    fn by_id_name_or_image() {
        let id = "0123456789abcdef".repeat(4);
        let mut all = Containers::default();
        let who = ContainerRef { runtime: Runtime::Docker, id: id.clone(), pod: None, user: None };
        let (index, _) = all.is_container(1, who);
        let wants = |all: &Containers, word: &str| {
            all.get(index).map(|container| Select::new(vec![word.to_owned()]).wants(container))
        };
        let workload = Workload {
            image: "localhost:5000/web".to_owned(),
            tag: "1.1".to_owned(),
            name: Some("web-1".to_owned()),
            ..Workload::default()
        };
        for (word, before, after) in [
            (&id[..], Wanted::Yes, Wanted::Yes),
            ("0123456789ab", Wanted::Yes, Wanted::Yes),
            ("0123", Wanted::Open, Wanted::No),
            ("web-1", Wanted::Open, Wanted::Yes),
            ("localhost:5000/web", Wanted::Open, Wanted::Yes),
            ("localhost:5000/web:1.1", Wanted::Open, Wanted::Yes),
            ("localhost:5000/web:1", Wanted::Open, Wanted::No),
            ("web", Wanted::Open, Wanted::No),
        ] {
            assert_eq!(wants(&all, word), Some(before), "{word}");
            if let Some(container) = all.get_mut(index) {
                container.workload = Some(workload.clone());
            }
            assert_eq!(wants(&all, word), Some(after), "{word}");
            if let Some(container) = all.get_mut(index) {
                container.workload = None;
            }
        }
        assert!(all.get(index).is_some_and(|container| Select::default().wants(container) == Wanted::Yes));
    }
}
