//! Paths as runtimes make them, and as others might.

use super::*;

/// Stand for `A` and `B` in the tables.
const A: &str = "3f4e1d7c0b9a8f6e5d4c3b2a19080706f5e4d3c2b1a09f8e7d6c5b4a39281706";
const B: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const POD: &str = "2b8c9c0f-6a1b-4f0e-9d57-0f1d2c3b4a59";

fn spelled(path: &str) -> String {
    path.replace("AAA", A).replace("BBB", B).replace("P-P", POD).replace("P_P", &POD.replace('-', "_"))
}

#[test]
fn containers_of_every_runtime_and_driver() {
    use Runtime::{Containerd, Crio, Docker, Podman, Runc, Unknown};
    for (path, runtime, id) in [
        // Docker: cgroupfs, systemd, rootless, another parent.
        ("/docker/AAA", Docker, A),
        ("/docker/AAA/", Docker, A),
        ("/system.slice/docker-AAA.scope", Docker, A),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-AAA.scope", Docker, A),
        ("/batch/AAA", Unknown, A),
        ("/AAA", Unknown, A),
        ("/actions_job/AAA", Unknown, A),
        ("/ecs/0123456789abcdef0123456789abcdef/AAA", Unknown, A),
        ("/my.slice/docker-AAA.scope", Docker, A),
        // Kubernetes on Docker, containerd and CRI-O; each class of pod; both drivers.
        ("/kubepods/burstable/podP-P/AAA", Unknown, A),
        ("/kubepods/besteffort/podP-P/AAA", Unknown, A),
        ("/kubepods/podP-P/AAA", Unknown, A),
        ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_P.slice/docker-AAA.scope", Docker, A),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podP_P.slice/cri-containerd-AAA.scope",
            Containerd,
            A,
        ),
        ("/kubepods.slice/kubepods-podP_P.slice/cri-containerd-AAA.scope", Containerd, A),
        ("/kubepods.slice/kubepods-podP_P.slice/crio-AAA.scope", Crio, A),
        ("/kubepods.slice/kubepods-podP_P.slice/crio-AAA.scope/container", Crio, A),
        ("/kubepods/burstable/podP-P/crio-AAA", Crio, A),
        ("/kubepods-burstable-podP_P.slice:cri-containerd:AAA", Containerd, A),
        ("/system.slice/containerd.service/kubepods-burstable-podP_P.slice:cri-containerd:AAA", Containerd, A),
        ("/system.slice:docker:AAA", Docker, A),
        ("/edge/kubepods/burstable/podP-P/AAA", Unknown, A),
        ("/edge.slice/edge-kubepods.slice/edge-kubepods-podP_P.slice/cri-containerd-AAA.scope", Containerd, A),
        // containerd by other clients.
        ("/system.slice/nerdctl-AAA.scope", Containerd, A),
        ("/default/AAA", Unknown, A),
        ("/k8s.io/AAA", Unknown, A),
        // Podman: cgroupfs, systemd, rootless, pods, a container split off a service, systemd within.
        ("/libpod_parent/libpod-AAA", Podman, A),
        ("/libpod_parent/BBB/libpod-AAA", Podman, A),
        ("/machine.slice/libpod-AAA.scope", Podman, A),
        ("/machine.slice/libpod-AAA.scope/container", Podman, A),
        ("/machine.slice/libpod-AAA.scope/container/init.scope", Podman, A),
        ("/machine.slice/libpod-AAA.scope/container/system.slice/docker-BBB.scope", Podman, A),
        ("/machine.slice/machine-libpod_pod_BBB.slice/libpod-AAA.scope/container", Podman, A),
        ("/system.slice/web.service/libpod-payload-AAA", Podman, A),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-AAA.scope/container", Podman, A),
        // Plain runc and crun with systemd: any id.
        ("/system.slice/runc-c1.scope", Runc, "c1"),
        ("/user.slice/user-0.slice/crun-my-box.1.scope", Runc, "my-box.1"),
        ("/system.slice/runc-AAA.scope", Runc, A),
        // Another prefix of the `slice:prefix:name` that every runtime takes.
        ("/system.slice/mine-AAA.scope", Unknown, A),
        // Below a container's cgroup is in the container.
        ("/docker/AAA/init", Docker, A),
        ("/docker/AAA/system.slice/cron.service", Docker, A),
        ("/docker/AAA/..", Docker, A),
        // Nested: the outermost. In the last line a container poses as another.
        ("/docker/AAA/docker/BBB", Docker, A),
        ("/docker/AAA/kubelet/kubepods/burstable/podP-P/BBB", Docker, A),
        (
            "/system.slice/docker-AAA.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podP_P.slice/\
             cri-containerd-BBB.scope",
            Docker,
            A,
        ),
        ("/libpod_parent/libpod-AAA/libpod_parent/libpod-BBB", Podman, A),
        ("/docker/AAA/system.slice/docker-BBB.scope", Docker, A),
        // As seen from another cgroup namespace, and after removal.
        ("/../docker/AAA", Docker, A),
        ("/../../../kubepods/besteffort/podP-P/AAA", Unknown, A),
        ("/docker/AAA (deleted)", Docker, A),
        ("/system.slice/docker-AAA.scope (deleted)", Docker, A),
    ] {
        let found = container(spelled(path));
        assert_eq!(found.as_ref().map(|c| (c.runtime, c.id.as_str())), Some((runtime, id)), "{path}");
    }
}

