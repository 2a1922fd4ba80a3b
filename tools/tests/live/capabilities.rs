//! Which capabilities a container is said to have used, on an overlay as images are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, ok, processes, profile};

/// A root file system on an overlay, as long as this is there. Its upper layer is in memory: another overlay could not be one.
struct Overlay(tempfile::TempDir);

impl Overlay {
    fn over(lower: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let layers = format!("lowerdir={},upperdir={at}/upper,workdir={at}/work", lower.display());
        mount(&["-t", "tmpfs", "none", &at]);
        let overlay = Self(dir);
        for name in ["upper", "work", "merged"] {
            fs::create_dir(overlay.0.path().join(name)).unwrap();
        }
        mount(&["-t", "overlay", "-o", &layers, "none", &overlay.root()]);
        overlay
    }

    fn root(&self) -> String {
        self.0.path().join("merged").display().to_string()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for mounted in [self.root(), self.0.path().display().to_string()] {
            let _ = Command::new("umount").args(["-l", &mounted]).output();
        }
    }
}

fn mount(args: &[&str]) {
    let output = Command::new("mount").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An overlay checks with the capabilities of whoever mounted it, at every look into a lower layer and every copy of it.
#[test]
fn a_container_without_capabilities_uses_none_and_one_that_changes_an_owner_uses_that() {
    const SCRIPT: &str = "cat /etc/old; echo x > /etc/old; echo x > /etc/new; /bin/mkdir /etc/dir; \
                          /bin/mv /etc/new /etc/dir/new; /bin/rm /etc/gone; /bin/ls /etc; :";
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let runc = Runc::with_usual_records();
    for name in ["old", "gone"] {
        fs::write(runc.rootfs().join("etc").join(name), "x").unwrap();
    }
    for applet in ["chown", "mkdir", "mv", "rm"] {
        std::os::unix::fs::symlink("busybox", runc.rootfs().join("bin").join(applet)).unwrap();
    }
    let overlay = Overlay::over(runc.rootfs());
    let id = std::process::id();
    let image = |name: &str| format!("localhost/{name}-{id}");
    let bundle = |name: &str, script: &str, capabilities: &[&str]| {
        let reference = format!("{}:1", image(name));
        let annotations = [("org.opencontainers.image.ref.name", &*reference)];
        runc.bundle(name, &["sh", "-c", script], &annotations, |spec| {
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                spec["process"]["capabilities"][set] = json!(capabilities);
            }
            spec["root"] = json!({ "path": overlay.root(), "readonly": false });
        })
    };
    let none = bundle("uses-none", SCRIPT, &[]);
    let chown = bundle("uses-chown", "/bin/chown 1:1 /etc/old; :", &["CAP_CHOWN"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("profiles");
    let running = Running::start(grove().args(["run", "--output"]).arg(&out));
    for (bundle, name) in [(&none, "none"), (&chown, "chown")] {
        runc.run(bundle, &format!("grove-uses-{name}-{id}"));
    }
    ok(&running.end());
    let learned = |name: &str| profile(&out.join(format!("{}.profile.json", image(name).replace('/', "_"))));
    let used = |profile: &Value| {
        let all = processes(profile);
        let of = all.iter().flat_map(|process| process["capabilities"].as_array().cloned().unwrap_or_default());
        of.filter(|one| one["used"] == true)
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let [none, chown] = ["uses-none", "uses-chown"].map(learned);
    assert!(
        Path::new(&overlay.root()).join("etc/dir/new").is_file()
            && !Path::new(&overlay.root()).join("etc/gone").exists()
    );
    let applets: BTreeSet<_> = processes(&none).iter().map(|one| one["argv0"].as_str().unwrap().to_owned()).collect();
    let expected = ["cat", "ls", "mkdir", "mv", "rm", "sh"];
    assert_eq!(applets, expected.iter().map(ToString::to_string).collect(), "{none:#}");
    assert_eq!(used(&none), BTreeSet::new(), "{none:#}");
    assert_eq!(used(&chown), BTreeSet::from(["CAP_CHOWN".to_owned()]), "{chown:#}");
}
