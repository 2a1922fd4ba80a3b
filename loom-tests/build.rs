//! Turns the environment into `cfg`s of this crate alone, so that a pass rebuilds nothing else: `LOOM_PASS` is `plain` or
//! `rmw_loads` (without it there are no models); with `LOOM_MUTANTS` faults can be switched on when the models run.

fn main() {
    println!("cargo::rerun-if-env-changed=LOOM_PASS");
    println!("cargo::rerun-if-env-changed=LOOM_MUTANTS");
    match std::env::var("LOOM_PASS").as_deref() {
        Ok("plain") => println!("cargo::rustc-cfg=loom"),
        Ok("rmw_loads") => {
            println!("cargo::rustc-cfg=loom");
            println!("cargo::rustc-cfg=loom_rmw_loads");
        }
        Ok(other) => panic!("LOOM_PASS is plain or rmw_loads, not {other}"),
        Err(_) => {}
    }
    if std::env::var_os("LOOM_MUTANTS").is_some() {
        println!("cargo::rustc-cfg=mutants");
    }
}