#[test]
fn what_is_no_container() {
    let long = format!("/system.slice/runc-{}.scope", "x".repeat(ID_MAX + 1));
    for path in [
        "",
        "/",
        "//",
        "/init.scope",
        "/c1",
        "/default/c1",
        "/system.slice",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/system.slice/ssh.service",
        "/user.slice/user-1000.slice/session-3.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-1234.scope",
        "/system.slice/run-r0123456789abcdef0123456789abcdef.scope",
        // Beside a container, and a pod's own cgroup.
        "/machine.slice/libpod-conmon-AAA.scope",
        "/libpod_parent/conmon",
        "/libpod_parent/libpod-conmon-AAA",
        "/libpod_parent/AAA",
        "/machine.slice/machine-libpod_pod_AAA.slice",
        "/kubepods.slice/kubepods-podP_P.slice/crio-conmon-AAA.scope",
        "/kubepods/burstable/podP-P/crio-conmon-AAA",
        "/kubepods/burstable",
        "/kubepods/burstable/podP-P",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_P.slice",
        "/system.slice/web.service/supervisor",
        "/system.slice/web.service/runtime",
        // Neither a build step nor another kind of machine.
        "/docker/buildkit/x1k2jq0w7ztm9f8y3c5v6b4na",
        "/docker/buildkit",
        "/lxc.payload.web",
        "/machine.slice/machine-web.scope",
        // Almost.
        "/docker/AAA0",
        "/docker/AA",
        "/docker/3F4E1D7C0B9A8F6E5D4C3B2A19080706F5E4D3C2B1A09F8E7D6C5B4A39281706",
        "/docker/gf4e1d7c0b9a8f6e5d4c3b2a19080706f5e4d3c2b1a09f8e7d6c5b4a39281706",
        "/docker/AAA.scope",
        "/docker/AAA.slice",
        "/docker/ AAA",
        "/system.slice/docker-AAA",
        "/system.slice/docker-AAA.service",
        "/system.slice/docker-.scope",
        "/system.slice/-AAA",
        "/system.slice/runc-.scope",
        "/system.slice/runc-...scope",
        "/system.slice/runc-a b.scope",
        "/system.slice/runc-a\u{202e}b.scope",
        "/system.slice/runc-c1",
        "/:AAA",
        "/::AAA",
        "/a:b:c:AAA",
        "/system.slice:docker:AAA:",
        &long,
    ] {
        assert_eq!(container(spelled(path)), None, "{path}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_name() {
    let mut path = b"/\xff\xfe/docker/".to_vec();
    assert_eq!(container(&path), None);
    path.extend_from_slice(A.as_bytes());
    assert_eq!(container(&path).map(|c| c.id), Some(A.to_owned()), "whatever stands before it");
    path.push(0xff);
    assert_eq!(container(&path), None);
}

#[test]
fn the_pod_is_told_where_there_is_one() {
    let hash = "0123456789abcdef0123456789abcdef";
    for (path, pod) in [
        ("/kubepods/burstable/podP-P/AAA", Some(POD)),
        ("/kubepods/podP-P/AAA", Some(POD)),
        ("/kubepods.slice/kubepods-podP_P.slice/crio-AAA.scope", Some(POD)),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_P.slice/cri-containerd-AAA.scope",
            Some(POD),
        ),
        ("/system.slice/containerd.service/kubepods-burstable-podP_P.slice:cri-containerd:AAA", Some(POD)),
        ("/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/AAA", Some(hash)),
        ("/kubepods/besteffort/podoftheweek/AAA", None),
        ("/docker/AAA/kubepods/podP-P", None),
        ("/podP-P/AAA", None),
        ("/docker/AAA", None),
    ] {
        assert_eq!(container(spelled(path)).and_then(|c| c.pod).as_deref(), pod, "{path}");
    }
}

#[test]
fn a_users_own_containers_are_told_from_the_hosts() {
    for (path, user) in [
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-AAA.scope/container", Some(1000)),
        ("/user.slice/user-1000.slice/user@1000.service/system.slice/docker-AAA.scope", Some(1000)),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/user-0.slice/docker-AAA.scope", Some(1000)),
        ("/user-1000.slice/docker-AAA.scope", None),
        ("/system.slice/docker-AAA.scope", None),
        ("/user.slice/user-99999999999.slice/docker-AAA.scope", None),
    ] {
        assert_eq!(container(spelled(path)).and_then(|c| c.user), user, "{path}");
    }
}

#[test]
fn a_process_is_judged_by_the_hierarchy_that_tells_most() {
    for (text, path) in [
        ("0::/docker/AAA\n", Some("/docker/AAA")),
        ("0::/\n", Some("/")),
        ("9:name=systemd:/\n8:pids:/docker/AAA\n0::/docker/AAA\n", Some("/docker/AAA")),
        // A runtime of version 1 on a hybrid host leaves the process in the root of version 2.
        ("9:pids:/docker/AAA\n1:cpu,cpuacct:/docker/AAA\n0::/\n", Some("/docker/AAA")),
        ("0::/system.slice/x.service\n9:pids:/docker/AAA\n", Some("/docker/AAA")),
        ("3:pids:/docker/AAA\n2:memory:/\n", Some("/docker/AAA")),
        ("3:pids:/a\n2:memory:/b\n0::/c\n", Some("/c")),
        ("3:pids:/a\n2:memory:/b\n", Some("/a")),
        ("0::/a:b:c\n", Some("/a:b:c")),
        ("", None),
        ("0", None),
        ("0:", None),
        ("\n\n", None),
    ] {
        let text = spelled(text);
        let found = process_path(text.as_bytes()).map(|path| String::from_utf8_lossy(path).into_owned());
        assert_eq!(found, path.map(spelled), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_path_an_id_is_an_id(path in "(/|:|-|docker|libpod|\\.scope|kubepods|pod|[a-f0-9]|\\PC){0,100}", at in 0usize..200) {
        let mut path = path.into_bytes();
        let at = at.min(path.len());
        path.splice(at..at, A.bytes());
        if let Some(found) = container(&path) {
            proptest::prop_assert!(is_id(&found.id));
            proptest::prop_assert!(path.windows(found.id.len()).any(|w| w == found.id.as_bytes()));
        }
    }
}
