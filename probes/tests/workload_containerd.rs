//! Which image a container of containerd runs, in a pod or not, asked of a real containerd.

#[path = "common/asking.rs"]
mod asking;
#[path = "common/containers.rs"]
mod containers;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use asking::{ask, container, image_and_tag};
use containers::Containerd;
use grove_probes::workload::{self, Bundles, Options, Resolver, Runtime, Unresolved, checks};

#[test]
fn containerd_names_the_image_of_its_containers() {
    if !containers::have(&Containerd::NEEDS) {
        return;
    }
    let containerd = Containerd::new();
    let options =
        Options { containerd: vec![containerd.socket()], patience: Duration::from_secs(1), ..Options::none() };
    let resolver = Resolver::start(options.clone()).unwrap();
    let name = |n: u32| format!("grove-test-{}-{n}", std::process::id());
    for (n, tag) in [(1, "1"), (2, "2")] {
        containerd.start(&format!("localhost/bb:{tag}"), &name(n));
        // The path does not tell, containerd's records do.
        let path = format!("/default/{}", name(n));
        assert_eq!(workload::container(&path), None);
        let found = Bundles::default().container(&path).expect("a record");
        assert_eq!(found, container(Runtime::Containerd, &name(n)));
        let named = image_and_tag(ask(&resolver, found));
        assert_eq!(named, ("localhost/bb".to_owned(), tag.to_owned()));
    }
    assert_eq!(ask(&resolver, container(Runtime::Containerd, "never-was")), Err(Unresolved::NotKnown));

    // A container that ended but was not deleted.
    containerd.run(&["task", "kill", "--signal", "SIGKILL", &name(1)]);
    let fresh = Resolver::start(options.clone()).unwrap();
    assert_eq!(image_and_tag(ask(&fresh, container(Runtime::Unknown, &name(1)))).1, "1");

    let checks = checks(&Options { cri: vec![containerd.socket()], ..options });
    assert!(checks.iter().all(|check| check.ok && check.remedy.is_empty()), "{checks:?}");
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let socket = format!("runtime {}", containerd.socket().display());
    assert_eq!(names, ["cgroup ids", &socket, &socket, "container runtimes"]);
    assert!(checks[1..3].iter().all(|check| check.detail.starts_with("containerd ")), "{checks:?}");
}

/// The few messages by which a pod and its container are made.
mod kubernetes {
    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metadata {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub uid: String,
        #[prost(string, tag = "3")]
        pub namespace: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ContainerMetadata {
        #[prost(string, tag = "1")]
        pub name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Namespaces {
        #[prost(int32, tag = "1")]
        pub network: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Security {
        #[prost(message, optional, tag = "1")]
        pub namespaces: Option<Namespaces>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Linux {
        #[prost(string, tag = "1")]
        pub cgroup_parent: String,
        #[prost(message, optional, tag = "2")]
        pub security: Option<Security>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sandbox {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<Metadata>,
        #[prost(string, tag = "3")]
        pub log_directory: String,
        #[prost(map = "string, string", tag = "6")]
        pub labels: HashMap<String, String>,
        #[prost(message, optional, tag = "8")]
        pub linux: Option<Linux>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RunSandbox {
        #[prost(message, optional, tag = "1")]
        pub config: Option<Sandbox>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Image {
        #[prost(string, tag = "1")]
        pub image: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Container {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "2")]
        pub image: Option<Image>,
        #[prost(map = "string, string", tag = "9")]
        pub labels: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Create {
        #[prost(string, tag = "1")]
        pub sandbox: String,
        #[prost(message, optional, tag = "2")]
        pub config: Option<Container>,
        #[prost(message, optional, tag = "3")]
        pub sandbox_config: Option<Sandbox>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Id {
        #[prost(string, tag = "1")]
        pub id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Nothing {}

    pub async fn call<Q, A>(socket: &Path, method: &'static str, question: Q) -> A
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
        let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let path = http::uri::PathAndQuery::from_static(method);
        client.unary(tonic::Request::new(question), path, codec).await.unwrap().into_inner()
    }
}

#[test]
fn a_pods_containers_are_named_with_their_pod() {
    use kubernetes::*;
    if !containers::have(&Containerd::NEEDS) {
        return;
    }
    let containerd = Containerd::new();
    let socket = containerd.socket();
    let uid = "2b8c9c0f-6a1b-4f0e-9d57-0f1d2c3b4a59";
    let labels = HashMap::from([
        ("io.kubernetes.pod.name".to_owned(), "web-0".to_owned()),
        ("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned()),
    ]);
    let sandbox = Sandbox {
        metadata: Some(Metadata { name: "web-0".into(), uid: uid.into(), namespace: "shop".into() }),
        log_directory: String::new(),
        labels: labels.clone(),
        linux: Some(Linux {
            cgroup_parent: format!("/kubepods/burstable/pod{uid}"),
            // The host's network needs no plug-in to be set up.
            security: Some(Security { namespaces: Some(Namespaces { network: 2 }) }),
        }),
    };
    let config = Container {
        metadata: Some(ContainerMetadata { name: "web".into() }),
        image: Some(Image { image: "localhost/bb:2".into() }),
        labels,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let (pause, id) = runtime.block_on(async {
        let run = RunSandbox { config: Some(sandbox.clone()) };
        let pause: Id = call(&socket, "/runtime.v1.RuntimeService/RunPodSandbox", run).await;
        let create = Create { sandbox: pause.id.clone(), config: Some(config), sandbox_config: Some(sandbox) };
        let made: Id = call(&socket, "/runtime.v1.RuntimeService/CreateContainer", create).await;
        let _: Nothing = call(&socket, "/runtime.v1.RuntimeService/StartContainer", made.clone()).await;
        (pause.id, made.id)
    });

    let who = |id: &str| workload::container(format!("/kubepods/burstable/pod{uid}/{id}")).expect("a container");
    let cgroup = Path::new(&containers::cgroup_root()).join(format!("kubepods/burstable/pod{uid}/{id}"));
    assert!(cgroup.is_dir(), "containerd made the cgroup where Kubernetes has it");
    assert_eq!(who(&id).pod.as_deref(), Some(uid));

    let patience = Duration::from_secs(1);
    let both = Options { cri: vec![socket.clone()], containerd: vec![socket.clone()], patience, ..Options::none() };
    let resolver = Resolver::start(both).unwrap();
    let workload = ask(&resolver, who(&id)).unwrap();
    assert_eq!(workload.name.as_deref(), Some("web"));
    assert_eq!((workload.pod.as_deref(), workload.namespace.as_deref()), (Some("web-0"), Some("shop")));
    // The two tags are of one image: the one that was asked for counts.
    assert_eq!((workload.image.as_str(), workload.tag.as_str()), ("localhost/bb", "2"));
    // The pause container is none of the interface's containers, but containerd's.
    assert_eq!(image_and_tag(ask(&resolver, who(&pause))).0, "localhost/bb");

    // With no socket to ask, the annotations tell.
    let records = Options { bundles: Some(Bundles::default()), patience, ..Options::none() };
    let workload = ask(&Resolver::start(records).unwrap(), who(&id)).unwrap();
    assert_eq!(workload.image, "localhost/bb", "they have either tag");
    assert_eq!(workload.namespace.as_deref(), Some("shop"));
}
