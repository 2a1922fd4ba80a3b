//! Sets `cfg(loom)` in this crate alone if the environment has `LOOM`: without it there are no models to run.

fn main() {
    println!("cargo::rerun-if-env-changed=LOOM");
    if std::env::var_os("LOOM").is_some() {
        println!("cargo::rustc-cfg=loom");
    }
}
