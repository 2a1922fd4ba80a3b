//! Turns the environment into `cfg`s of this crate alone, so that a pass or a mutant rebuilds nothing else:
//! `LOOM_PASS` is `plain` or `rmw_loads` (without it there are no models), `LOOM_MUTANT` names a fault.

fn main() {
    println!("cargo::rerun-if-env-changed=LOOM_PASS");
    println!("cargo::rerun-if-env-changed=LOOM_MUTANT");
    match std::env::var("LOOM_PASS").as_deref() {
        Ok("plain") => println!("cargo::rustc-cfg=loom"),
        Ok("rmw_loads") => {
            println!("cargo::rustc-cfg=loom");
            println!("cargo::rustc-cfg=loom_rmw_loads");
        }
        Ok(other) => panic!("LOOM_PASS is plain or rmw_loads, not {other}"),
        Err(_) => {}
    }
    if let Ok(mutant) = std::env::var("LOOM_MUTANT") {
        println!("cargo::rustc-cfg=mutant=\"{mutant}\"");
    }
}
