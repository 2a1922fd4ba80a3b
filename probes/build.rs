//! Puts the kernel programs where `kernel/load.rs` includes them from: the committed object, or one built now from its
//! sources if `BUILD_GROVE_BPF` is set (which needs Debian's clang-19, llvm-19 and libbpf-dev).

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src/bpf");
    println!("cargo::rerun-if-env-changed=BUILD_GROVE_BPF");
    let object = PathBuf::from(env::var("OUT_DIR")?).join("grove.bpf.o");
    if env::var_os("BUILD_GROVE_BPF").is_some() {
        let status = Command::new("src/bpf/build.sh").arg(&object).status()?;
        if !status.success() {
            return Err("src/bpf/build.sh failed: are clang-19, llvm-19 and libbpf-dev installed?".into());
        }
    } else {
        fs::copy("src/bpf/grove.bpf.o", &object)?;
    }
    Ok(())
}
